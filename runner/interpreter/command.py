"""What is to be done because of an event: wishes, imperative. The engine puts them into one commit."""

from __future__ import annotations

from dataclasses import dataclass

from runner.interpreter import event as ev
from runner.interpreter.paths import RUN_TIMEOUT, items, static
from runner.interpreter.plan import CallPlan, Plan
from runner.interpreter.scope import error_at, step_ref
from runner.interpreter.state import Run
from runner.wire import TaskMessage

@dataclass(frozen=True, slots=True)
class DispatchTask:
    """Put an attempt on its worker's queue."""

    path: str
    message: TaskMessage
    payload: str  # the payload that is its input
    queue_timeout_ms: int


@dataclass(frozen=True, slots=True)
class RevokeTask:
    """Take the task of this node back, or ask for its end."""

    path: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Tell the run at this time."""

    name: str
    due_at_ms: int


@dataclass(frozen=True, slots=True)
class ClearTimer:
    """The timer is not needed any more."""

    name: str


Command = DispatchTask | RevokeTask | SetTimer | ClearTimer


def commands_of(plan: Plan, run: Run, event: ev.AnyEvent) -> tuple[Command, ...]:
    """`run` is the run after the event."""
    match event:
        case ev.TaskDispatched():
            return (_dispatch(plan, run, event),)
        case ev.RevokeAsked():
            return (RevokeTask(event.path),)
        case ev.RetryScheduled():
            return (SetTimer(event.timer, event.due_at_ms),)
        case ev.TimerDropped():
            return (ClearTimer(event.timer),)
        case ev.RunStarted() if plan.definition.timeout_ms:
            return (SetTimer(RUN_TIMEOUT, event.at_ms + plan.definition.timeout_ms),)
        case _:
            return ()


def _dispatch(plan: Plan, run: Run, event: ev.TaskDispatched) -> DispatchTask:
    place = plan.steps[static(event.path)]
    worker = place.worker
    if worker is None or place.step is None:
        raise ValueError(f"{event.path!r} is no operation of {run.header.workflow!r}")
    ref = step_ref(run, event.path)
    undoing = event.phase == "compensate"
    message = TaskMessage(
        worker=event.worker,
        run_id=run.header.run_id,
        workflow=run.header.workflow,
        version=run.header.version,
        path=event.path,
        step=place.step.id,
        phase=event.phase,
        attempt=event.attempt,
        max_attempts=event.max_attempts,
        timeout_ms=event.timeout_ms,
        step_ref=ref,
        idempotency_key=f"{ref}:{event.phase}",
        raises=worker.raises if event.phase == "action" else (),
        fencing=event.fencing,
        cause=_cause(run, event.path) if undoing else None,
        heartbeat_ms=worker.heartbeat_ms if event.phase == "action" else 0,
        item_path=items(event.path),
    )
    payload = f"{event.path}:{'undo' if undoing else event.phase}"
    return DispatchTask(event.path, message, payload, event.queue_timeout_ms)


def _cause(run: Run, path: str) -> ev.ErrorRecord | None:
    """What made the undo necessary: the failure that is being handled around it, else the run's."""
    return run.header.error or error_at(run, path) or run.nodes[path].error


def task_call(plan: Plan, path: str, phase: str) -> CallPlan:
    """The call that a phase of the step at `path` makes."""
    place = plan.steps[static(path)]
    call = {"action": place.action, "verify": place.verify, "compensate": place.compensate}[phase]
    if call is None:
        raise ValueError(f"{path!r} has no {phase}")
    return call
