"""A run that is over as spans of one trace. Pure: the ids are derived (runner/trace.py), the times are the history's.

The run is the root, and lasts as long as it did; below it, of each attempt, its way to the queue and, below that, the
work. What undoes, verifies or confirms an action is linked to the attempt that it is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.interpreter import event as ev
from runner.monitor.story import Attempt, Story
from runner.trace import Place, attempt_span, parse, run_span, send_span

Value = str | int | bool | float


@dataclass(frozen=True, slots=True)
class Span:
    """Times in ms. `error`: what the status says, "" where nothing went wrong."""

    name: str
    kind: Literal["internal", "producer", "consumer"]
    place: Place
    parent: Place | None
    start_ms: int
    end_ms: int
    attributes: Mapping[str, Value]
    links: tuple[Place, ...] = ()
    error: str = ""
    events: tuple[tuple[str, int, Mapping[str, Value]], ...] = field(default=())


def spans_of(events: Sequence[ev.AnyEvent], queue_of: Mapping[str, str]) -> list[Span]:
    """`queue_of`: queues by worker, where one has another name. Empty: the run is not over, or is not to be traced."""
    begun = next((event for event in events if isinstance(event, ev.RunStarted)), None)
    ended = next((event for event in reversed(events) if isinstance(event, ev.RunFinished)), None)
    if begun is None or ended is None or not run_span(begun.run_id, begun.traceparent).sampled:
        return []
    story = Story(events)
    found = [_root(begun, ended, events)]
    for path, chapter in story.chapters.items():
        acted: Place | None = None
        for attempt in chapter.attempts:
            pair = _attempt(begun, path, attempt, queue_of.get(attempt.worker, attempt.worker), acted)
            found += pair
            if attempt.phase == "action" and attempt.claimed_at_ms:
                acted = pair[-1].place
    return found


def _root(begun: ev.RunStarted, ended: ev.RunFinished, events: Iterable[ev.AnyEvent]) -> Span:
    why = next((event.error for event in events if isinstance(event, ev.RunFailing)), None)
    attributes = {**_about(begun), "sagarun.run.status": ended.status}
    attributes |= {"sagarun.run.key": begun.key} if begun.key else {}
    attributes |= {"sagarun.run.parent": begun.parent} if begun.parent else {}
    attributes |= {"error.type": why.code} if why is not None else {}
    error = "" if ended.status == "completed" else _error_text(why, ended.status)
    return Span(
        f"run {begun.workflow}", "internal", run_span(begun.run_id, begun.traceparent), parse(begun.traceparent),
        begun.at_ms, ended.at_ms, attributes, error=error, events=tuple(_marks(events)),
    )


def _marks(events: Iterable[ev.AnyEvent]) -> Iterable[tuple[str, int, Mapping[str, Value]]]:
    """What a person looks for on the root."""
    for event in events:
        match event:
            case ev.RunFailing():
                yield "run turns back", event.at_ms, {"error.type": event.error.code}
            case ev.RunStuck():
                yield "run is stuck", event.at_ms, {}
            case ev.RunDecided():
                yield "run is decided", event.at_ms, {}
            case ev.AlertRaised():
                yield "alert", event.at_ms, {}
            case ev.RequestAccepted():
                yield f"{event.verb} accepted", event.at_ms, {}
            case ev.SignalKept():
                yield "signal received", event.at_ms, {"sagarun.signal.name": event.name}
            case _:
                pass


def _attempt(begun: ev.RunStarted, path: str, attempt: Attempt, queue: str, acted: Place | None) -> list[Span]:
    """The way to the queue, and the work, if anybody took it."""
    who = (begun.run_id, begun.traceparent, path, attempt.phase, attempt.told, attempt.asked_at_ms)
    ref = f"{begun.run_id}/{path}:{attempt.phase}:{attempt.told}"
    attributes: dict[str, Value] = {
        **_about(begun), "sagarun.step.path": path, "sagarun.phase": attempt.phase, "sagarun.attempt": attempt.told,
        "sagarun.worker": attempt.worker, "messaging.system": "redis", "messaging.destination.name": queue,
        "messaging.message.id": ref, "messaging.message.conversation_id": begun.run_id,
    }
    links = (acted,) if acted is not None and attempt.phase != "action" else ()
    sent_ms = attempt.asked_at_ms
    sending = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    send = Span(
        f"send {queue}", "producer", send_span(*who), run_span(begun.run_id, begun.traceparent), sent_ms, sent_ms,
        {**attributes, **sending}, links, error="" if attempt.claimed_at_ms else _failed(attempt),
    )
    if not attempt.claimed_at_ms:
        return [send]
    working: dict[str, Value] = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    working |= {"sagarun.process": attempt.process, "sagarun.outcome": attempt.word}
    working |= {"sagarun.queue_ms": attempt.queue_ms} if attempt.queue_ms is not None else {}
    failed = _failed(attempt)
    working |= {"error.type": attempt.error.code} if failed and attempt.error is not None else {}
    end_ms = max(attempt.settled_at_ms or attempt.claimed_at_ms, attempt.claimed_at_ms)
    return [send, Span(
        f"process {queue}", "consumer", attempt_span(*who, fresh=attempt.fresh), send.place, attempt.claimed_at_ms,
        end_ms, {**attributes, **working}, links, error=failed,
    )]  # fmt: skip


def _failed(attempt: Attempt) -> str:
    if attempt.outcome in ("", "completed", "revoked"):
        return ""
    return _error_text(attempt.error, attempt.word)


def _error_text(error: Any, otherwise: str) -> str:
    if error is None:
        return otherwise
    return f"{error.code}: {error.message}" if error.message else str(error.code)


def _about(begun: ev.RunStarted) -> dict[str, Value]:
    return {
        "sagarun.workflow.name": begun.workflow, "sagarun.workflow.version": begun.version,
        "sagarun.run.id": begun.run_id,
    }
