"""One operation (a worker step) on its way forward: attempts, back-off, verification, the unknown outcome.

Rule: an unknown attempt stays on the node until a completion or a fenced verification settles it; a
clean failure that comes later settles nothing. A task that is out is always waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from runner.definition.model import Retry, WorkerAction
from runner.errors import ExpressionError
from runner.expression.evaluate import Template
from runner.interpreter import event as ev
from runner.interpreter.backoff import delay_ms
from runner.interpreter.evolve import CRASH_LOOP
from runner.interpreter.failure import expression_error, fail
from runner.interpreter.paths import FINALLY
from runner.interpreter.plan import CallPlan, Plan, StepPlan
from runner.interpreter.scope import ABSENT, scope_at
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]
MAX_INPUT = 1 << 20  # bytes of a task's input
MAX_STATE = 4 << 20  # bytes of all payloads of a run

# Definite failures that asking again cannot change.
FINAL_CODES = frozenset({"invalid_input", "unknown_worker", "expression_error", "already_undone"})


def decide_operation(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    worker = _worker(place)
    # Once it goes back, an action is tried no more, but what settles an unknown one goes on.
    gives_up = node.halt and node.phase == "action" and not node.patient
    if node.open:
        return (ev.RevokeAsked(at_ms, node.path),) if gives_up and not node.revoking else ()
    if node.timer:
        return (ev.TimerDropped(at_ms, node.path, node.timer),) if gives_up else ()
    if node.phase == "":
        return (ev.StepHalted(at_ms, node.path),) if node.halt else _first_attempt(plan, run, node, place, at_ms)
    if node.due and not gives_up:
        return _next_attempt(plan, run, node, place, worker, at_ms)
    if node.phase == "verify":
        return _after_verification(plan, run, node, place, worker, at_ms)
    return _after_action(plan, run, node, place, worker, at_ms)


def complete(
    plan: Plan, run: Run, node: Node, place: StepPlan, result: Any, at_ms: int,
    *, has_output: bool = True, resolved: bool = False,
) -> Proposals:
    """It took effect: its output and the late parts of its undo. What fails here is ours, and the effect stands."""
    output, undo, wrong = result, None, None
    scope = scope_at(plan, run, node.path, result=result) if place.output or place.compensate else {}
    if place.output is not None and not resolved:
        try:
            output, has_output = place.output.render(scope), True
        except ExpressionError as error:
            output, has_output, wrong = None, False, expression_error(plan, node.path, "output", error)
    if place.compensate is not None and place.compensate.late:
        try:
            undo = {name: template.render(scope) for name, template in place.compensate.late.items()}
        except ExpressionError as error:
            wrong = wrong or expression_error(plan, node.path, "compensate", error)
    if run.header.size > MAX_STATE:
        wrong = ErrorRecord("state_limit", message=f"the run's payloads exceed {MAX_STATE} bytes")
    is_pivot = place.worker is not None and place.worker.kind == "pivot"
    if wrong is not None and (is_pivot or run.header.pivot == "passed") and not node.path.startswith(FINALLY):
        # It cannot go back any more, so a person says what the output is.
        return (ev.StepStuck(at_ms, node.path, wrong),)
    return (ev.StepCompleted(at_ms, node.path, output, has_output, undo, wrong, resolved),)


# -- attempts -----------------------------------------------------------------------------------------
def _first_attempt(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    call = _call(place.action)
    arguments = render(plan, run, node, "with", call.arguments)
    undo = None if place.compensate is None else render(plan, run, node, "compensate", place.compensate.arguments)
    for wrong in (arguments, undo):
        if isinstance(wrong, ErrorRecord):
            return fail(plan, run, node, wrong, at_ms)
    size = len(msgspec.json.encode(arguments))
    if size > MAX_INPUT:
        message = f"the input is {size} bytes; at most {MAX_INPUT} can be given to a worker"
        return fail(plan, run, node, ErrorRecord("invalid_input", message=message), at_ms)
    return (dispatch(node, place, call, "action", 1, call.retry, at_ms, given=arguments, undo=undo),)


def render(
    plan: Plan, run: Run, node: Node, where: str, templates: Mapping[str, Template], *, result: Any = ABSENT
) -> dict[str, Any] | ErrorRecord:
    """The arguments of a call, or what is wrong with them."""
    scope = scope_at(plan, run, node.path, result=result)
    try:
        return {name: template.render(scope) for name, template in templates.items()}
    except ExpressionError as error:
        return expression_error(plan, node.path, where, error)


def dispatch(
    node: Node, place: StepPlan, call: CallPlan, phase: Literal["action", "verify", "compensate"],
    attempt: int, retry: Retry, at_ms: int, *, given: Any = None, undo: Any = None, fencing: bool = False,
) -> ev.TaskDispatched:
    """An attempt of a phase; `given` is its input when this is the phase's first."""
    worker = _worker(place)
    timeout_ms, queue_timeout_ms = call.timeout_ms, 0
    if phase == "action":
        queue_timeout_ms = worker.queue_timeout_ms
        if worker.total_timeout_ms:
            left = max(1, node.started_at_ms + worker.total_timeout_ms - at_ms)
            timeout_ms = min(timeout_ms, left)
            queue_timeout_ms = min(queue_timeout_ms or left, left)
    return ev.TaskDispatched(
        at_ms, node.path, phase, call.worker, attempt, retry.max_attempts, timeout_ms, queue_timeout_ms,
        fencing=fencing, patient=node.patient, input=given, undo=undo, fresh=given is not None,
    )


