"""What the events of one commit count. Pure, and on the path of every commit: it looks at each event once.

Rule: each fact is counted where it happens and nowhere else, by names of `series`; a view adds up, nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from runner.figures import series
from runner.figures.buckets import bucket_of
from runner.figures.series import name
from runner.interpreter import event as ev
from runner.interpreter.advance import Transition
from runner.interpreter.paths import static
from runner.interpreter.plan import CallPlan, Plan, StepPlan
from runner.interpreter.state import Run, RunStatus

Counts = list[tuple[str, int]]
QueueOf = Callable[[str], str]


def counts_of(before: RunStatus | None, transitions: Sequence[Transition], plan: Plan, queue_of: QueueOf) -> Counts:
    """What became of a run in one commit. `before`: its status until then; None: it begins."""
    counts: Counts = []
    for transition in transitions:
        for event in transition.events:
            count = _COUNT.get(type(event))
            if count is not None:
                count(counts, plan, transition.run, event, queue_of)
    header = transitions[-1].run.header
    if header.status is not before:
        workflow = header.workflow
        if before is not None:
            counts.append((name(series.LIVE, workflow, before), -1))
        if not header.is_terminal:
            counts.append((name(series.LIVE, workflow, header.status), 1))
    return counts


def _started(counts: Counts, _plan: Plan, _run: Run, event: ev.RunStarted, _queue_of: QueueOf) -> None:
    counts.append((name(series.STARTED, event.workflow, event.version), 1))


def _finished(counts: Counts, _plan: Plan, run: Run, event: ev.RunFinished, _queue_of: QueueOf) -> None:
    header = run.header
    counts.append((name(series.FINISHED, header.workflow, header.version, event.status), 1))
    _time(counts, name(series.LASTED, header.workflow, event.status), event.at_ms - header.started_at_ms)


def _stuck(counts: Counts, _plan: Plan, run: Run, _event: ev.RunStuck, _queue_of: QueueOf) -> None:
    counts.append((name(series.STUCK, run.header.workflow), 1))


class _Names(NamedTuple):
    """Of one attempt, as far as they do not hang on its times and errors: most attempts share theirs with many."""

    ran: str
    took: str
    queued: str
    did: str
    waited: str


@lru_cache(maxsize=8192)
def _names(workflow: str, step: str, phase: str, worker: str, queue: str, outcome: str, process: str) -> _Names:
    return _Names(
        name(series.RAN, worker), name(series.TOOK, workflow, step, phase, worker, outcome),
        name(series.QUEUED, queue, worker), name(series.DID, process, outcome), name(series.WAITED, process),
    )


def _settled(counts: Counts, plan: Plan, run: Run, event: ev.TaskSettled, queue_of: QueueOf) -> None:
    """What was taken back before anybody claimed it was no attempt."""
    node = run.changed.get(event.path)  # as it was before: what follows may have sent the next attempt out already
    if node is None or event.outcome == "revoked":
        return
    step, phase, workflow, outcome = static(event.path), node.phase, run.header.workflow, event.outcome
    worker = _worker(plan.steps[step], phase)
    ran, took, queued, did, waited = _names(
        workflow, step, phase, worker, queue_of(worker), outcome, event.process or "?"
    )
    counts.append((ran, 1))
    if outcome != "completed":
        kind = event.error.kind if event.error is not None else "technical"
        type_ = series.error_type(event.error)
        counts.append((name(series.FAILED, workflow, step, phase, worker, outcome, kind, type_), 1))
        counts.append((name(series.ERRED, worker), 1))
    claimed_at_ms = event.claimed_at_ms
    if claimed_at_ms:
        took_ms = event.duration_ms or event.at_ms - claimed_at_ms
        counts.append((f"{did}|{_time(counts, took, took_ms)}", 1))
        if node.sent_at_ms:
            counts.append((f"{waited}|{_time(counts, queued, max(0, claimed_at_ms - node.sent_at_ms))}", 1))


def _retried(counts: Counts, plan: Plan, run: Run, event: ev.RetryScheduled, _queue_of: QueueOf) -> None:
    step = static(event.path)
    worker = _worker(plan.steps[step], event.phase)
    counts.append((name(series.RETRIED, run.header.workflow, step, event.phase, worker), 1))


def _undone(counts: Counts, plan: Plan, run: Run, event: ev.StepUndone, _queue_of: QueueOf) -> None:
    """Of steps with a compensation. What had nothing to undo, and scopes, are no compensations."""
    if plan.steps[static(event.path)].compensate is not None and not event.nothing:
        outcome = "skipped" if event.skipped else "resolved" if event.resolved else "compensated"
        counts.append((name(series.UNDONE, run.header.workflow, outcome), 1))


def _step_stuck(counts: Counts, plan: Plan, run: Run, event: ev.StepStuck, _queue_of: QueueOf) -> None:
    node = run.nodes.get(event.path)
    if node is not None and node.undo == "undoing" and plan.steps[static(event.path)].compensate is not None:
        counts.append((name(series.UNDONE, run.header.workflow, "stuck"), 1))


def _time(counts: Counts, histogram: str, ms: float) -> int:
    """The bucket that it is in."""
    bucket = bucket_of(ms)
    counts.append((f"{histogram}|{bucket}", 1))
    micros = round(ms * 1000)
    if micros > 0:
        counts.append((f"{histogram}|{series.SUM}", micros))
    return bucket


_CALLS: dict[str, Callable[[StepPlan], CallPlan | None]] = {
    "action": attrgetter("action"), "compensate": attrgetter("compensate"), "verify": attrgetter("verify"),
    "confirm": attrgetter("confirm"),
}


def _worker(place: StepPlan, phase: str) -> str:
    call = _CALLS[phase](place) if phase in _CALLS else None
    return call.worker if call is not None else "?"


_COUNT: dict[type, Callable[[Counts, Plan, Run, Any, QueueOf], None]] = {
    ev.RunStarted: _started,
    ev.RunFinished: _finished,
    ev.RunStuck: _stuck,
    ev.TaskSettled: _settled,
    ev.RetryScheduled: _retried,
    ev.StepUndone: _undone,
    ev.StepStuck: _step_stuck,
}
