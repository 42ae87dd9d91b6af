"""Applies the rules to a definition. Pure: what was read comes in, problems go out, in the order of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.builtin import builtin_contracts
from runner.definition.codes import CODES
from runner.definition.finding import Finding
from runner.definition.load import Contracts, Draft
from runner.definition.model import Definition
from runner.definition.problem import Problem
from runner.definition.source import Source
from runner.lint.choice import CODES as COMMENT_CODES
from runner.lint.choice import without_ignored
from runner.lint.reading import texts_of
from runner.lint.rule import Rule, Subject
from runner.lint.rules import (
    argument_types,
    braces,
    budgets,
    certainty,
    confirm,
    constants,
    contradictions,
    error_codes,
    expressions,
    handlers,
    item_names,
    losers,
    members,
    names,
    never_raised,
    on_unknown,
    operations,
    patience,
    pivot,
    races,
    reach,
    same_operation,
    schedule,
    secrets,
    signals,
    step_references,
    undo,
    unused,
    variables,
    workers,
)
from runner.lint.walk import outline_of

RULES: tuple[Rule, ...] = tuple(
    rule
    for family in (
        workers,
        argument_types,
        step_references,
        names,
        item_names,
        expressions,
        braces,
        certainty,
        members,
        operations,
        variables,
        error_codes,
        never_raised,
        contradictions,
        same_operation,
        undo,
        on_unknown,
        confirm,
        pivot,
        losers,
        budgets,
        patience,
        handlers,
        signals,
        races,
        constants,
        reach,
        schedule,
        secrets,
        unused,
    )
    for rule in family.RULES
)
_STEP = re.compile(r"(?:.*/)?(?:steps|finally|else|parallel/branches/[^/]+)/\d+(?=/|$)")


def titles() -> Mapping[str, str]:
    """Every code that `validate` can print, with its title."""
    codes = {**CODES, **COMMENT_CODES}
    for rule in RULES:
        codes |= rule.codes
    return dict(sorted(codes.items()))


def lint(definition: Definition, source: Source, contracts: Contracts | None) -> list[Problem]:
    """What the rules find in a sound definition. `source` is the file it was read from."""
    return _placed(source, _findings(definition, source.value, contracts, RULES))


def lint_draft(draft: Draft, contracts: Contracts | None) -> list[Problem]:
    """Everything that is wrong with a file: what reading it found, and what the rules find in what is sound of it."""
    problems = set(draft.problems)
    for child in draft.children:
        # A run starts its children without looking at them again. Their warnings are for those who check them alone.
        problems |= {problem for problem in lint_draft(child, contracts) if problem.severity == "error"}
    if draft.definition is None or draft.source is None:
        return sorted(problems)
    broken = [finding for finding in draft.findings if finding.code.startswith("SR10")]
    rules = [rule for rule in RULES if rule.needs != "file" or not broken]
    faulty = {_step_of(finding.pointer) for finding in broken}
    of_steps = {code for rule in RULES if rule.needs == "step" for code in rule.codes}
    found = [
        finding
        for finding in _findings(draft.definition, draft.source.value, contracts, rules)
        if finding.code not in of_steps or _step_of(finding.pointer) not in faulty
    ]
    problems |= set(_placed(draft.source, found))
    return without_ignored(sorted(problems), draft.source.file, draft.source.text)


def _findings(
    definition: Definition, value: Any, contracts: Contracts | None, rules: tuple[Rule, ...] | list[Rule]
) -> Iterator[Finding]:
    subject = subject_of(definition, value, contracts)
    for rule in rules:
        yield from rule.check(subject)


def subject_of(definition: Definition, value: Any, contracts: Contracts | None) -> Subject:
    """A definition as rules see it; also for who wants to know what can be read where. `value`: what the file says."""
    outline = outline_of(definition, value)
    known = None if contracts is None else {**builtin_contracts(), **contracts}
    raw = value if isinstance(value, Mapping) else {}
    return Subject(definition, outline, texts_of(definition, outline), known, raw)


def _step_of(pointer: str) -> str:
    match = _STEP.match(pointer)
    return match[0] if match else ""


def _placed(source: Source, findings: Iterator[Finding] | list[Finding]) -> list[Problem]:
    return sorted({source.problem(finding) for finding in findings})
