"""What the events of one commit count. Pure, and on the path of every commit: it looks at each event once.

Rule: each fact is counted where it happens and nowhere else, by names of `series`; a view adds up, nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from runner.figures import series
from runner.figures.buckets import bucket_of
from runner.figures.series import ALIKE, in_bucket, name
from runner.interpreter import event as ev
from runner.interpreter.advance import Transition
from runner.interpreter.paths import static
from runner.interpreter.plan import CallPlan, Plan, StepPlan
from runner.interpreter.state import RunStatus

Counts = list[tuple[str, int]]
QueueOf = Callable[[str], str]


def counts_of(before: RunStatus | None, transitions: Sequence[Transition], plan: Plan, queue_of: QueueOf) -> Counts:
    """What became of a run in one commit. `before`: its status until then; None: it begins."""
    counts: Counts = []
    for transition in transitions:
        for event in transition.events:
            kind = type(event)
            if kind in _COUNT:
                _COUNT[kind](counts, plan, transition, event, queue_of)
    header = transitions[-1].run.header
    if header.status is not before:
        workflow = header.workflow
        if before is not None:
            counts.append((name(series.LIVE, workflow, before), -1))
        if not header.is_terminal:
            counts.append((name(series.LIVE, workflow, header.status), 1))
    return counts


def _started(counts: Counts, _plan: Plan, _made: Transition, event: ev.RunStarted, _queue_of: QueueOf) -> None:
    counts.append((name(series.STARTED, event.workflow, event.version), 1))


def _finished(counts: Counts, _plan: Plan, made: Transition, event: ev.RunFinished, _queue_of: QueueOf) -> None:
    header = made.run.header
    counts.append((name(series.FINISHED, header.workflow, header.version, event.status), 1))
    lasted, ms = name(series.LASTED, header.workflow, event.status), event.at_ms - header.started_at_ms
    counts.append((in_bucket(lasted, bucket_of(ms)), 1))
    _add_up(counts, lasted, ms)


def _stuck(counts: Counts, _plan: Plan, made: Transition, _event: ev.RunStuck, _queue_of: QueueOf) -> None:
    counts.append((name(series.STUCK, made.run.header.workflow), 1))


def _settled(counts: Counts, plan: Plan, made: Transition, event: ev.TaskSettled, queue_of: QueueOf) -> None:
    """What was taken back before anybody claimed it was no attempt."""
    node = made.settled  # as it was before: what follows may have sent the next attempt out already
    if node is None or event.outcome == "revoked":
        return
    place, phase, workflow, outcome = plan.steps[event.path], node.phase, made.run.header.workflow, event.outcome
    step, worker, process = place.path, _worker(place, phase), event.process or "?"
    if outcome != "completed":
        kind = event.error.kind if event.error is not None else "technical"
        type_ = series.error_type(event.error)
        counts.append((name(series.FAILED, workflow, step, phase, worker, outcome, kind, type_), 1))
        counts.append((name(series.ERRED, worker), 1))
    claimed_at_ms = event.claimed_at_ms
    if claimed_at_ms:
        ms = event.duration_ms or event.at_ms - claimed_at_ms
        took, did = name(series.TOOK, workflow, step, phase, worker, outcome), name(series.DID, process, outcome)
        ran, bucket = name(series.RAN, worker), bucket_of(ms)
        counts.append((f"{ran}{ALIKE}{in_bucket(took, bucket)}{ALIKE}{in_bucket(did, bucket)}", 1))
        _add_up(counts, took, ms)
        if node.sent_at_ms:
            ms = max(0, claimed_at_ms - node.sent_at_ms)
            queued, waited = name(series.QUEUED, queue_of(worker), worker), name(series.WAITED, process)
            bucket = bucket_of(ms)
            counts.append((f"{in_bucket(queued, bucket)}{ALIKE}{in_bucket(waited, bucket)}", 1))
            _add_up(counts, queued, ms)
    else:
        counts.append((name(series.RAN, worker), 1))


def _retried(counts: Counts, plan: Plan, made: Transition, event: ev.RetryScheduled, _queue_of: QueueOf) -> None:
    step = static(event.path)
    worker = _worker(plan.steps[step], event.phase)
    counts.append((name(series.RETRIED, made.run.header.workflow, step, event.phase, worker), 1))


def _undone(counts: Counts, plan: Plan, made: Transition, event: ev.StepUndone, _queue_of: QueueOf) -> None:
    """Of steps with a compensation. What had nothing to undo, and scopes, are no compensations."""
    if plan.steps[event.path].compensate is not None and not event.nothing:
        outcome = "skipped" if event.skipped else "resolved" if event.resolved else "compensated"
        counts.append((name(series.UNDONE, made.run.header.workflow, outcome), 1))


def _step_stuck(counts: Counts, plan: Plan, made: Transition, event: ev.StepStuck, _queue_of: QueueOf) -> None:
    node = made.run.nodes.get(event.path)  # as it is at the end of the commit: whoever resolved it since left the error
    if node is not None and node.undo_error == event.error and plan.steps[event.path].compensate is not None:
        counts.append((name(series.UNDONE, made.run.header.workflow, "stuck"), 1))


def _add_up(counts: Counts, histogram: str, ms: float) -> None:
    micros = round(ms * 1000)
    if micros > 0:
        counts.append((in_bucket(histogram, series.SUM), micros))


_CALLS: dict[str, Callable[[StepPlan], CallPlan | None]] = {
    "compensate": attrgetter("compensate"), "verify": attrgetter("verify"), "confirm": attrgetter("confirm"),
}


def _worker(place: StepPlan, phase: str) -> str:
    call = place.action if phase == "action" else _CALLS[phase](place) if phase in _CALLS else None
    return call.worker if call is not None else "?"


_COUNT: dict[type, Callable[[Counts, Plan, Transition, Any, QueueOf], None]] = {
    ev.RunStarted: _started,
    ev.RunFinished: _finished,
    ev.RunStuck: _stuck,
    ev.TaskSettled: _settled,
    ev.RetryScheduled: _retried,
    ev.StepUndone: _undone,
    ev.StepStuck: _step_stuck,
}
