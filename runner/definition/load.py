"""Reads a definition: `load` for those who run it, `examine` for those who want to know all that is wrong.

What is checked here is what the model needs (YAML, schema, names, files, limits). What a sound
definition may still get wrong is for runner.lint, which takes the Draft that `examine` gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from runner.definition.children import Family
from runner.definition.finding import Finding
from runner.definition.model import Definition
from runner.definition.parse import digest_of, parse_document
from runner.definition.problem import Problem
from runner.definition.resolve import Contracts, Resolver
from runner.definition.salvage import salvage
from runner.definition.schema import findings_beside_flaws, schema_findings
from runner.definition.source import Source, scan, text_of
from runner.errors import DefinitionError

__all__ = ["Contracts", "Draft", "check", "digest_of", "examine", "examine_text", "load", "load_text", "parse_document"]


@dataclass(frozen=True, slots=True)
class Draft:
    """All that could be made of a file. With problems, the definition is that of its sound parts, for checking only."""

    source: Source | None = None
    definition: Definition | None = None
    problems: tuple[Problem, ...] = ()
    findings: tuple[Finding, ...] = ()  # those of the problems that are about a node of this file
    children: tuple[Draft, ...] = ()  # of the definitions that its steps start

    @property
    def is_sound(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)


def load(path: Path | str, *, root: Path | str, contracts: Contracts | None = None) -> Definition:
    """The definition in a file. `root` is the project's; no file outside it is read. Raises DefinitionError."""
    return _sound(examine(path, root=root, contracts=contracts))


def load_text(text: str, *, file: str, root: Path | str, contracts: Contracts | None = None) -> Definition:
    """The same for a text. `file` names it in problems, and is where its `$ref`s are relative to, seen from `root`."""
    return _sound(examine_text(text, file=file, root=root, contracts=contracts))


def check(
    path: Path | str, *, root: Path | str, contracts: Contracts | None = None
) -> tuple[Definition | None, list[Problem]]:
    """The definition, if it is sound, and every problem in the order of the file. Lint rules are not applied."""
    draft = examine(path, root=root, contracts=contracts)
    return (draft.definition if draft.is_sound else None), list(draft.problems)


def examine(
    path: Path | str, *, root: Path | str, contracts: Contracts | None = None, text: str | None = None
) -> Draft:
    """All that can be made of a file; raises nothing for what is wrong with it.

    `text`: what is to be in the file, and is not yet. What is beside it is read as it is.
    """
    path = Path(path)
    try:
        source = scan(text_of(path, str(path)) if text is None else text, str(path))
    except DefinitionError as error:
        return Draft(problems=error.problems)
    return _examine_family(source, Path(root), path.parent, contracts)


def examine_text(text: str, *, file: str, root: Path | str, contracts: Contracts | None = None) -> Draft:
    try:
        source = scan(text, file)
    except DefinitionError as error:
        return Draft(problems=error.problems)
    return _examine_family(source, Path(root), (Path(root) / file).parent, contracts)


def _examine_family(source: Source, root: Path, folder: Path, contracts: Contracts | None) -> Draft:
    """The draft of one file, and of those beside it that its steps start."""

    def examine_one(source: Source, family: Family) -> Draft:
        return _examine(source, root, folder, contracts, family)

    return examine_one(source, Family(folder, source.file, examine_one))


def _examine(source: Source, root: Path, folder: Path, contracts: Contracts | None, family: Family) -> Draft:
    if source.flaws:
        return Draft(problems=_beside_flaws(source))
    findings = schema_findings(source, "workflow")
    sound: Source | None = source
    if findings:
        sound, findings = salvage(source, findings)
    if sound is None:
        return Draft(source, None, _placed(source, findings), tuple(findings))
    resolver = Resolver(sound, root, folder, contracts, family)
    document = resolver.document()
    problems = tuple(sorted({*_placed(source, findings), *_placed(sound, resolver.findings), *resolver.problems}))
    findings += resolver.findings
    children = tuple(resolver.children)
    definition = replace(parse_document(document), children=_below(children))
    return Draft(sound, definition, problems, tuple(findings), children)


def _beside_flaws(source: Source) -> tuple[Problem, ...]:
    """The flaws, and what is wrong with the form of the rest. What steps mean to each other waits until all is read."""
    flawed = {(flaw.line, flaw.column) for flaw in source.flaws}
    others = _placed(source, findings_beside_flaws(source, "workflow"))
    return tuple(sorted({*source.flaws, *(each for each in others if (each.line, each.column) not in flawed)}))


def _below(children: Iterable[Draft]) -> dict[str, Definition]:
    """By digest: those of these drafts, and all that they may start in turn."""
    found: dict[str, Definition] = {}
    for draft in children:
        if draft.definition is not None:
            found |= draft.definition.children
            found[draft.definition.digest] = draft.definition
    return found


def _placed(source: Source, findings: list[Finding]) -> tuple[Problem, ...]:
    return tuple(sorted(source.problem(finding) for finding in findings))


def _sound(draft: Draft) -> Definition:
    if draft.definition is None or not draft.is_sound:
        raise DefinitionError(draft.problems)
    return draft.definition