def _next_attempt(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int
) -> Proposals:
    if node.phase == "verify":
        return _verify(plan, run, node, place, at_ms, fencing=node.fencing or not _may_retry(plan, node, worker, at_ms))
    call = _call(place.action)
    return (dispatch(node, place, call, "action", node.spent + 1, _budget(plan, node, worker), at_ms),)


def _after_action(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int
) -> Proposals:
    if node.last == "completed":
        return complete(plan, run, node, place, run.payloads.get(f"{node.path}:result"), at_ms)
    if node.last == "revoked":
        return _settle(plan, run, node, place, worker, at_ms) if node.unknown else (ev.StepHalted(at_ms, node.path),)
    error = _error(node)
    crashing = node.lost >= CRASH_LOOP
    if node.last == "failed" and (error.kind == "business" or error.code in FINAL_CODES):
        return _definite(plan, run, node, place, worker, error, at_ms)
    if node.last == "unknown" and worker.on_unknown == "verify" and worker.verify and worker.kind != "readonly":
        fencing = crashing or not _may_retry(plan, node, worker, at_ms)
        return _verify(plan, run, node, place, at_ms, fencing=fencing)
    if not crashing and _may_retry(plan, node, worker, at_ms):
        return (wait(run, node, "action", _budget(plan, node, worker), node.spent, at_ms),)
    if crashing:
        message = f"{CRASH_LOOP} worker processes in a row were lost while they ran it"
        error = replace(error, code="crash_loop", message=message)
    return _definite(plan, run, node, place, worker, error, at_ms)


def _definite(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, error: ErrorRecord, at_ms: int
) -> Proposals:
    """No further attempt. It failed for certain, unless an earlier attempt may have had an effect."""
    if node.unknown:
        return _settle(plan, run, node, place, worker, at_ms, error)
    return fail(plan, run, node, error, at_ms)


def _settle(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int, error: ErrorRecord | None = None
) -> Proposals:
    """Some attempt may have had an effect and no further one is due: what `on_unknown` says."""
    error = error or _error(node)
    mode = worker.on_unknown
    if node.path.startswith(FINALLY) and mode in ("halt", "retry"):
        return fail(plan, run, node, error, at_ms, unknown=True)
    if mode == "compensate" or (mode == "retry" and node.halt and place.compensate is not None):
        return fail(plan, run, node, error, at_ms, unknown=True)
    if mode == "verify" and place.verify is not None:
        return _verify(plan, run, node, place, at_ms, fencing=True)
    if mode == "retry":
        return _retry_patiently(plan, run, node, worker, error, at_ms)
    return (ev.StepStuck(at_ms, node.path, error),)


