"""Definitions and what is said about them: err/NAME.yaml must give exactly err/NAME.out, ok/*.yaml nothing.

After a change of words, `SAGARUN_UPDATE_GOLDEN=1 pytest tests/golden` writes the .out files anew: read the diff.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from runner.definition.load import examine_text, parse_document
from runner.definition.model import steps_below
from runner.interpreter.plan import compile_plan
from runner.lint.linter import lint_draft, titles
from runner.lint.text import render

GOLDEN = Path(__file__).parent
CONTRACTS = json.loads((GOLDEN / "workers.json").read_text())
WRONG = sorted((GOLDEN / "err").glob("*.yaml"))
RIGHT = sorted((GOLDEN / "ok").glob("*.yaml"))


def report(path: Path) -> str:
    text = path.read_text()
    draft = examine_text(text, file=path.relative_to(GOLDEN).as_posix(), root=GOLDEN, contracts=CONTRACTS)
    problems = lint_draft(draft, CONTRACTS)
    return "".join(f"{render(problem, (GOLDEN / problem.file).read_text())}\n" for problem in problems)


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_wrong_definition_is_told_exactly_this(path: Path) -> None:
    told = report(path)
    expected = path.with_suffix(".out")
    if os.environ.get("SAGARUN_UPDATE_GOLDEN"):
        expected.write_text(told)
    assert told == expected.read_text()
    assert told


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_a_right_definition_has_no_problems(path: Path) -> None:
    assert report(path) == ""


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_the_document_of_a_definition_is_a_definition_that_means_the_same(path: Path) -> None:
    draft = examine_text(path.read_text(), file=f"ok/{path.name}", root=GOLDEN, contracts=CONTRACTS)
    assert draft.definition is not None
    document = json.loads(json.dumps(draft.definition.document))
    again = examine_text(json.dumps(document), file=f"ok/{path.name}", root=GOLDEN, contracts=CONTRACTS)
    assert again.problems == ()
    assert parse_document(document) == draft.definition == again.definition


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.stem)
def test_the_plan_has_every_step_where_the_definition_says_that_it_is(path: Path) -> None:
    draft = examine_text(path.read_text(), file=f"ok/{path.name}", root=GOLDEN, contracts=CONTRACTS)
    assert draft.definition is not None
    steps = list(steps_below((*draft.definition.steps, *draft.definition.finally_)))
    plan = compile_plan(draft.definition)
    assert {step.id: step.path for step in steps} == plan.ids
    assert all(plan.steps[step.path].step is step for step in steps)


def test_every_code_has_a_golden_file_or_a_unit_test_that_names_it() -> None:
    told = "".join(path.with_suffix(".out").read_text() for path in WRONG)
    tests = "".join(path.read_text() for path in (GOLDEN.parent / "unit").rglob("test_*.py"))
    assert [code for code in titles() if f"[{code}]" not in told and code not in tests] == []


def test_no_output_is_left_without_its_definition() -> None:
    assert [path.name for path in (GOLDEN / "err").glob("*.out") if path.with_suffix(".yaml") not in WRONG] == []


def test_the_corpus_is_as_large_as_the_documentation_says() -> None:
    assert len(WRONG) >= 200
    assert len(RIGHT) >= 60
