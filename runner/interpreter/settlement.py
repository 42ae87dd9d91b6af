"""An operation that may have had an effect, and no attempt of its own is left: what finds out, or ends it.

Rule: only a completion or a fenced verification settles it as done or not done. Whatever else ends its way
forward leaves it unknown: then it is undone, or waits for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from runner.definition.model import WorkerAction
from runner.interpreter import event as ev
from runner.interpreter.attempt import budget, call_of, dispatch, error_of, is_final, may_retry, render, wait
from runner.interpreter.completion import complete
from runner.interpreter.evolve_task import CRASH_LOOP
from runner.interpreter.failure import fail, give_up, must_go_on
from runner.interpreter.paths import FINALLY
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]


def settle(plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int) -> Proposals:
    """What `on_unknown` says."""
    error, mode = error_of(node), worker.on_unknown
    if mode == "compensate" or (mode == "retry" and node.halt and place.compensate is not None):
        return fail(plan, run, node, error, at_ms, unknown=True)
    if mode == "verify":
        return verify(plan, run, node, place, at_ms, fencing=True)
    if mode == "retry":
        return _retry_patiently(plan, run, node, error, at_ms)
    return give_up(plan, run, node, error, at_ms)


def _retry_patiently(plan: Plan, run: Run, node: Node, error: ErrorRecord, at_ms: int) -> Proposals:
    is_over = node.patient and node.spent >= plan.patient.max_attempts
    # What is lost again and again is not tried again; and the end of a run is not put off for a finally step.
    if is_over or node.lost >= CRASH_LOOP or node.path.startswith(FINALLY):
        return give_up(plan, run, node, error, at_ms)
    return (wait(run, node, "action", plan.patient, max(1, node.spent if node.patient else 1), at_ms, patient=True),)


# -- verification -------------------------------------------------------------------------------------
def verify(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int, *, fencing: bool) -> Proposals:
    """Ask what became of it. `fencing`: and see to it that nothing becomes of it any more.

    Behind the point of no return a fence would refuse the very attempt that must succeed in the end.
    """
    call = call_of(place.verify)
    given: Any = None
    if f"{node.path}:verify" not in run.payloads:
        given = render(plan, run, node, "verify", {**call.arguments, **call.late})
        if isinstance(given, ErrorRecord):
            return give_up(plan, run, node, given, at_ms)
    fencing = fencing and not must_go_on(plan, run, node, error_of(node))
    attempt = node.asked + 1 if node.phase == "verify" else 1
    return (dispatch(node, place, call, "verify", attempt, call.retry, at_ms, given=given, fencing=fencing),)


def verify_again(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int
) -> Proposals:
    fencing = node.fencing or not may_retry(plan, run, node, worker, at_ms)
    return verify(plan, run, node, place, at_ms, fencing=fencing)


def after_verification(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int
) -> Proposals:
    if node.last == "completed" and node.verdict == "landed":
        return complete(plan, run, node, place, run.payloads.get(f"{node.path}:result"), at_ms)
    if node.last == "completed" and node.verdict == "not_landed":
        return _not_landed(plan, run, node, place, worker, at_ms)
    retry = call_of(place.verify).retry
    wrong = node.verify_error
    says_no = node.last == "failed" and wrong is not None and is_final(wrong)
    if says_no or node.asked >= retry.max_attempts:
        why = f" ({wrong.code}: {wrong.message})" if wrong is not None else ""
        cause = f"its verification gave no answer after {node.asked} attempts{why}"
        return give_up(plan, run, node, replace(error_of(node), cause=cause), at_ms)
    return (wait(run, node, "verify", retry, node.asked, at_ms),)


def _not_landed(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int
) -> Proposals:
    error = error_of(node)
    if node.fenced:
        return fail(plan, run, node, error, at_ms)
    if not node.fencing:
        if may_retry(plan, run, node, worker, at_ms):
            return (wait(run, node, "action", budget(plan, node, worker), max(1, node.spent), at_ms),)
        if must_go_on(plan, run, node, error):
            return _retry_patiently(plan, run, node, error, at_ms)
        # The run turned back meanwhile: ask once more, so that a late action cannot take effect.
        return verify(plan, run, node, place, at_ms, fencing=True)
    # It did not land so far, and nothing keeps a late action from landing: it stays unknown.
    if place.compensate is not None:
        return fail(plan, run, node, error, at_ms, unknown=True)
    if worker.kind == "none":
        return give_up(plan, run, node, replace(error, cause="not landed, but a late action is not fenced"), at_ms)
    return _retry_patiently(plan, run, node, error, at_ms)
