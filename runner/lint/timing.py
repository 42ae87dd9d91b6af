"""How long a step and a run may take at worst, as far as the file says: attempts, the pauses between them, waits.

What is not in the file stays open, by name: how many items there are, when a signal comes. Time in a queue counts where
a `queue_timeout` bounds it. Undoing before a handler is counted always, settling what is unknown on request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from runner.definition.duration import parse_duration
from runner.definition.model import (
    DEFAULT_TIMEOUT_MS,
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

LOST_MS = 30_000  # a worker process that died is given up after its lease and one more, whatever the timeout says
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


def settle_ms(action: WorkerAction, patient: Retry) -> int:
    """What comes on top if no attempt is ever answered: asking after each, trying on with the patience of undoing."""
    if action.kind == "readonly":
        return 0
    asked = action.call.retry.max_attempts * call_ms(action.verify) if action.verify is not None else 0
    if action.on_unknown != "retry":
        return asked
    each = action.call.timeout_ms + action.queue_timeout_ms
    return asked + patient.max_attempts * each + _pause_ms(patient, 1) + pauses_ms(patient)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is counted. `patient`: settling too, with this patience. `is_given`: only steps whose patience somebody
    chose, so that nothing is made of defaults."""

    children: Mapping[str, Definition]
    patient: Retry | None = None
    is_given: bool = False

    def of(self, action: WorkerAction) -> int:
        if self.is_given and action.call.retry == Retry() and action.call.timeout_ms == DEFAULT_TIMEOUT_MS:
            return 0
        return action_ms(action) + (settle_ms(action, self.patient) if self.patient is not None else 0)


def span_of(steps: Iterable[Step], terms: Terms) -> Span:
    """Of a sequence."""
    return sum((step_span(step, terms) for step in steps), Span())


def step_span(step: Step, terms: Terms) -> Span:
    """With the longest of its handlers, behind the undo that it waits for: a step may fail at its very end."""
    act = _ACTIONS.get(type(step.action))
    own = Span() if act is None else act(step.action, terms)
    undo = Span(_undo_of(_inside(step)))
    return own + _longest((undo if catch.undo else Span()) + span_of(catch.steps, terms) for catch in step.catch)


def run_span(definition: Definition, *, settled: bool = False) -> Span:
    """Of the steps of a run, without `finally`."""
    patient = definition.compensation_retry if settled else None
    return span_of(definition.steps, Terms(definition.children, patient))


def undo_ms(definition: Definition) -> int:
    """Of all undos one after the other; items of loops and children are counted once."""
    return _undo_of(steps_below(definition.steps))


def _undo_of(steps: Iterable[Step]) -> int:
    calls = (getattr(step.action, "compensate", None) for step in steps)
    return min(sum(call_ms(call) for call in calls if isinstance(call, Call)), _FOREVER_MS)


def _inside(step: Step) -> Iterator[Step]:
    """The step and all in it, but for its own handlers."""
    return steps_below((replace(step, catch=()),))


def _longest(spans: Iterable[Span]) -> Span:
    """Of several ways: the most that is known, and all that is open."""
    found = list(spans)
    return Span(max((span.ms for span in found), default=0), sum(found, Span()).open)


def _constant_ms(value: Any) -> int | None:
    try:
        return parse_duration(value) if isinstance(value, str) and "{{" not in value else None
    except ValueError:
        return None


def _worker(action: WorkerAction, terms: Terms) -> Span:
    return Span(terms.of(action))


def _block(action: BlockAction, terms: Terms) -> Span:
    return span_of(action.steps, terms)


def _parallel(action: ParallelAction, terms: Terms) -> Span:
    return _longest(span_of(steps, terms) for steps in action.branches.values())


def _loop(action: LoopAction, terms: Terms) -> Span:
    item = span_of(action.steps, terms)
    if isinstance(action.in_, list):
        return item.times(ceil(len(action.in_) / action.max_parallel))
    return item + Span(0, ("items",))


def _repeat(action: RepeatAction, terms: Terms) -> Span:
    return span_of(action.steps, terms).times(action.max_rounds)


def _switch(action: SwitchAction, terms: Terms) -> Span:
    return _longest(span_of(case.steps, terms) for case in action.cases)


def _wait(action: WaitAction, _terms: Terms) -> Span:
    known = _constant_ms(action.duration)
    return Span(0, ("a wait",)) if known is None else Span(known)


def _signal(action: SignalAction, _terms: Terms) -> Span:
    known = _constant_ms(action.timeout)
    return Span(0, (f"signal {action.signal}",)) if known is None else Span(known)


def _child(action: ChildAction, terms: Terms) -> Span:
    child = terms.children.get(action.digest)
    if child is None:
        return Span(0, (f"run of {action.workflow}",))
    longest = span_of(child.steps, terms)
    limited = child.timeout_ms and (longest.open or child.timeout_ms < longest.ms) and not action.has_pivot
    return Span(child.timeout_ms) if limited else longest


_ACTIONS: Mapping[type, Callable[[Any, Terms], Span]] = {
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
