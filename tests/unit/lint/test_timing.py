"""Worst-case times, as far as a file says them."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.definition.load import load_text
from runner.definition.model import Retry
from runner.lint.timing import LOST_MS, Span, pauses_ms, run_span, undo_ms
from runner.worker.state import Options

HEAD = "workflow: a\nversion: 1.0.0\ndefaults: {timeout: 10s, retry: {max_attempts: 2, initial: 1s}}\nsteps:\n"
CALL = "worker: w, kind: readonly"  # 21 s
WRITE = "id: a, worker: w, compensate: {worker: u, timeout: 5s, retry: {max_attempts: 3, initial: 0s}}"  # 15 s back


def span(*steps: str) -> Span:
    text = HEAD + "".join(f"  - {step}\n" for step in steps)
    return run_span(load_text(text, file="a.yaml", root=Path()))


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (Retry(max_attempts=1), 0),
        (Retry(max_attempts=4, backoff="fixed", initial_ms=100), 300),
        (Retry(max_attempts=4, backoff="linear", initial_ms=100), 600),
        (Retry(max_attempts=4, initial_ms=100), 700),
        (Retry(max_attempts=4, initial_ms=100, max_ms=250), 550),
        (Retry(max_attempts=100, initial_ms=1_000, max_ms=1_000), 99_000),
    ],
)
def test_pauses_grow_up_to_their_limit(retry: Retry, expected: int):
    assert pauses_ms(retry) == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (f"{{id: a, {CALL}}}", Span(21_000)),
        (f"{{id: a, {CALL}, queue_timeout: 1s}}", Span(23_000)),
        (f"{{id: a, {CALL}, total_timeout: 15s}}", Span(15_000)),
        (f"{{steps: [{{id: a, {CALL}}}, {{wait: 1m}}]}}", Span(81_000)),
        (f"{{parallel: {{branches: {{x: [{{id: a, {CALL}}}], y: [{{wait: 1m}}]}}}}}}", Span(60_000)),
        (f"{{switch: [{{when: '{{{{ input.a }}}}', steps: [{{id: a, {CALL}}}]}}]}}", Span(21_000)),
        (f"{{repeat: {{max: 5, until: '{{{{ result }}}}', steps: [{{id: a, {CALL}}}]}}}}", Span(105_000)),
        (f"{{for_each: {{in: '{{{{ input.l }}}}', as: l, steps: [{{id: a, {CALL}}}]}}}}", Span(21_000, ("items",))),
        (f"{{for_each: {{in: [1, 2, 3], as: l, max_parallel: 2, steps: [{{id: a, {CALL}}}]}}}}", Span(42_000)),
        ("{wait: '{{ input.pause }}'}", Span(0, ("a wait",))),
        ("{id: a, wait_for: {signal: go}}", Span(0, ("signal go",))),
        ("{id: a, wait_for: {signal: go, timeout: 1h}}", Span(3_600_000)),
        (f"{{id: a, {CALL}, catch: [{{steps: [{{wait: 1m}}]}}, {{steps: [{{wait: 2m}}]}}]}}", Span(141_000)),
        (f"{{{WRITE}, catch: [{{steps: [{{wait: 1m}}]}}]}}", Span(21_000 + 15_000 + 60_000)),  # undone first
        (f"{{steps: [{{{WRITE}}}], catch: [{{undo: false}}, {{errors: [x]}}]}}", Span(21_000 + 15_000)),
        (f"{{{WRITE}, catch: [{{undo: false, steps: [{{wait: 1m}}]}}]}}", Span(81_000)),
        ("{set: {x: 1}}", Span()),
    ],
)
def test_a_step_takes_at_worst(step: str, expected: Span):
    assert span(step) == expected


def test_steps_add_up_and_what_is_open_is_named_once():
    wait = "{wait: '{{ input.pause }}'}"
    assert span(f"{{id: a, {CALL}}}", wait, f"{{id: b, {CALL}}}", wait) == Span(42_000, ("a wait",))


def test_rounds_within_rounds_end_somewhere():
    inner = "{wait: 3650d}"
    for _ in range(6):
        inner = f"{{repeat: {{max: 1000, until: '{{{{ input.a }}}}', steps: [{inner}]}}}}"
    assert span(inner).ms == 10**15


def test_undos_come_one_after_the_other():
    retry = "retry: {max_attempts: 2, initial: 1s}"
    text = HEAD + f"  - {{id: a, worker: w, compensate: {{worker: u, timeout: 5s, {retry}}}}}\n"
    text += "  - {id: b, worker: w, compensate: {worker: u, timeout: 5s, retry: {max_attempts: 1}}}\n"
    assert undo_ms(load_text(text, file="a.yaml", root=Path())) == 16_000


@pytest.mark.parametrize(
    ("step", "expected_ms"),
    [
        (f"{{id: a, {CALL}, verify: {{worker: v}}}}", 0),  # there is nothing to settle
        ("{id: a, worker: w, compensate: {worker: u}}", 0),
        ("{id: a, worker: w, compensate: none, reason: r}", 0),
        # After each of two attempts it is asked: three times 10 s, with two pauses.
        ("{id: a, worker: w, kind: pivot, verify: {worker: v}}", 2 * 32_000),
        # Tried on three times, after a pause.
        ("{id: a, worker: w, kind: pivot}", 3 * 10_000 + 3 * 1_000),
        ("{id: a, worker: w, kind: pivot, queue_timeout: 5s}", 3 * 15_000 + 3 * 1_000),
        ("{id: a, worker: w, kind: pivot, verify: {worker: v}, on_unknown: retry}", 2 * 32_000 + 33_000),
    ],
)
def test_settling_what_is_never_answered(step: str, expected_ms: int):
    head = "compensation: {retry: {max_attempts: 3, initial: 1s, backoff: fixed}}\n" + HEAD
    definition = load_text(f"{head}  - {step}\n", file="a.yaml", root=Path())
    assert run_span(definition, settled=True).ms - run_span(definition).ms == expected_ms


def test_a_lost_process_is_given_up_after_two_of_the_leases_that_workers_have():
    assert 2 * Options(modules=()).lease_ms == LOST_MS
