"""Steps that the run has no time for, and undos that are given up too early."""

from __future__ import annotations

import pytest

from tests.findings import found, problems

SLOW = "id: a, worker: look, kind: readonly, timeout: 10s, retry: {max_attempts: 3, initial: 5s, backoff: fixed}"
SHIP = "id: a, worker: ship, timeout: 10s, retry: {max_attempts: 3, initial: 1s, backoff: fixed}"


def test_a_step_is_tried_for_its_attempts_and_the_pauses_between_them():
    assert found(f"{{{SLOW}}}", head="timeout: 40s") == []
    (problem,) = problems(f"{{{SLOW}}}", head="timeout: 39s")
    assert (problem.code, problem.severity) == ("SR319", "warning")
    assert problem.message == "this may be tried for 40s, and the run has 39s"


@pytest.mark.parametrize(
    "steps",
    [
        (f"{{{SLOW}, total_timeout: 30s}}",),
        ("{id: a, worker: look, kind: readonly}",),  # nobody said anything about it
        ("{id: p, worker: pay, kind: pivot}", f"{{{SLOW.replace('readonly', 'retriable')}}}"),
    ],
)
def test_what_is_limited_or_not_meant_or_after_the_pivot_is_no_mistake(steps: tuple[str, ...]):
    assert found(*steps, head="timeout: 39s") == []


def test_finally_has_time_of_its_own():
    tail = f"finally:\n  - {{{SLOW}}}\n"
    assert found("{set: {x: 1}}", head="timeout: 39s", tail=tail) == []


@pytest.mark.parametrize(
    ("undo", "codes"),
    [
        ("", []),
        (", retry: {max_attempts: 3, initial: 1s, backoff: fixed}", []),
        (", timeout: 5s, retry: {max_attempts: 2}", ["SR320"]),
        (", timeout: 1s, retry: {max_attempts: 3, initial: 1s, backoff: fixed}", ["SR320"]),
        (", retry: {max_attempts: 2, initial: 1m, backoff: fixed, max: 1m}", []),
    ],
)
def test_an_undo_is_tried_for_as_long_as_its_step(undo: str, codes: list[str]):
    assert found(f"{{{SHIP}, compensate: {{worker: recall{undo}}}}}") == codes
