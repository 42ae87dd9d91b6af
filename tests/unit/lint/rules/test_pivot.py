"""The point of no return, path by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.definition.load import examine_text
from runner.lint.linter import lint_draft

CODES = ("SR307", "SR308", "SR309", "SR310", "SR313", "SR314")
PIVOT = "{id: p, worker: w, kind: pivot}"
MAYBE = "{id: p, worker: w, kind: pivot, when: '{{ input.a }}'}"
SECOND = "{id: q, worker: w, kind: pivot}"
UNDOABLE = "{id: c, worker: w, compensate: {worker: u}}"
STANDING = "{id: n, worker: w, compensate: none, reason: because}"
RETRIABLE = "{id: r, worker: w, kind: retriable}"
READONLY = "{id: o, worker: w, kind: readonly}"
RETHROW = "{fail: rethrow}"


def found(*steps: str) -> list[str]:
    text = "workflow: a\nversion: '1'\nsteps:\n" + "".join(f"  - {step}\n" for step in steps)
    draft = examine_text(text, file="a.yaml", root=Path())
    assert draft.problems == ()
    return [problem.code for problem in lint_draft(draft, None) if problem.code in CODES]


def test_the_errors_of_a_contract_count_where_the_step_names_none() -> None:
    contracts = {"w": {"raises": ["sold_out"]}, "v": {}}
    text = f"workflow: a\nversion: '1'\nsteps: [{PIVOT}, {{id: r, worker: w, kind: retriable{{more}}}}]"
    for more, expected in (("", ["SR313"]), (", raises: []", []), (", on_failure: continue", [])):
        draft = examine_text(text.replace("{more}", more), file="a.yaml", root=Path(), contracts=contracts)
        assert [problem.code for problem in lint_draft(draft, contracts) if problem.code in CODES] == expected


def block(*steps: str, id: str = "b", more: str = "") -> str:
    return f"{{id: {id}, steps: [{', '.join(steps)}]{', ' + more if more else ''}}}"


def catch(*steps: str, undo: bool = True, errors: str = "any", when: str = "") -> str:
    condition = f", when: '{{{{ {when} }}}}'" if when else ""
    return f"catch: [{{errors: [{errors}], undo: {str(undo).lower()}{condition}, steps: [{', '.join(steps)}]}}]"


def with_catch(step: str, handler: str) -> str:
    return f"{step[:-1]}, {handler}}}"


@pytest.mark.parametrize(
    "steps",
    [
        (UNDOABLE, STANDING, READONLY, PIVOT, RETRIABLE),
        (block(UNDOABLE, PIVOT), RETRIABLE),
        (UNDOABLE, PIVOT, "{set: {x: 1}}", block(RETRIABLE)),
        (PIVOT, "{fail: {error: x}}"),
    ],
)
def test_undoable_steps_then_one_pivot_then_steps_that_go_forward(steps: tuple[str, ...]) -> None:
    assert found(*steps) == []


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ((RETRIABLE, PIVOT), ["SR310"]),
        ((RETRIABLE,), ["SR310"]),
        ((MAYBE, RETRIABLE), ["SR310"]),
        ((block(PIVOT, more="when: '{{ input.a }}'"), RETRIABLE), ["SR310"]),
        ((block(PIVOT), RETRIABLE), []),
        ((PIVOT, block(RETRIABLE, more="when: '{{ input.a }}'")), []),
    ],
)
def test_a_retriable_step_needs_a_pivot_on_every_path_to_it(steps: tuple[str, ...], codes: list[str]) -> None:
    assert found(*steps) == codes


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ((PIVOT, SECOND), ["SR308"]),
        ((MAYBE, SECOND), ["SR308"]),
        ((block(PIVOT), block(SECOND, id="b2")), ["SR308"]),
        ((with_catch(PIVOT, catch(SECOND, undo=False)),), ["SR308"]),
        ((with_catch(UNDOABLE, catch(PIVOT, RETHROW)), SECOND), []),
        ((with_catch(UNDOABLE, catch(PIVOT)), SECOND), ["SR308"]),
    ],
)
def test_two_pivots_on_one_path(steps: tuple[str, ...], codes: list[str]) -> None:
    assert found(*steps) == codes


@pytest.mark.parametrize("later", [UNDOABLE, STANDING, block(UNDOABLE), with_catch(READONLY, catch(UNDOABLE))])
def test_what_cannot_go_forward_has_no_place_behind_a_pivot(later: str) -> None:
    assert found(PIVOT, later) == ["SR309"]
    assert found(MAYBE, later) == ["SR309"]


@pytest.mark.parametrize(
    ("handler", "codes"),
    [
        (catch(), []),
        (catch(errors="business, technical"), []),
        (catch(RETHROW), []),
        (catch(errors="business"), ["SR309"]),
        (catch(errors="card_declined"), ["SR309"]),
        (catch(undo=False), ["SR309"]),
        (catch(when="input.a"), ["SR309"]),
    ],
)
def test_a_scope_behind_the_pivot_that_undoes_any_failure_may_hold_what_can_be_undone(
    handler: str, codes: list[str]
) -> None:
    assert found(PIVOT, with_catch(UNDOABLE, handler)) == codes
    assert found(PIVOT, block(UNDOABLE, more=handler)) == codes


def test_passing_over_a_failure_behind_the_pivot_is_such_a_scope() -> None:
    assert found(PIVOT, with_catch(STANDING, "on_failure: continue")) == []


def test_a_scope_around_the_pivot_is_not_such_a_scope() -> None:
    assert found(block(PIVOT, UNDOABLE, more=catch())) == ["SR307", "SR309"]


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        ((block(PIVOT, more=catch()),), ["SR307"]),
        ((block(block(PIVOT, id="c"), more=catch()),), ["SR307"]),
        ((block(PIVOT, more=catch(undo=False)),), []),
        ((with_catch(PIVOT, catch()),), ["SR307"]),
        ((with_catch(PIVOT, catch(undo=False)),), []),
        ((with_catch(PIVOT, "on_failure: continue"),), ["SR307"]),
        ((with_catch(UNDOABLE, catch(PIVOT)),), []),
        ((block(with_catch(UNDOABLE, catch(PIVOT)), more=catch()),), ["SR307"]),
    ],
)
def test_a_pivot_in_a_scope_whose_catch_undoes(steps: tuple[str, ...], codes: list[str]) -> None:
    assert found(*steps) == codes


@pytest.mark.parametrize(
    ("steps", "codes"),
    [
        # The failure may have come before the pivot, so behind the handler none is certain, and one is possible.
        ((block(UNDOABLE, PIVOT, more=catch(READONLY, undo=False)), RETRIABLE), ["SR310"]),
        ((block(READONLY, PIVOT, more=catch(undo=False)), UNDOABLE), ["SR309"]),
        # A handler that does not go on leaves only the path through the scope.
        ((block(UNDOABLE, PIVOT, more=catch(RETHROW, undo=False)), RETRIABLE), []),
        ((block(UNDOABLE, PIVOT, more=catch("{fail: {error: x}}", undo=False)), RETRIABLE), []),
        # Where a path ends in `fail`, what follows is reached by the other one.
        ((block("{fail: {error: x}}", more=catch(undo=True)), UNDOABLE), []),
        (("{fail: {error: x}, when: '{{ input.a }}'}", RETRIABLE), ["SR310"]),
    ],
)
def test_a_handler_is_a_path_of_its_own(steps: tuple[str, ...], codes: list[str]) -> None:
    assert found(*steps) == codes


def test_what_no_run_reaches_has_no_findings() -> None:
    assert found("{fail: {error: x}}", RETRIABLE, UNDOABLE) == []


def parallel(*branches: str, more: str = "") -> str:
    named = ", ".join(f"b{index}: [{branch}]" for index, branch in enumerate(branches))
    return f"{{id: sides, parallel: {{branches: {{{named}}}{more}}}}}"


def loop(step: str, more: str = "") -> str:
    return f"{{id: lines, for_each: {{in: '{{{{ input.a }}}}', steps: [{step}]{more}}}}}"


def repeat(step: str) -> str:
    return f"{{id: rounds, repeat: {{max: 3, until: '{{{{ input.a }}}}', steps: [{step}]}}}}"


def switch(*cases: str, otherwise: str | None = None) -> str:
    written = [f"{{when: '{{{{ input.a }}}}', steps: [{case}]}}" for case in cases]
    written += [] if otherwise is None else [f"{{else: [{otherwise}]}}"]
    return f"{{id: choice, switch: [{', '.join(written)}]}}"


@pytest.mark.parametrize(
    "step",
    [
        parallel(PIVOT),
        loop(PIVOT),
        repeat(PIVOT),
        block(repeat(block(PIVOT, id="inner"))),
        parallel(switch(PIVOT)),
        loop(with_catch(UNDOABLE, catch(PIVOT))),
    ],
)
def test_a_pivot_is_not_one_of_many(step: str) -> None:
    assert found(step) == ["SR314"]


def test_cases_are_alternatives() -> None:
    assert found(switch(PIVOT, SECOND)) == []
    assert found(switch(PIVOT, otherwise=SECOND), RETRIABLE) == []
    assert found(switch(PIVOT, otherwise=RETRIABLE)) == ["SR310"]
    assert found(switch(PIVOT), RETRIABLE) == ["SR310"]
    assert found(switch(PIVOT), SECOND) == ["SR308"]
    assert found(PIVOT, switch(SECOND)) == ["SR308"]
    assert found(switch(PIVOT, otherwise="{fail: {error: x}}"), RETRIABLE) == []


def test_what_goes_forward_may_be_in_any_container_behind_the_pivot() -> None:
    third, fourth = READONLY.replace("id: o", "id: o2"), RETRIABLE.replace("id: r", "id: r2")
    assert found(PIVOT, parallel(RETRIABLE, READONLY), loop(fourth), repeat(third)) == []
    for wrong in (parallel(UNDOABLE), loop(UNDOABLE), repeat(UNDOABLE), switch(UNDOABLE), switch(otherwise=UNDOABLE)):
        assert found(PIVOT, wrong) == ["SR309"]


def test_an_item_that_is_undone_when_it_fails_may_hold_what_can_be_undone() -> None:
    assert found(PIVOT, loop(UNDOABLE, ", on_item_failure: collect")) == []
    assert found(PIVOT, loop(UNDOABLE, ", on_item_failure: fail")) == ["SR309"]
    assert found(PIVOT, parallel(UNDOABLE, READONLY, more=", join: any")) == []


@pytest.mark.parametrize(
    "step",
    [
        "{id: f, wait_for: {signal: go, timeout: 1d}}",
        "{id: f, wait_for: {signal: go, timeout: 1d, on_timeout: {fail: late}}}",
        "{id: f, worker: w, kind: readonly, raises: [late]}",
        "{id: f, worker: w, kind: retriable, raises: [late]}",
    ],
)
def test_a_failure_behind_the_pivot_is_caught(step: str) -> None:
    assert found(PIVOT, step) == ["SR313"]
    assert found(PIVOT, parallel(step)) == ["SR313"]
    assert found(PIVOT, with_catch(step, catch(undo=False))) == []
    assert found(PIVOT, block(step, more=catch(undo=False))) == []
    assert found(PIVOT, with_catch(step, catch(when="input.a"))) == ["SR313"]
    assert found(PIVOT, loop(step, ", on_item_failure: collect")) == []
    assert found(PIVOT, parallel(step, more=", join: any")) == ["SR313"]
    assert "SR313" not in found(step, PIVOT)


def test_a_signal_that_nobody_waits_for_too_long_cannot_fail() -> None:
    assert found(PIVOT, "{id: f, wait_for: {signal: go}}") == []
    assert found(PIVOT, "{id: f, wait_for: {signal: go, timeout: 1d, on_timeout: continue}}") == []


def test_a_missing_signal_is_technical_and_a_named_one_business() -> None:
    late = "{id: f, wait_for: {signal: go, timeout: 1d}}"
    named = "{id: f, wait_for: {signal: go, timeout: 1d, on_timeout: {fail: x}}}"
    assert found(PIVOT, with_catch(late, catch(errors="technical", undo=False))) == []
    assert found(PIVOT, with_catch(late, catch(errors="business", undo=False))) == ["SR313"]
    assert found(PIVOT, with_catch(named, catch(errors="business", undo=False))) == []
