"""What is to be done because of an event: wishes, imperative. The engine puts them into one commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runner.interpreter import event as ev
from runner.interpreter.family import MAX_TOLD, living_children, told_by_event
from runner.interpreter.paths import RUN, RUN_TIMEOUT, items, parent
from runner.interpreter.plan import Plan
from runner.interpreter.scope import step_ref
from runner.interpreter.state import Run
from runner.trace import attempt_span, run_span
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


class StartChild(msgspec.Struct, frozen=True, gc=False):
    """Start a run of the definition with this digest, if the input fits it."""

    started: ev.RunStarted
    summary: str = ""  # of its definition: for lists; whoever checks the input fills it in


class TellRun(msgspec.Struct, frozen=True, gc=False):
    """Put this into the inbox of a parent or child run."""

    run_id: str
    told: ev.ChildTold | ev.ParentTold


Command = DispatchTask | RevokeTask | SetTimer | ClearTimer | StartChild | TellRun


def _started(plan: Plan, _run: Run, event: ev.RunStarted) -> tuple[Command, ...]:
    timeout_ms = plan.definition.timeout_ms
    return (SetTimer(RUN_TIMEOUT, event.at_ms + timeout_ms),) if timeout_ms else ()


def dispatch_of(plan: Plan, run: Run, event: ev.TaskDispatched) -> DispatchTask:
    place = plan.steps[event.path]
    worker = place.worker
    if not place.is_operation or place.step is None:
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
        raises=worker.raises if worker is not None and event.phase == "action" else (),
        fencing=event.fencing,
        cause=_cause(run, event.path) if undoing else None,
        heartbeat_ms=worker.heartbeat_ms if worker is not None and event.phase == "action" else 0,
        item_path=items(event.path),
        last_details=_last_details(run, event),
        alone=_is_suspect(run, event),
        traceparent=attempt_span(
            run.header.run_id, run.header.traceparent, event.path, event.phase, event.attempt, event.at_ms,
            fresh=event.fresh,
        ).traceparent,
    )
    payload = f"{event.path}:{'undo' if undoing else event.phase}"
    return DispatchTask(event.path, message, payload, event.queue_timeout_ms)


def _last_details(run: Run, event: ev.TaskDispatched) -> Any:
    """What an attempt before this one had last said with a heartbeat, if it was ended for its silence or its time."""
    if event.phase != "action" or event.attempt == 1:
        return None
    error = run.nodes[event.path].error
    told = error.details if error is not None else None
    return told.get("last_details") if isinstance(told, dict) else None


def _is_suspect(run: Run, event: ev.TaskDispatched) -> bool:
    """Whether the attempt before it, in the same phase, ended with the child that ran it."""
    node = run.nodes.get(event.path)
    if node is None:
        return False
    error = {
        "action": node.error, "compensate": node.undo_error, "verify": node.verify_error, "confirm": node.confirm_error,
    }[event.phase]
    if error is None or error.code not in ("worker_lost", "crash_loop"):
        return False
    return isinstance(error.details, dict) and "exit" in error.details


def _cause(run: Run, path: str) -> ErrorRecord | None:
    """What made the undo necessary: the failure that the rollback around it is for, or the branch that won before it,
    else the run's failure, else its own."""
    above = path
    while above != RUN:
        node, race = run.nodes[above], run.nodes.get(parent(above))
        if node.rolling:
            return node.error
        if race is not None and race.winner not in ("", above) and race.undo == "" and node.undo == "undoing":
            return ErrorRecord("race_lost", message=f"{race.winner} completed first")
        above = parent(above)
    return run.header.error or run.nodes[path].error


# -- parents and children -----------------------------------------------------------------------------
def _start_child(plan: Plan, run: Run, event: ev.ChildStarted) -> tuple[Command, ...]:
    action = plan.steps[event.path].child
    if action is None:
        raise ValueError(f"{event.path!r} starts no child")
    started = ev.RunStarted(
        at_ms=0, run_id=event.run_id, workflow=action.workflow, version=action.version, digest=action.digest,
        input=event.input, by=_by(run), parent=run.header.run_id, parent_path=event.path,
        holds=action.compensate is None,
        traceparent=run_span(run.header.run_id, run.header.traceparent).traceparent,
    )
    return (StartChild(started),)


def _ask_child(_plan: Plan, run: Run, event: ev.ChildAsked) -> tuple[Command, ...]:
    header, child = run.header, run.nodes[event.path].child
    make: dict[str, Any] = {"at_ms": 0, "by": _by(run), "verb": event.verb}
    if event.verb == "undo":
        cause = _cause(run, event.path)
        is_cancel = header.ending == "cancelled" and cause == header.error
        make |= {"error": cause, "ending": "cancelled" if is_cancel else "compensated"}
    elif event.verb == "cancel":
        why = f": {header.error.code}" if header.error is not None else ""
        make |= {"kill": event.kill, "reason": f"its parent, run {header.run_id}, turns back{why}"}
    return (TellRun(child, ev.ParentTold(**make)),)


def _by(run: Run) -> str:
    return f"run {run.header.run_id}"


def _finished(_plan: Plan, run: Run, event: ev.RunFinished) -> tuple[Command, ...]:
    """Whoever ends without undo takes its children along."""
    told = ev.ParentTold(0, by=_by(run), verb="abandon")
    return (*(TellRun(child, told) for child in living_children(run)[:MAX_TOLD]), *_tell_parent(_plan, run, event))


def _tell_parent(_plan: Plan, run: Run, event: Any) -> tuple[Command, ...]:
    told = told_by_event(run, event)
    return () if told is None else (TellRun(run.header.parent, told),)


def _provisional(plan: Plan, run: Run, event: ev.RunProvisional) -> tuple[Command, ...]:
    timeout = (ClearTimer(RUN_TIMEOUT),) if plan.definition.timeout_ms else ()
    return (*timeout, *_tell_parent(plan, run, event))


# What follows from an event; `run` is the run after it. An event that is not listed wants nothing done.
COMMANDS: dict[type, Callable[[Plan, Run, Any], tuple[Command, ...]]] = {
    ev.RunStarted: _started,
    ev.TaskDispatched: lambda plan, run, event: (dispatch_of(plan, run, event),),
    ev.RevokeAsked: lambda _plan, _run, event: (RevokeTask(event.path, event.kill),),
    ev.RetryScheduled: lambda _plan, _run, event: (SetTimer(event.timer, event.due_at_ms),),
    ev.WaitStarted: lambda _plan, _run, event: (SetTimer(event.timer, event.due_at_ms),) if event.timer else (),
    ev.TimerDropped: lambda _plan, _run, event: (ClearTimer(event.timer),),
    ev.ChildStarted: _start_child,
    ev.ChildAsked: _ask_child,
    ev.NewsSent: _tell_parent,
    ev.RunProvisional: _provisional,
    ev.RunFinished: _finished,
}
