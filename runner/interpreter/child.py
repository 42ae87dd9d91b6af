"""`subworkflow`, the parent's side: a child run, from its start to what its end means for the step.

Rule: a parent never looks into its child. It asks (ChildAsked), and hears what became of it (ChildTold); what a child
did is taken back by the child itself, unless the step has a compensation of its own. family.py is the child's side.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.definition.model import ChildAction
from runner.interpreter import event as ev
from runner.interpreter.attempt import first_input
from runner.interpreter.completion import complete
from runner.interpreter.failure import fail
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.run_id import child_run_id
from runner.interpreter.scope import step_ref
from runner.interpreter.state import CANCEL, Node, Run
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]


# -- forward ------------------------------------------------------------------------------------------
def decide_child(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if node.open:
        return _call_off(node, at_ms) if node.halt else ()
    if node.phase == "":
        return (ev.StepHalted(at_ms, node.path),) if node.halt else _start(plan, run, node, place, at_ms)
    if node.last == "completed":
        return complete(plan, run, node, place, run.payloads.get(f"{node.path}:result"), at_ms)
    if node.last == "unknown":
        return fail(plan, run, node, _error_of(node), at_ms, unknown=True)
    if node.halt and node.child_status == "cancelled":
        return (ev.StepHalted(at_ms, node.path),)
    if node.due and not node.halt:
        return _start(plan, run, node, place, at_ms)
    return fail(plan, run, node, _error_of(node), at_ms)


def _call_off(node: Node, at_ms: int) -> Proposals:
    """Once for each firmness; a child that has done its last step meanwhile says so instead, and is undone then."""
    kill = node.halt == CANCEL
    is_asked = node.killing if kill else node.revoking
    return () if is_asked else (ev.ChildAsked(at_ms, node.path, "cancel", kill),)


def _start(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    action = action_of(place)
    made = first_input(plan, run, node, place, place.values)
    if isinstance(made, ErrorRecord):
        return fail(plan, run, node, made, at_ms)
    given, undo, size = made
    run_id = child_run_id(step_ref(run, node.path), node.tries + 1)
    return (ev.ChildStarted(at_ms, node.path, run_id, action.workflow, action.version, given, undo, size),)


def action_of(place: StepPlan) -> ChildAction:
    if place.child is None:
        raise ValueError(f"{place.path!r} starts no child")
    return place.child


def _error_of(node: Node) -> ErrorRecord:
    return node.error or ErrorRecord("child_failed", message=f"its child run {node.child} failed")


# -- what a child says --------------------------------------------------------------------------------
def hear(run: Run, told: ev.ChildTold) -> Proposals:
    """The news itself, and what a person should know of it."""
    node = run.nodes[told.path]
    if told.news == "stuck" and told.run_id:
        what = f"run {told.stuck_run}, which is stuck"
        if told.stuck_run != told.run_id:
            what = f"its child run {told.run_id}: run {told.stuck_run} below it is stuck"
        why = f" ({told.error.code}: {told.error.message})" if told.error is not None else ""
        return (told, ev.AlertRaised(told.at_ms, f"{told.path} waits for {what}{why}"))
    if told.status == "abandoned" and node.phase != "compensate" and node.child_status == "held":
        message = f"{told.path}: its child run {told.run_id} was abandoned after its last step; what it did stands"
        return (told, ev.AlertRaised(told.at_ms, message))
    return (told,)


def is_late_news(run: Run, told: ev.ChildTold) -> bool:
    """About a child that is over, or was followed by another one."""
    node = run.nodes.get(told.path)
    return node is None or node.child != told.run_id or node.child_status not in ("running", "held")


# -- decided ------------------------------------------------------------------------------------------
def decide_decided(node: Node, at_ms: int) -> Proposals:
    """The run is decided, so its children are: each confirms, does its finally steps, and ends."""
    if node.open:
        return ()
    if node.child_status == "held":
        return (ev.ChildAsked(at_ms, node.path, "decided"),)
    return (ev.StepConfirmed(at_ms, node.path),)
