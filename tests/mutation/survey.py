"""What `validate` says of the mutants of the shipped definitions, and why those survive that it says nothing of.

A mutant counts as caught if there is an error or a warning that the definition itself does not have. It is left out as
equivalent only where that is proven: it resolves to the document of the definition, with the same pause after every
attempt. Then no run could tell them apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.definition.duration import parse_duration
from runner.definition.load import Contracts, examine_text
from runner.definition.model import Definition, Retry
from runner.interpreter.backoff import delay_ms
from runner.lint.linter import lint_draft
from tests.mutation.document import Mutant
from tests.mutation.operators import mutants_of

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one mutant: the codes it was given, or why none counts."""

    file: str
    mutant: Mutant
    codes: tuple[str, ...] = ()
    is_equivalent: bool = False

    @property
    def name(self) -> str:
        return f"{self.file}: {self.mutant.operator}: {self.mutant.what}"


def shipped() -> list[Path]:
    return sorted(path for path in (ROOT / "definitions").glob("*.yaml") if not path.stem.endswith(".test"))


def contracts() -> Contracts:
    known: Contracts = json.loads((ROOT / "schemas/workers.json").read_text(encoding="utf-8"))
    return known


def survey(path: Path, known: Contracts, every: int = 1) -> Iterator[Verdict]:
    """The verdicts on the mutants of one definition, or on every n-th of each operator."""
    file = path.relative_to(ROOT).as_posix()
    draft = examine_text(path.read_text(encoding="utf-8"), file=file, root=ROOT, contracts=known)
    assert draft.source is not None
    assert draft.definition is not None
    assert lint_draft(draft, known) == [], "a shipped definition has a finding: nothing could be told from it"
    behaviour = _behaviour(draft.definition)
    numbers: dict[str, int] = {}
    for mutant in mutants_of(draft.source.value, known):
        number = numbers[mutant.operator] = numbers.get(mutant.operator, -1) + 1
        if number % every:
            continue
        text = json.dumps(mutant.value, ensure_ascii=False, indent=1)
        made = examine_text(text, file=file, root=ROOT, contracts=known)
        problems = lint_draft(made, known)
        codes = tuple(dict.fromkeys(problem.code for problem in problems if problem.severity != "info"))
        same = made.definition is not None and _behaviour(made.definition) == behaviour
        yield Verdict(path.stem, mutant, codes, same and not codes)


def _behaviour(definition: Definition) -> Any:
    """The document, with the pauses that a policy comes to in its place."""
    return _with_pauses(definition.document)


def _with_pauses(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_pauses(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _pauses(item) if key == "retry" else _with_pauses(item) for key, item in value.items()}


def _pauses(policy: Any) -> Any:
    longest = parse_duration(policy["max"])
    retry = Retry(policy["max_attempts"], policy["backoff"], parse_duration(policy["initial"]), longest)
    retry = replace(retry, multiplier=policy["multiplier"])
    exact = replace(retry, jitter="none")
    return [policy["jitter"], *(delay_ms(exact, attempt, seed="") for attempt in range(1, retry.max_attempts))]