def _retry_patiently(
    plan: Plan, run: Run, node: Node, worker: WorkerAction, error: ErrorRecord, at_ms: int
) -> Proposals:
    if node.patient and node.spent >= plan.patient.max_attempts:
        return (ev.StepStuck(at_ms, node.path, error),)
    return (wait(run, node, "action", plan.patient, max(1, node.spent if node.patient else 1), at_ms, patient=True),)


# -- verification -------------------------------------------------------------------------------------
def _verify(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int, *, fencing: bool) -> Proposals:
    call = _call(place.verify)
    again = node.phase == "verify"
    given: Any = None
    if f"{node.path}:verify" not in run.payloads:
        given = render(plan, run, node, "verify", {**call.arguments, **call.late})
        if isinstance(given, ErrorRecord):
            return (ev.StepStuck(at_ms, node.path, given),)
    attempt = node.asked + 1 if again else 1
    return (dispatch(node, place, call, "verify", attempt, call.retry, at_ms, given=given, fencing=fencing),)


def _after_verification(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, at_ms: int
) -> Proposals:
    error = _error(node)
    retry = _call(place.verify).retry
    if node.last == "completed" and node.verdict == "landed":
        return complete(plan, run, node, place, run.payloads.get(f"{node.path}:result"), at_ms)
    if node.last == "completed" and node.verdict == "not_landed":
        return _not_landed(plan, run, node, place, worker, error, at_ms)
    if node.last == "failed" or node.asked >= retry.max_attempts:
        why = f"its verification gave no answer after {node.asked} attempts; the step itself: {error.message}"
        if node.path.startswith(FINALLY):
            return fail(plan, run, node, error, at_ms, unknown=True)
        return (ev.StepStuck(at_ms, node.path, replace(error, cause=why)),)
    return (wait(run, node, "verify", retry, node.asked, at_ms),)


def _not_landed(
    plan: Plan, run: Run, node: Node, place: StepPlan, worker: WorkerAction, error: ErrorRecord, at_ms: int
) -> Proposals:
    if not node.fencing:
        if _may_retry(plan, node, worker, at_ms):
            return (wait(run, node, "action", _budget(plan, node, worker), node.spent, at_ms),)
        # The run turned back meanwhile: ask once more, so that a late action cannot take effect.
        return _verify(plan, run, node, place, at_ms, fencing=True)
    if node.fenced:
        return fail(plan, run, node, error, at_ms)
    if place.compensate is not None:
        return fail(plan, run, node, error, at_ms, unknown=True)
    if worker.kind == "none":
        return (ev.StepStuck(at_ms, node.path, replace(error, cause="not landed, but a late action is not fenced")),)
    return _retry_patiently(plan, run, node, worker, error, at_ms)


# -- budgets ------------------------------------------------------------------------------------------
def _may_retry(plan: Plan, node: Node, worker: WorkerAction, at_ms: int) -> bool:
    if node.halt or node.spent >= _budget(plan, node, worker).max_attempts:
        return False
    return not worker.total_timeout_ms or at_ms < node.started_at_ms + worker.total_timeout_ms


def _budget(plan: Plan, node: Node, worker: WorkerAction) -> Retry:
    return plan.patient if node.patient else worker.call.retry


def wait(
    run: Run, node: Node, phase: Literal["action", "verify", "compensate"], retry: Retry, attempt: int, at_ms: int,
    *, patient: bool = False,
) -> ev.RetryScheduled:
    pause = node.hint_ms or delay_ms(retry, attempt, seed=f"{run.header.run_id}/{node.path}:{phase}")
    return ev.RetryScheduled(at_ms, node.path, phase, f"{node.path}@{node.waits + 1}", at_ms + pause, patient)


def _error(node: Node) -> ErrorRecord:
    return node.error or ErrorRecord("worker_lost", message="the outcome is not known")


def _worker(place: StepPlan) -> WorkerAction:
    if place.worker is None:
        raise ValueError(f"{place.path!r} is no operation")
    return place.worker


def _call(call: CallPlan | None) -> CallPlan:
    if call is None:
        raise ValueError("the step has no such call")
    return call
