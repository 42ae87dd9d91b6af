"""How long a step and a run may take at worst, as far as the file says: attempts, the pauses between them, waits.

What is not in the file stays open, by name: how many items there are, when a signal comes. Time in a queue counts where
a `queue_timeout` bounds it; what comes of unknown outcomes (verifying, trying on patiently) and undoing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from runner.definition.duration import parse_duration
from runner.definition.model import (
    BlockAction,
    Call,
    ChildAction,
    Definition,
    LoopAction,
    ParallelAction,
    RepeatAction,
    Retry,
    SignalAction,
    Step,
    SwitchAction,
    WaitAction,
    WorkerAction,
    steps_below,
)

_FOREVER_MS = 10**15  # thirty thousand years: a sum of more is none


@dataclass(frozen=True, slots=True)
class Span:
    """At worst so long, and what comes on top that nobody knows before."""

    ms: int = 0
    open: tuple[str, ...] = ()

    def __add__(self, other: Span) -> Span:
        return Span(min(self.ms + other.ms, _FOREVER_MS), tuple(dict.fromkeys((*self.open, *other.open))))

    def times(self, count: int) -> Span:
        return Span(min(self.ms * count, _FOREVER_MS), self.open)


def pauses_ms(retry: Retry) -> int:
    """All that lies between the attempts, if each is as long as jitter allows."""
    return sum(_pause_ms(retry, attempt) for attempt in range(1, retry.max_attempts))


def _pause_ms(retry: Retry, attempt: int) -> int:
    if retry.backoff == "fixed":
        base = float(retry.initial_ms)
    elif retry.backoff == "linear":
        base = float(retry.initial_ms * attempt)
    else:
        base = retry.initial_ms * retry.multiplier ** min(attempt - 1, 64)
    return int(min(base, retry.max_ms))


def call_ms(call: Call, queue_timeout_ms: int = 0) -> int:
    """Every attempt runs into its timeout."""
    return call.retry.max_attempts * (call.timeout_ms + queue_timeout_ms) + pauses_ms(call.retry)


def action_ms(action: WorkerAction) -> int:
    longest = call_ms(action.call, action.queue_timeout_ms)
    return min(longest, action.total_timeout_ms) if action.total_timeout_ms else longest


def span_of(steps: Iterable[Step], children: Mapping[str, Definition]) -> Span:
    """Of a sequence."""
    return sum((step_span(step, children) for step in steps), Span())


def step_span(step: Step, children: Mapping[str, Definition]) -> Span:
    """With the longest of its handlers: a step may fail at its very end."""
    act = _ACTIONS.get(type(step.action))
    own = Span() if act is None else act(step.action, children)
    return own + _longest(span_of(catch.steps, children) for catch in step.catch)


def run_span(definition: Definition) -> Span:
    """Of the steps of a run, without `finally`."""
    return span_of(definition.steps, definition.children)


def undo_ms(definition: Definition) -> int:
    """Of all undos one after the other; items of loops and children are counted once."""
    calls = (getattr(step.action, "compensate", None) for step in steps_below(definition.steps))
    return min(sum(call_ms(call) for call in calls if isinstance(call, Call)), _FOREVER_MS)


def _longest(spans: Iterable[Span]) -> Span:
    """Of several ways: the most that is known, and all that is open."""
    found = list(spans)
    return Span(max((span.ms for span in found), default=0), sum(found, Span()).open)


def _constant_ms(value: Any) -> int | None:
    try:
        return parse_duration(value) if isinstance(value, str) and "{{" not in value else None
    except ValueError:
        return None


def _worker(action: WorkerAction, _children: Mapping[str, Definition]) -> Span:
    return Span(action_ms(action))


def _block(action: BlockAction, children: Mapping[str, Definition]) -> Span:
    return span_of(action.steps, children)


def _parallel(action: ParallelAction, children: Mapping[str, Definition]) -> Span:
    return _longest(span_of(steps, children) for steps in action.branches.values())


def _loop(action: LoopAction, children: Mapping[str, Definition]) -> Span:
    item = span_of(action.steps, children)
    if isinstance(action.in_, list):
        return item.times(ceil(len(action.in_) / action.max_parallel))
    return item + Span(0, ("items",))


def _repeat(action: RepeatAction, children: Mapping[str, Definition]) -> Span:
    return span_of(action.steps, children).times(action.max_rounds)


def _switch(action: SwitchAction, children: Mapping[str, Definition]) -> Span:
    return _longest(span_of(case.steps, children) for case in action.cases)


def _wait(action: WaitAction, _children: Mapping[str, Definition]) -> Span:
    known = _constant_ms(action.duration)
    return Span(0, ("a wait",)) if known is None else Span(known)


def _signal(action: SignalAction, _children: Mapping[str, Definition]) -> Span:
    known = _constant_ms(action.timeout)
    return Span(0, (f"signal {action.signal}",)) if known is None else Span(known)


def _child(action: ChildAction, children: Mapping[str, Definition]) -> Span:
    child = children.get(action.digest)
    if child is None:
        return Span(0, (f"run of {action.workflow}",))
    longest = span_of(child.steps, children)
    limited = child.timeout_ms and (longest.open or child.timeout_ms < longest.ms) and not action.has_pivot
    return Span(child.timeout_ms) if limited else longest


_ACTIONS: Mapping[type, Callable[[Any, Mapping[str, Definition]], Span]] = {
    WorkerAction: _worker,
    BlockAction: _block,
    ParallelAction: _parallel,
    LoopAction: _loop,
    RepeatAction: _repeat,
    SwitchAction: _switch,
    WaitAction: _wait,
    SignalAction: _signal,
    ChildAction: _child,
}
