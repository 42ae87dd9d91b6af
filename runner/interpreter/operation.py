"""One operation (a worker step) on its way forward: its attempts, and what each outcome leads to.

Rule: an unknown attempt stays on the node until a completion or a fenced verification settles it
(settlement.py); a clean failure that comes later settles nothing. A task that is out is always waited for.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.definition.model import WorkerAction
from runner.interpreter import event as ev
from runner.interpreter.attempt import (
    budget,
    call_of,
    dispatch,
    error_of,
    first_input,
    has_time,
    is_final,
    may_retry,
    wait,
    worker_of,
)
from runner.interpreter.completion import complete
from runner.interpreter.failure import fail
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.settlement import after_verification, settle, verify, verify_again
from runner.interpreter.state import CANCEL, Node, Run
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]


def decide_operation(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    worker = worker_of(place)
    called_off = node.halt > 0 and _is_called_off(node, place)
    if node.open:
        kill = node.halt == CANCEL
        is_asked = node.killing if kill else node.revoking
        return (ev.RevokeAsked(at_ms, node.path, kill),) if called_off and not is_asked else ()
    if node.timer:
        return (ev.TimerDropped(at_ms, node.path, node.timer),) if called_off else ()
    if node.phase == "":
        return (ev.StepHalted(at_ms, node.path),) if node.halt else _first_attempt(plan, run, node, place, at_ms)
    if node.phase == "verify":
        if node.due:
            return verify_again(plan, run, node, place, worker, at_ms)
        return after_verification(plan, run, node, place, worker, at_ms)
    if node.due and not called_off and has_time(node, worker, at_ms):
        return _next_attempt(plan, run, node, place, worker, at_ms)
    return _after_action(plan, run, node, place, worker, at_ms)


def _is_called_off(node: Node, place: StepPlan) -> bool:
    """Once the run goes back, an action is tried no more, unless asking again is all that can settle it."""
    if node.phase != "action":
        return False
    return place.is_settled_by_undo or not (node.patient or node.resumed)


def _first_attempt(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    call = call_of(place.action)
    made = first_input(plan, run, node, place, call.arguments, call.wholes)
    if isinstance(made, ErrorRecord):
        return fail(plan, run, node, made, at_ms)
    arguments, undo, size = made
    return (dispatch(node, place, call, "action", 1, call.retry, at_ms, given=arguments, undo=undo, size=size),)


def _next_attempt(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int
) -> Proposals:
    if node.unknown and worker.on_unknown == "verify" and f"{node.path}:verify" not in run.payloads:
        # It was stuck before it could be verified; no action follows an unknown one unasked.
        return verify_again(plan, run, node, place, worker, at_ms)
    call = call_of(place.action)
    return (dispatch(node, place, call, "action", node.spent + 1, budget(plan, node, worker), at_ms),)


def _after_action(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int
) -> Proposals:
    if node.last == "completed":
        return complete(plan, run, node, place, run.payloads.get(f"{node.path}:result"), at_ms)
    if node.last == "revoked" and not node.unknown:
        return (ev.StepHalted(at_ms, node.path),)
    error = error_of(node)
    if node.last == "unknown" and worker.on_unknown == "verify" and worker.kind != "readonly":
        is_last = not may_retry(plan, run, node, worker, at_ms)
        return verify(plan, run, node, place, at_ms, fencing=is_last)
    final = node.last == "revoked" or (node.last == "failed" and is_final(error))
    if not final and may_retry(plan, run, node, worker, at_ms):
        return (wait(run, node, "action", budget(plan, node, worker), node.spent, at_ms),)
    # No further attempt. It failed for certain, unless some attempt may have had an effect.
    return settle(plan, run, node, place, worker, at_ms) if node.unknown else fail(plan, run, node, error, at_ms)
