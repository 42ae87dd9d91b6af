"""`wait` and `wait_for`: a pause that outlives every process. One timer of the store, and nobody polls.

Rule: whatever ends a wait ends its timer with it, and a run that turns back waits for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runner.definition.duration import MAX_DURATION_MS, parse_duration
from runner.errors import ExpressionError
from runner.expression.evaluate import Template
from runner.expression.values import kind
from runner.interpreter import event as ev
from runner.interpreter.completion import complete
from runner.interpreter.failure import expression_error, fail
from runner.interpreter.plan import Plan, SignalPlan, StepPlan
from runner.interpreter.scope import scope_at
from runner.interpreter.signals import kept_for
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]
SIGNAL_TIMEOUT = "signal_timeout"


def decide_wait(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if node.due:
        return complete(plan, run, node, place, None, at_ms, has_output=False)
    if node.halt:
        return _halted(node, at_ms)
    if node.waiting:
        return ()
    due_at_ms = _due_at_ms(plan, run, node, place.duration, place.moment, at_ms, key="wait")
    if isinstance(due_at_ms, ErrorRecord):
        return fail(plan, run, node, due_at_ms, at_ms)
    if due_at_ms <= at_ms:
        return complete(plan, run, node, place, None, at_ms, has_output=False)
    return (_waits(node, due_at_ms, at_ms),)


def decide_wait_for(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if place.signal is None:
        raise ValueError(f"{node.path!r} waits for no signal")
    if node.taken:
        if node.timer:
            return (ev.TimerDropped(at_ms, node.path, node.timer),)
        return complete(plan, run, node, place, run.payloads.get(f"{node.path}:result"), at_ms)
    if node.due:
        return _timed_out(plan, run, node, place, place.signal, at_ms)
    if node.halt:
        return _halted(node, at_ms)
    if node.waiting:
        return ()
    kept, doubts = kept_for(plan, run, node.path, at_ms)
    if kept is not None:
        return (*doubts, ev.SignalTaken(at_ms, node.path, place.signal.name, kept))
    if place.signal.timeout is None:
        return (*doubts, ev.WaitStarted(at_ms, node.path))
    due_at_ms = _due_at_ms(plan, run, node, place.signal.timeout, None, at_ms, key="timeout")
    if isinstance(due_at_ms, ErrorRecord):
        return (*doubts, *fail(plan, run, node, due_at_ms, at_ms))
    return (*doubts, _waits(node, max(due_at_ms, at_ms + 1), at_ms))


def _waits(node: Node, due_at_ms: int, at_ms: int) -> ev.WaitStarted:
    return ev.WaitStarted(at_ms, node.path, f"{node.path}@{node.waits + 1}", due_at_ms)


def _halted(node: Node, at_ms: int) -> Proposals:
    if node.timer:
        return (ev.TimerDropped(at_ms, node.path, node.timer),)
    return (ev.StepHalted(at_ms, node.path),)


def _timed_out(
    plan: Plan, run: Run, node: Node, place: StepPlan, signal: SignalPlan, at_ms: int
) -> Proposals:
    if signal.on_timeout is None:
        return complete(plan, run, node, place, None, at_ms, has_output=False)
    # A code that the definition names is an answer of the business; our own says only that nothing came.
    message = f"no signal {signal.name!r} came in time"
    if signal.on_timeout == SIGNAL_TIMEOUT:
        return fail(plan, run, node, ErrorRecord(SIGNAL_TIMEOUT, message=message), at_ms)
    return fail(plan, run, node, ErrorRecord(signal.on_timeout, kind="business", message=message), at_ms)


# -- until when ---------------------------------------------------------------------------------------
def _due_at_ms(
    plan: Plan, run: Run, node: Node, duration: Template | None, moment: Template | None, at_ms: int, *, key: str
) -> int | ErrorRecord:
    scope = scope_at(plan, run, node.path)
    try:
        value = (duration or _given(moment)).render(scope)
    except ExpressionError as error:
        return expression_error(plan, node.path, key, error)
    try:
        if not isinstance(value, str):
            raise ValueError(f"it gives {kind(value)}, not a string")
        due_at_ms = at_ms + parse_duration(value) if duration is not None else _moment_ms(value)
        if due_at_ms - at_ms > MAX_DURATION_MS:
            raise ValueError(f"{value} is more than ten years away")
    except ValueError as error:
        return ErrorRecord("invalid_wait", message=f"{key}: {error}")
    return due_at_ms


def _given(template: Template | None) -> Template:
    if template is None:
        raise ValueError("a wait has a duration or a moment")
    return template


def _moment_ms(text: str) -> int:
    """Raises ValueError for anything but an ISO 8601 time with a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text[:40]}" is not an ISO 8601 time such as 2026-01-31T09:00:00Z') from None
    if moment.tzinfo is None:
        raise ValueError(f'"{text[:40]}" has no zone; add Z or +02:00')
    return round(moment.timestamp() * 1_000)
