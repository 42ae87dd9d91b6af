"""What tasks and timers do to a node: the attempt that is out, how it ended, the budgets. evolve.py has the rule."""

from __future__ import annotations

from msgspec.structs import replace

from runner.interpreter import event as ev
from runner.interpreter.paths import RUN, RUN_TIMEOUT
from runner.interpreter.plan import Plan
from runner.interpreter.state import Node, Run, StepStatus, move_step

CRASH_LOOP = 5  # lost processes in a row after which the task itself is to blame


def task_dispatched(plan: Plan, run: Run, event: ev.TaskDispatched) -> None:
    node = run.edit(event.path)
    node.phase, node.open, node.last, node.due, node.hint_ms = event.phase, True, "", False, 0
    node.verdict, node.fencing, node.fenced, node.sent_at_ms = "", event.fencing, False, event.at_ms
    run.header.busy += 1
    run.header.made += event.size
    if event.phase == "action":
        node.spent, node.patient = event.attempt, event.patient
        node.tries += 1
        if plan.steps[event.path].is_pivot and run.header.pivot != "passed":
            run.header.pivot = "in_flight"
    elif event.phase == "verify":
        node.asked = event.attempt
    elif event.phase == "confirm":
        node.confirm_spent = event.attempt
    else:
        node.undo_spent = event.attempt
        node.undo_tries += 1
        if node.status is not StepStatus.COMPENSATING:
            move_step(node, StepStatus.COMPENSATING)
    if event.fresh:
        run.put(f"{event.path}:{'undo' if event.phase == 'compensate' else event.phase}", event.input)
        if event.undo is not None:
            run.put(f"{event.path}:undo", event.undo)


def task_settled(plan: Plan, run: Run, event: ev.TaskSettled) -> None:
    node = run.edit(event.path)
    node.open, node.revoking, node.killing, node.last = False, False, False, event.outcome
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
    elif node.phase == "confirm":
        node.confirm_error = event.error
    else:
        _action_settled(plan, node, event)
    if event.outcome == "completed" and (node.phase == "action" or node.verdict == "landed"):
        run.put(f"{event.path}:result", event.output, kept=event.kept and node.phase == "action")
    run.due(event.path)


def _action_settled(plan: Plan, node: Node, event: ev.TaskSettled) -> None:
    node.error = event.error
    # Only actions count: a verification that is answered in between does not make the action any safer.
    node.lost = node.lost + 1 if event.error is not None and event.error.code == "worker_lost" else 0
    if node.lost >= CRASH_LOOP and event.error is not None:
        message = f"{node.lost} worker processes in a row were lost while they ran it"
        node.error = replace(event.error, code="crash_loop", message=message)
    worker = plan.steps[event.path].worker
    if event.outcome == "unknown" and worker is not None and worker.kind != "readonly":
        node.unknown = True


def outcome_ignored(_plan: Plan, _run: Run, _event: ev.OutcomeIgnored) -> None:
    """For the record."""


def revoke_asked(_plan: Plan, run: Run, event: ev.RevokeAsked) -> None:
    node = run.edit(event.path)
    node.revoking, node.killing = True, node.killing or event.kill


def retry_scheduled(_plan: Plan, run: Run, event: ev.RetryScheduled) -> None:
    node = run.edit(event.path)
    if event.patient and not node.patient:
        node.patient, node.spent = True, 0
    if event.phase != node.phase:
        # After "not landed" the action is asked again: what is known of it is still its unknown attempt.
        node.phase, node.asked, node.last = event.phase, 0, "unknown"
    node.timer, node.waits = event.timer, node.waits + 1
    run.header.busy += 1


def timer_fired(_plan: Plan, run: Run, event: ev.TimerFired) -> None:
    if event.name == RUN_TIMEOUT:
        if run.header.provisional:
            return  # it was in time; how long its end takes to be decided is not its own
        run.header.pending = run.header.pending or "timeout"
        run.header.overdue = True
        run.due(RUN)
        return
    path = event.name.partition("@")[0]
    node = run.nodes.get(path)
    if node is None or node.timer != event.name:
        return  # it was dropped while the timer was on its way
    node = run.edit(path)
    node.timer, node.due = "", True
    _timer_ended(run, node)
    run.due(path)


def timer_dropped(_plan: Plan, run: Run, event: ev.TimerDropped) -> None:
    node = run.edit(event.path)
    node.timer = ""
    _timer_ended(run, node)
    run.due(event.path)


def _timer_ended(run: Run, node: Node) -> None:
    if node.waiting or node.taken:
        node.waiting = False
    else:
        run.header.busy -= 1


# -- wait and wait_for ----------------------------------------------------------------------------------
def wait_started(_plan: Plan, run: Run, event: ev.WaitStarted) -> None:
    """A wait keeps nobody busy: a run that is stuck elsewhere says so, though it waits for days here."""
    node = run.edit(event.path)
    node.waiting, node.timer, node.waits = True, event.timer, node.waits + 1


def signal_kept(_plan: Plan, run: Run, event: ev.SignalKept) -> None:
    kept = run.payloads.get("~signals") or {}
    entry = {"id": event.signal_id, "data": event.data, "size": event.size}
    run.put("~signals", {**kept, event.name: [*kept.get(event.name, ()), entry]})
    run.header.signals += 1
    run.header.kept += event.size
    run.header.size += event.size


def signal_taken(_plan: Plan, run: Run, event: ev.SignalTaken) -> None:
    kept = run.payloads.get("~signals") or {}
    queue = kept[event.name]
    index = next(number for number, entry in enumerate(queue) if entry["id"] == event.signal_id)
    run.put("~signals", {**kept, event.name: queue[:index] + queue[index + 1 :]})
    run.put(f"{event.path}:result", queue[index]["data"])
    run.header.signals -= 1
    run.header.kept -= queue[index]["size"]
    node = run.edit(event.path)
    node.taken, node.waiting = event.signal_id, False
    run.due(event.path)
