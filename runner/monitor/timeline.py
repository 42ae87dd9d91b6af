"""A run as rows of spans of time: what was queued, what ran and where, what waited, what was undone. Pure.

A row is one step going forward, or its undo, or its confirmation; a child run's rows stand below the step that started
it. Steps that begin and end at once (`set`, `fail`) have no row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from runner.figures.series import error_type
from runner.interpreter.paths import FINALLY
from runner.monitor.shapes import RunView, StepView
from runner.monitor.story import Attempt

Kind = Literal["queue", "work", "pause", "stuck", "wait", "block"]


@dataclass(frozen=True, slots=True)
class Span:
    """`end_ms` of what is under way is now."""

    kind: Kind
    start_ms: int
    end_ms: int
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Row:
    path: str
    depth: int  # of the child run that it is in
    role: Literal["forward", "undo", "confirm"]
    kind: str  # of the step
    worker: str
    spans: tuple[Span, ...]
    error: str = ""  # code; of an exception its type
    settled: str = ""  # as what a person settled it, when it was stuck

    @property
    def start_ms(self) -> int:
        return self.spans[0].start_ms

    @property
    def end_ms(self) -> int:
        return max(span.end_ms for span in self.spans)

    @property
    def took_ms(self) -> int:
        """Without the times in which it waited for a person."""
        stuck_ms = sum(span.end_ms - span.start_ms for span in self.spans if span.kind == "stuck")
        return self.end_ms - self.start_ms - stuck_ms

    @property
    def tries(self) -> list[Attempt]:
        """In the order in which they were asked for."""
        found: list[Attempt] = []
        for span in self.spans:
            if span.attempt is not None and all(span.attempt is not each for each in found):
                found.append(span.attempt)
        return found

    @property
    def is_open(self) -> bool:
        return any(not attempt.outcome for attempt in self.tries)


def timeline(view: RunView, now_ms: int, depth: int = 0) -> list[Row]:
    """In the order of the definition, then undos and confirmations as they came; `finally` last, as it runs."""
    forward: list[Row] = []
    finally_rows: list[Row] = []
    back: list[Row] = []
    for step in view.steps:
        rows = finally_rows if step.path.startswith(FINALLY) else forward
        rows += _forward(step, view, now_ms, depth)
        if step.path in view.children:
            rows += timeline(view.children[step.path], now_ms, depth + 1)
        back += _asked(step, "undo", "compensate", now_ms, depth)
        back += _asked(step, "confirm", "confirm", now_ms, depth)
    # Undos go backwards: of two that were asked for in the same millisecond, that of the later step was first.
    later_first = sorted((row for row in back[::-1] if row.role == "undo"), key=lambda row: row.start_ms)
    told = sorted((row for row in back if row.role == "confirm"), key=lambda row: row.start_ms)
    return [*forward, *later_first, *told, *finally_rows]


def _forward(step: StepView, view: RunView, now_ms: int, depth: int) -> Iterator[Row]:
    if not step.has_begun:
        return
    ended_ms = step.started_at_ms + step.duration_ms if step.duration_ms is not None else view.updated_at_ms
    if step.duration_ms is None and not view.terminal:
        ended_ms = now_ms
    error = error_type(step.error) if step.error is not None else ""
    tries = [attempt for attempt in step.tries if attempt.phase in ("action", "verify")]
    spans = _of_attempts(tries, _standstills(step, "forward", now_ms), now_ms)
    if spans:
        yield Row(step.path, depth, "forward", step.kind, step.worker, spans, error, step.resolved)
    elif step.kind in ("wait", "wait_for"):
        span = Span("wait", step.started_at_ms, ended_ms)
        yield Row(step.path, depth, "forward", step.kind, "", (span,), error)
    elif step.parts or step.child is not None:
        span = Span("block", step.started_at_ms, ended_ms)
        yield Row(step.path, depth, "forward", step.kind, "", (span,), error)


def _asked(
    step: StepView, role: Literal["undo", "confirm"], phase: str, now_ms: int, depth: int
) -> Iterator[Row]:
    tries = [attempt for attempt in step.tries if attempt.phase == phase]
    spans = _of_attempts(tries, _standstills(step, role, now_ms), now_ms)
    told = step.compensation if role == "undo" else step.confirmation
    if spans:
        error = error_type(tries[-1].error) if tries and tries[-1].error is not None else ""
        settled, worker = (told.resolved, told.worker) if told is not None else ("", "")
        yield Row(step.path, depth, role, step.kind, tries[-1].worker if tries else worker, spans, error, settled)


def _standstills(step: StepView, role: str, now_ms: int) -> list[Span]:
    return [Span("stuck", each.began_ms, each.ended_ms or now_ms) for each in step.standstills if each.role == role]


def _of_attempts(tries: Sequence[Attempt], stuck: Sequence[Span], now_ms: int) -> tuple[Span, ...]:
    """Each in its queue and at work, the times in which it was stuck, and the pauses between them."""
    spans: list[Span] = []
    before_ms = 0
    for attempt in tries:
        is_resumed = any(before_ms <= span.start_ms <= attempt.asked_at_ms for span in stuck)
        if before_ms and attempt.asked_at_ms > before_ms and not is_resumed:
            spans.append(Span("pause", before_ms, attempt.asked_at_ms))
        end_ms = attempt.settled_at_ms or max(now_ms, attempt.asked_at_ms)
        claimed_ms = attempt.claimed_at_ms or end_ms
        spans.append(Span("queue", attempt.asked_at_ms, claimed_ms, attempt))
        if attempt.claimed_at_ms:
            spans.append(Span("work", claimed_ms, end_ms, attempt))
        before_ms = end_ms
    return tuple(sorted([*spans, *stuck], key=lambda span: span.start_ms))
