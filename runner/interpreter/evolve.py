"""What an event does to a run: the only code that changes one, but for its short cut forward.py.

One line an event kind. Rule: `evolve` never asks whether an event should have been; `decide` and `judge` did. It moves
the nodes, and puts on the agenda every node that may have something to do now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.interpreter import event as ev
from runner.interpreter import evolve_child as _child
from runner.interpreter import evolve_run as _run
from runner.interpreter import evolve_step as _step
from runner.interpreter import evolve_task as _task
from runner.interpreter import evolve_undo as _undo
from runner.interpreter.plan import Plan
from runner.interpreter.state import Header, Run


def evolve(plan: Plan, run: Run, event: ev.AnyEvent) -> None:
    """Apply one event to this draft."""
    EVOLVE[type(event)](plan, run, event)


def new_run(event: ev.RunStarted) -> Run:
    header = Header(
        run_id=event.run_id,
        workflow=event.workflow,
        version=event.version,
        digest=event.digest,
        key=event.key,
        rerun_of=event.rerun_of,
        started_at_ms=event.at_ms,
        parent=event.parent,
        parent_path=event.parent_path,
        holds=event.holds,
        traceparent=event.traceparent,
    )
    return Run(header, {}, {})


EVOLVE: dict[type, Callable[[Plan, Run, Any], None]] = {
    ev.RunStarted: _run.run_started,
    ev.Continued: _run.continued,
    ev.RequestHeld: _run.request_held,
    ev.RequestAccepted: _run.request_accepted,
    ev.RequestRefused: _run.request_refused,
    ev.AlertRaised: _run.alert_raised,
    ev.RunFailing: _run.run_failing,
    ev.RootResolved: _run.root_resolved,
    ev.RunProvisional: _run.run_provisional,
    ev.RunDecided: _run.run_decided,
    ev.StepConfirmed: _run.step_confirmed,
    ev.RunStuck: _run.run_stuck,
    ev.RunFinished: _run.run_finished,
    ev.NewsSent: _run.news_sent,
    ev.ChildStarted: _child.child_started,
    ev.ChildAsked: _child.child_asked,
    ev.ChildTold: _child.child_told,
    ev.TaskDispatched: _task.task_dispatched,
    ev.TaskSettled: _task.task_settled,
    ev.RevokeAsked: _task.revoke_asked,
    ev.OutcomeIgnored: _task.outcome_ignored,
    ev.RetryScheduled: _task.retry_scheduled,
    ev.TimerFired: _task.timer_fired,
    ev.TimerDropped: _task.timer_dropped,
    ev.WaitStarted: _task.wait_started,
    ev.SignalKept: _task.signal_kept,
    ev.SignalTaken: _task.signal_taken,
    ev.StepStarted: _step.step_started,
    ev.ItemsListed: _step.items_listed,
    ev.StepSkipped: _step.step_skipped,
    ev.StepCompleted: _step.step_completed,
    ev.StepFailed: _step.step_failed,
    ev.StepCaught: _step.step_caught,
    ev.StepHalted: _step.step_halted,
    ev.StepStuck: _step.step_stuck,
    ev.StepResumed: _step.step_resumed,
    ev.FaultRecorded: _step.fault_recorded,
    ev.VarsSet: _step.vars_set,
    ev.HaltAsked: _step.halt_asked,
    ev.ChildrenHalted: _step.children_halted,
    ev.UndoStarted: _undo.undo_started,
    ev.StepUndone: _undo.step_undone,
}
