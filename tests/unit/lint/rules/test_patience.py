"""Steps that the run has no time for, and undos that are given up too early."""

from __future__ import annotations

import pytest

from tests.findings import LOOK, found, problems

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


def step(step_id: str, more: str = "timeout: 10s, retry: {max_attempts: 2, initial: 1s}") -> str:
    return f"{{id: {step_id}, worker: look, kind: readonly, {more}}}"


def test_all_steps_at_their_worst_have_to_fit_into_the_run():
    assert found(step("a"), step("b"), head="timeout: 42s") == []
    (problem,) = problems(step("a"), step("b"), head="timeout: 41s")
    assert (problem.code, problem.severity, problem.line) == ("SR325", "warning", 3)
    assert problem.message == "the steps may take 42s in all, and the run has 41s"


@pytest.mark.parametrize(
    "steps",
    [
        (step("a"), "{id: b, worker: look, kind: readonly}"),  # nobody said anything about b
        ("{id: p, worker: pay, kind: pivot}", step("a"), step("b")),  # behind it the timeout only alerts
        (f"{{parallel: {{branches: {{x: [{step('a')}], y: [{step('b')}]}}}}}}",),
    ],
)
def test_what_is_not_meant_or_not_in_turn_does_not_add_up(steps: tuple[str, ...]):
    assert found(*steps, head="timeout: 41s") == []


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("{max_attempts: 3, initial: 4s}", ""),
        ("{max_attempts: 3, initial: 10s, max: 10s}", ""),
        ("{max_attempts: 3, initial: 0s}", ""),  # at once: that is said
        ("{max_attempts: 1, initial: 1ms}", ""),
        ("{max_attempts: 3, initial: 10s}", "the first pause is longer than the longest: every pause is 5s"),
        ("{max_attempts: 3, initial: 10s, max: 1s}", "the first pause is longer than the longest: every pause is 1s"),
        ("{max_attempts: 3, max: 100ms}", "the first pause is longer than the longest: every pause is 100ms"),
        ("{max_attempts: 4, initial: 1ms}", "all 4 attempts are made within 7ms of pauses"),
        ("{max_attempts: 4, initial: 1ms, backoff: fixed}", "all 4 attempts are made within 3ms of pauses"),
    ],
)
def test_pauses_are_what_they_seem(policy: str, message: str):
    for head, given in (
        ("", f"{{id: a, worker: look, kind: readonly, retry: {policy}}}"),
        (f"defaults: {{retry: {policy}}}", f"{{id: a, {LOOK}}}"),
        (f"use: {{retries: {{p: {policy}}}}}", f"{{id: a, {LOOK}, retry: p}}"),
    ):
        told = [problem.message for problem in problems(given, head=head) if problem.code == "SR326"]
        assert told == ([message] if message else [])


@pytest.mark.parametrize(
    ("head", "more", "expected"),
    [
        ("", ", timeout: 50ms", []),
        ("", ", timeout: 49ms", ["SR327"]),
        ("defaults: {timeout: 8ms}", "", ["SR327"]),
        ("", ", verify: {worker: v, timeout: 8ms}", ["SR327"]),
    ],
)
def test_no_worker_answers_within_no_time(head: str, more: str, expected: list[str]):
    assert found(f"{{id: a, {LOOK}{more}}}", head=head) == expected
