"""What is to be done because of an event: wishes, imperative. The engine puts them into one commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runner.interpreter import event as ev
from runner.interpreter.paths import RUN, RUN_TIMEOUT, items, parent, static
from runner.interpreter.plan import Plan
from runner.interpreter.scope import step_ref
from runner.interpreter.state import Run
from runner.wire import ErrorRecord, TaskMessage


class DispatchTask(msgspec.Struct, frozen=True, gc=False):
    """Put an attempt on its worker's queue."""

    path: str
    message: TaskMessage
    payload: str  # the payload that is its input
    queue_timeout_ms: int


class RevokeTask(msgspec.Struct, frozen=True, gc=False):
    """Take the task of this node back if nobody has claimed it; `kill`: else ask for its end."""

    path: str
    kill: bool


class SetTimer(msgspec.Struct, frozen=True, gc=False):
    """Tell the run at this time."""

    name: str
    due_at_ms: int


class ClearTimer(msgspec.Struct, frozen=True, gc=False):
    """The timer is not needed any more."""

    name: str


Command = DispatchTask | RevokeTask | SetTimer | ClearTimer


def _started(plan: Plan, _run: Run, event: ev.RunStarted) -> tuple[Command, ...]:
    timeout_ms = plan.definition.timeout_ms
    return (SetTimer(RUN_TIMEOUT, event.at_ms + timeout_ms),) if timeout_ms else ()


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
        last_details=_last_details(run, event),
    )
    payload = f"{event.path}:{'undo' if undoing else event.phase}"
    return DispatchTask(event.path, message, payload, event.queue_timeout_ms)


def _last_details(run: Run, event: ev.TaskDispatched) -> Any:
    """What an attempt before this one had last said with a heartbeat, if it was ended for its silence or its time."""
    error = run.nodes[event.path].error
    told = error.details if error is not None and event.phase == "action" and event.attempt > 1 else None
    return told.get("last_details") if isinstance(told, dict) else None


def _cause(run: Run, path: str) -> ErrorRecord | None:
    """What made the undo necessary: the failure that the rollback around it is for, else the run's, else its own."""
    above = path
    while above != RUN:
        if run.nodes[above].rolling:
            return run.nodes[above].error
        above = parent(above)
    return run.header.error or run.nodes[path].error


# What follows from an event; `run` is the run after it. An event that is not listed wants nothing done.
COMMANDS: dict[type, Callable[[Plan, Run, Any], tuple[Command, ...]]] = {
    ev.RunStarted: _started,
    ev.TaskDispatched: lambda plan, run, event: (_dispatch(plan, run, event),),
    ev.RevokeAsked: lambda _plan, _run, event: (RevokeTask(event.path, event.kill),),
    ev.RetryScheduled: lambda _plan, _run, event: (SetTimer(event.timer, event.due_at_ms),),
    ev.WaitStarted: lambda _plan, _run, event: (SetTimer(event.timer, event.due_at_ms),) if event.timer else (),
    ev.TimerDropped: lambda _plan, _run, event: (ClearTimer(event.timer),),
}
