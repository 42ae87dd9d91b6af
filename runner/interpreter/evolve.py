"""What an event does to a run: the only code that changes one.

Rule: `evolve` never asks whether an event should have been; `decide` and `judge` did. It moves the
nodes, and puts on the agenda every node that may have something to do now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from runner.interpreter import event as ev
from runner.interpreter.paths import FINALLY, ROOT, RUN, RUN_TIMEOUT, parent, static
from runner.interpreter.plan import Plan
from runner.interpreter.state import Header, Node, Run, RunStatus, StepStatus, move_run, move_step

CRASH_LOOP = 5  # lost processes in a row after which the task itself is to blame


def evolve(plan: Plan, run: Run, event: ev.AnyEvent) -> None:
    """Apply one event to this draft."""
    EVOLVE[type(event)](plan, run, event)


def replay(plan: Plan, header_event: ev.RunStarted, events: list[ev.AnyEvent]) -> Run:
    """The run that these events lead to, from nothing."""
    run = new_run(header_event)
    for event in events:
        evolve(plan, run, event)
    return run


def new_run(event: ev.RunStarted) -> Run:
    header = Header(
        run_id=event.run_id,
        workflow=event.workflow,
        version=event.version,
        digest=event.digest,
        key=event.key,
        rerun_of=event.rerun_of,
        started_at_ms=event.at_ms,
    )
    return Run(header, {}, {})


def _due(run: Run, path: str) -> None:
    run.agenda.setdefault(path)


# -- runs ---------------------------------------------------------------------------------------------
def _run_started(plan: Plan, run: Run, event: ev.RunStarted) -> None:
    run.put("~input", event.input)
    if plan.definition.vars:
        run.put("~vars", dict(plan.definition.vars))
    run.add(Node(path=ROOT, started_at_ms=event.at_ms))
    _due(run, ROOT)


def _continued(_plan: Plan, _run: Run, _event: ev.Continued) -> None:
    """What was left over is on the agenda already."""


def _request_held(_plan: Plan, run: Run, event: ev.RequestHeld) -> None:
    # A cancel that waits is not replaced by a timeout: it ends the run as the person asked.
    if run.header.pending != "cancel":
        run.header.pending, run.header.pending_nonce = event.verb, event.nonce
        run.header.pending_reason = event.reason


def _request_accepted(_plan: Plan, _run: Run, _event: ev.RequestAccepted) -> None:
    """For the record; what follows from it are events of their own."""


def _request_refused(_plan: Plan, run: Run, event: ev.RequestRefused) -> None:
    header = run.header
    if header.pending == event.verb:
        header.pending_nonce = header.pending_reason = ""
        header.pending = "timeout" if header.overdue else ""
        # The whole is looked at once more: what was held may have been all that the run waited for.
        _due(run, RUN)


def _alert_raised(_plan: Plan, run: Run, event: ev.AlertRaised) -> None:
    run.header.alerts = (*run.header.alerts, event.message)[-20:]
    if event.overdue:
        run.header.overdue = False
        if run.header.pending == "timeout":
            run.header.pending = ""
        _due(run, RUN)


def _run_failing(_plan: Plan, run: Run, event: ev.RunFailing) -> None:
    run.header.error = event.error
    run.header.ending = event.ending
    run.header.pending = run.header.pending_nonce = run.header.pending_reason = ""
    run.header.overdue = False
    move_run(run.header, RunStatus.COMPENSATING)
    run.edit(ROOT).halt = True
    _due(run, ROOT)
    _due(run, RUN)


def _root_resolved(_plan: Plan, run: Run, _event: ev.RootResolved) -> None:
    _unstick(run, run.edit(ROOT), "completed")


def _run_decided(_plan: Plan, run: Run, event: ev.RunDecided) -> None:
    run.header.decided = True
    run.put("~output", event.output)
    _due(run, RUN)


def _run_stuck(_plan: Plan, run: Run, _event: ev.RunStuck) -> None:
    move_run(run.header, RunStatus.STUCK)


def _run_finished(_plan: Plan, run: Run, event: ev.RunFinished) -> None:
    move_run(run.header, RunStatus(event.status))
    run.header.standing = event.standing
    run.header.ended_at_ms = event.at_ms
    run.header.stuck = ()
    run.agenda.clear()


# -- tasks and timers ---------------------------------------------------------------------------------
def _task_dispatched(plan: Plan, run: Run, event: ev.TaskDispatched) -> None:
    node = run.edit(event.path)
    node.phase, node.open, node.last, node.due, node.hint_ms = event.phase, True, "", False, 0
    node.verdict, node.fencing, node.fenced = "", event.fencing, False
    run.header.busy += 1
    if event.phase == "action":
        node.spent, node.patient = event.attempt, event.patient
        node.tries += 1
        if _is_pivot(plan, event.path) and run.header.pivot != "passed":
            run.header.pivot = "in_flight"
    elif event.phase == "verify":
        node.asked = event.attempt
    else:
        node.undo_spent = event.attempt
        node.undo_tries += 1
        if node.status is not StepStatus.COMPENSATING:
            move_step(node, StepStatus.COMPENSATING)
    if event.fresh:
        run.put(f"{event.path}:{'undo' if event.phase == 'compensate' else event.phase}", event.input)
        if event.undo is not None:
            run.put(f"{event.path}:undo", event.undo)


def _task_settled(plan: Plan, run: Run, event: ev.TaskSettled) -> None:
    node = run.edit(event.path)
    node.open, node.revoking, node.last = False, False, event.outcome
    node.hint_ms, node.verdict, node.fenced = event.hint_ms, event.verdict, event.fenced
    run.header.busy -= 1
    run.header.size += event.size
    if event.outcome == "revoked":
        # It never began, so it was no attempt.
        if node.phase == "action":
            node.spent, node.tries = node.spent - 1, node.tries - 1
    elif node.phase == "compensate":
        node.undo_error = event.error
    elif node.phase == "verify":
        node.verify_error = event.error
    else:
        _action_settled(plan, node, event)
    if event.outcome == "completed" and (node.phase == "action" or node.verdict == "landed"):
        run.put(f"{event.path}:result", event.output)
    _due(run, event.path)


def _action_settled(plan: Plan, node: Node, event: ev.TaskSettled) -> None:
    node.error = event.error
    # Only actions count: a verification that is answered in between does not make the action any safer.
    node.lost = node.lost + 1 if event.error is not None and event.error.code == "worker_lost" else 0
    if node.lost >= CRASH_LOOP and event.error is not None:
        message = f"{node.lost} worker processes in a row were lost while they ran it"
        node.error = replace(event.error, code="crash_loop", message=message)
    worker = plan.steps[static(event.path)].worker
    if event.outcome == "unknown" and worker is not None and worker.kind != "readonly":
        node.unknown = True


def _is_pivot(plan: Plan, path: str) -> bool:
    worker = plan.steps[static(path)].worker
    return worker is not None and worker.kind == "pivot"


def _revoke_asked(_plan: Plan, run: Run, event: ev.RevokeAsked) -> None:
    run.edit(event.path).revoking = True


def _retry_scheduled(_plan: Plan, run: Run, event: ev.RetryScheduled) -> None:
    node = run.edit(event.path)
    if event.patient and not node.patient:
        node.patient, node.spent = True, 0
    if event.phase != node.phase:
        # After "not landed" the action is asked again: what is known of it is still its unknown attempt.
        node.phase, node.asked, node.last = event.phase, 0, "unknown"
    node.timer, node.waits = event.timer, node.waits + 1
    run.header.busy += 1


def _timer_fired(_plan: Plan, run: Run, event: ev.TimerFired) -> None:
    if event.name == RUN_TIMEOUT:
        run.header.pending = run.header.pending or "timeout"
        run.header.overdue = True
        _due(run, RUN)
        return
    path = event.name.partition("@")[0]
    node = run.nodes.get(path)
    if node is None or node.timer != event.name:
        return  # it was dropped while the timer was on its way
    node = run.edit(path)
    node.timer, node.due = "", True
    run.header.busy -= 1
    _due(run, path)


def _timer_dropped(_plan: Plan, run: Run, event: ev.TimerDropped) -> None:
    node = run.edit(event.path)
    node.timer = ""
    run.header.busy -= 1
    _due(run, event.path)


# -- forward ------------------------------------------------------------------------------------------
def _step_started(_plan: Plan, run: Run, event: ev.StepStarted) -> None:
    if event.path in run.nodes:
        run.edit(event.path).gate = False
        _due(run, event.path)
        return
    node = run.add(Node(path=event.path, gate=event.gated, started_at_ms=event.at_ms))
    above = run.nodes.get(parent(event.path))
    if above is not None:
        node.halt = above.halt
    if event.path == FINALLY:
        run.header.finishing = True
    elif above is not None and event.path[len(above.path)] in ".#":
        above = run.edit(above.path)
        above.active += 1
        above.cursor += 1
        _due(run, above.path)
    _due(run, event.path)


def _items_listed(_plan: Plan, run: Run, event: ev.ItemsListed) -> None:
    run.put(f"{event.path}:items", event.items)
    run.edit(event.path).count = len(event.items)
    _due(run, event.path)


def _step_skipped(_plan: Plan, run: Run, event: ev.StepSkipped) -> None:
    node = run.nodes.get(event.path)
    if node is None:
        node = run.add(Node(path=event.path, status=StepStatus.PENDING, started_at_ms=event.at_ms))
        move_step(node, StepStatus.SKIPPED)
    else:
        node = run.edit(event.path)
        move_step(node, StepStatus.SKIPPED)
        _unstick(run, node, "skipped")
    _come_to_rest(run, node, event.at_ms)


def _step_completed(plan: Plan, run: Run, event: ev.StepCompleted) -> None:
    node = run.edit(event.path)
    move_step(node, StepStatus.COMPLETED)
    node.has_output = event.has_output
    node.error, node.fault = event.error, event.error is not None
    if event.has_output:
        run.put(f"{event.path}:output", event.output)
    place = plan.steps[static(event.path)]
    if event.undo is not None:
        run.put(f"{event.path}:undo", {**run.payloads.get(f"{event.path}:undo", {}), **event.undo})
    if event.undo is not None or place.compensate is None or not place.compensate.late:
        run.payloads.pop(f"{event.path}:result", None)  # else the undo still has to be made of it
    _took_effect(plan, run, node)
    if event.resolved:
        _unstick(run, node, "completed")
    _come_to_rest(run, node, event.at_ms)


def _took_effect(plan: Plan, run: Run, node: Node) -> None:
    node.unknown = False
    node.effect = plan.steps[static(node.path)].worker is not None
    if _is_pivot(plan, node.path):
        run.header.pivot = "passed"


def _step_failed(plan: Plan, run: Run, event: ev.StepFailed) -> None:
    node = run.edit(event.path)
    if node.handler < 0:
        move_step(node, StepStatus.UNKNOWN if event.unknown else StepStatus.FAILED)
        node.unknown = node.effect = event.unknown
    node.error = event.error
    if run.header.pivot == "in_flight" and _is_pivot(plan, event.path):
        run.header.pivot = ""
        # What was held takes effect before anything else follows from the failure.
        _due(run, RUN)
    if event.resolved:
        _unstick(run, node, "failed")
    if event.caught >= 0:
        node.handler = event.caught
        if event.undo:
            node.undo, node.rolling, node.undo_cursor = "undoing", True, node.cursor
        _due(run, event.path)
    else:
        node.fault = True
        _come_to_rest(run, node, event.at_ms)


def _step_caught(_plan: Plan, run: Run, event: ev.StepCaught) -> None:
    node = run.edit(event.path)
    # A step whose undo was skipped keeps saying so, whatever its handler gave in its place.
    if event.handled and node.status not in (StepStatus.COMPLETED, StepStatus.COMPENSATION_FAILED):
        move_step(node, StepStatus.COMPLETED)
    node.has_output = event.has_output
    if event.has_output:
        run.put(f"{event.path}:output", event.output)
    if event.resolved:
        _unstick(run, node, event.resolved)
    _come_to_rest(run, node, event.at_ms)


def _step_halted(_plan: Plan, run: Run, event: ev.StepHalted) -> None:
    node = run.edit(event.path)
    if node.status is StepStatus.RUNNING:
        move_step(node, StepStatus.FAILED)
    _come_to_rest(run, node, event.at_ms, passed=False)


def _vars_set(_plan: Plan, run: Run, event: ev.VarsSet) -> None:
    run.put(f"{event.path}:before", event.before)
    run.put("~vars", {**(run.payloads.get("~vars") or {}), **event.values})


def _halt_asked(_plan: Plan, run: Run, event: ev.HaltAsked) -> None:
    node = run.edit(event.path)
    node.halt, node.resumed = True, False
    _due(run, event.path)


def _fault_recorded(_plan: Plan, run: Run, event: ev.FaultRecorded) -> None:
    node = run.edit(event.path)
    node.fault = False
    above = run.edit(parent(event.path))
    above.cursor += 1
    _due(run, above.path)


def _come_to_rest(run: Run, node: Node, at_ms: int, *, passed: bool = True) -> None:
    """`passed`: its sequence goes on to the next step, unless it is at fault."""
    node.rest = True
    node.ended_at_ms = at_ms
    above_path = parent(node.path)
    if above_path != RUN:
        separator = node.path[len(above_path)]
        if separator in ".#":
            above = run.edit(above_path)
            above.active -= 1
            if node.fault and not above.faulted:
                above.faulted = node.path
        elif separator != "~" and passed and not node.fault:
            run.edit(above_path).cursor += 1
    _due(run, above_path)


# -- stuck --------------------------------------------------------------------------------------------
def _step_stuck(plan: Plan, run: Run, event: ev.StepStuck) -> None:
    node = run.edit(event.path)
    node.stuck = True
    if node.undo == "undoing":
        node.undo_error = event.error
        if node.status is not StepStatus.COMPENSATING:
            move_step(node, StepStatus.COMPENSATING)
        move_step(node, StepStatus.COMPENSATION_FAILED)
    else:
        node.error = event.error
        if event.took_effect:
            _took_effect(plan, run, node)
    run.header.stuck = (*run.header.stuck, event.path)
    _due(run, RUN)


def _unstick(run: Run, node: Node, resolved: str = "") -> None:
    node.stuck = False
    if resolved:
        node.resolved = resolved
    header = run.header
    header.stuck = tuple(path for path in header.stuck if path != node.path)
    if header.status is RunStatus.STUCK and not header.stuck:
        move_run(header, RunStatus.COMPENSATING if header.ending else RunStatus.RUNNING)
    _due(run, RUN)


def _step_resumed(plan: Plan, run: Run, event: ev.StepResumed) -> None:
    node = run.edit(event.path)
    _unstick(run, node)
    node.spent = node.asked = node.undo_spent = node.lost = 0
    node.resumed_at_ms = event.at_ms
    if node.undo == "undoing":
        node.due = node.phase == "compensate"
    else:
        # What took effect is not asked for again; then only what we made of its result is tried anew.
        node.due = node.last != "" and not node.effect
        place = plan.steps[static(event.path)]
        node.resumed = node.halt and node.phase == "action" and not place.is_settled_by_undo
    if node.status is StepStatus.COMPENSATION_FAILED:
        move_step(node, StepStatus.COMPENSATING)
    _due(run, event.path)


# -- undo ---------------------------------------------------------------------------------------------
def _undo_started(_plan: Plan, run: Run, event: ev.UndoStarted) -> None:
    node = run.edit(event.path)
    node.undo, node.undo_started_at_ms = "undoing", event.at_ms
    # A loop counts its items down, a sequence starts with the child in hand (it may be past the last one).
    node.undo_cursor = node.cursor
    above = parent(event.path)
    if above != RUN and event.path[len(above)] in ".#":
        run.edit(above).active += 1
        _due(run, above)
    _due(run, event.path)


def _step_undone(plan: Plan, run: Run, event: ev.StepUndone) -> None:
    node = run.edit(event.path)
    place = plan.steps[static(event.path)]
    if not event.nothing and not event.skipped and node.resolved != "skipped":
        if node.status not in (StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED):
            move_step(node, StepStatus.COMPENSATING)
        move_step(node, StepStatus.COMPENSATED)
        node.unknown = node.effect = False
        node.undo_error = None
    if event.skipped:
        run.header.skipped_undo = True
    if event.resolved or event.skipped:
        _unstick(run, node, "skipped" if event.skipped else "compensated")
    node.undo_ended_at_ms = event.at_ms
    if place.kind == "set" and f"{event.path}:before" in run.payloads:
        _revert_vars(run, run.payloads[f"{event.path}:before"])
    if node.rolling:
        node.rolling, node.rolled_back, node.undo = False, True, ""
        _due(run, event.path)
        return
    node.undo = "undone"
    above_path = parent(event.path)
    if above_path != RUN:
        separator = event.path[len(above_path)]
        if separator in ".#":
            run.edit(above_path).active -= 1
    _due(run, above_path)
    # A catch that keeps what completed waits only for single operations below it to be settled.
    while above_path != RUN and run.nodes[above_path].undo == "":
        above_path = parent(above_path)
        _due(run, above_path)


def _revert_vars(run: Run, before: dict[str, Any]) -> None:
    values = dict(run.payloads.get("~vars") or {})
    for name, value in before.items():
        if value is None or "value" not in value:
            values.pop(name, None)
        else:
            values[name] = value["value"]
    run.put("~vars", values)


EVOLVE: dict[type, Callable[[Plan, Run, Any], None]] = {
    ev.RunStarted: _run_started,
    ev.Continued: _continued,
    ev.RequestHeld: _request_held,
    ev.RequestAccepted: _request_accepted,
    ev.RequestRefused: _request_refused,
    ev.AlertRaised: _alert_raised,
    ev.RunFailing: _run_failing,
    ev.RootResolved: _root_resolved,
    ev.RunDecided: _run_decided,
    ev.RunStuck: _run_stuck,
    ev.RunFinished: _run_finished,
    ev.TaskDispatched: _task_dispatched,
    ev.TaskSettled: _task_settled,
    ev.RevokeAsked: _revoke_asked,
    ev.RetryScheduled: _retry_scheduled,
    ev.TimerFired: _timer_fired,
    ev.TimerDropped: _timer_dropped,
    ev.StepStarted: _step_started,
    ev.ItemsListed: _items_listed,
    ev.StepSkipped: _step_skipped,
    ev.StepCompleted: _step_completed,
    ev.StepFailed: _step_failed,
    ev.StepCaught: _step_caught,
    ev.StepHalted: _step_halted,
    ev.StepStuck: _step_stuck,
    ev.StepResumed: _step_resumed,
    ev.FaultRecorded: _fault_recorded,
    ev.VarsSet: _vars_set,
    ev.HaltAsked: _halt_asked,
    ev.UndoStarted: _undo_started,
    ev.StepUndone: _step_undone,
}
