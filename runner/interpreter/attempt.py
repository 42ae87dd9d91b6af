"""What every phase of an operation shares: the input of its call, the task, the pause before the next attempt.

Rule: an input is rendered once, with the first attempt of its phase, and recorded with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.definition.model import Retry, WorkerAction
from runner.errors import ExpressionError
from runner.expression.evaluate import Template
from runner.interpreter import event as ev
from runner.interpreter.backoff import delay_ms
from runner.interpreter.evolve_task import CRASH_LOOP
from runner.interpreter.failure import expression_error
from runner.interpreter.plan import CallPlan, Plan, StepPlan
from runner.interpreter.scope import ABSENT, Steps, scope_at
from runner.interpreter.sizes import MAX_VALUE, size_of, too_much
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord, Phase

# Definite failures that asking again cannot change.
FINAL_CODES = frozenset({"invalid_input", "unknown_worker", "expression_error", "already_undone"})
NOTHING: Mapping[str, Any] = {}


def render(
    plan: Plan, run: Run, node: Node, where: str, templates: Mapping[str, Template], *, result: Any = ABSENT
) -> dict[str, Any] | ErrorRecord:
    """The arguments of a call, or what is wrong with them."""
    made = _arguments(plan, node, where, templates, scope_at(plan, run, node.path, result=result))
    return made if isinstance(made, ErrorRecord) else made[0]


def first_input(
    plan: Plan, run: Run, node: Node, place: StepPlan, templates: Mapping[str, Template],
    wholes: Mapping[str, str] = NOTHING,
) -> tuple[dict[str, Any], dict[str, Any] | None, int] | ErrorRecord:
    """The input of a step's action, that of its undo as far as it is known now, and the bytes of both."""
    undo_with = place.compensate.arguments if place.compensate is not None else NOTHING
    handed_on = _handed_on(plan, run, node.path, wholes) if wholes else None
    scope = NOTHING if handed_on is not None and not undo_with else scope_at(plan, run, node.path)
    given = _arguments(plan, node, "with", templates, scope) if handed_on is None else _measured("with", handed_on)
    if isinstance(given, ErrorRecord):
        return given
    arguments, size = given
    if not undo_with:
        return too_much(run, size) or (arguments, None, size)
    undo = _arguments(plan, node, "compensate", undo_with, scope)
    if isinstance(undo, ErrorRecord):
        return undo
    return too_much(run, size + undo[1]) or (arguments, undo[0], size + undo[1])


def _handed_on(plan: Plan, run: Run, path: str, wholes: Mapping[str, str]) -> dict[str, Any] | None:
    """Outputs as they are need no expression. None: one is absent, and the expression is to say so."""
    steps = Steps(plan, run, path)
    try:
        return {name: steps.output(step_id) for name, step_id in wholes.items()}
    except KeyError:
        return None


def _arguments(
    plan: Plan, node: Node, where: str, templates: Mapping[str, Template], scope: Mapping[str, Any]
) -> tuple[dict[str, Any], int] | ErrorRecord:
    """And their size."""
    try:
        arguments = {name: template.render(scope) for name, template in templates.items()}
    except ExpressionError as error:
        return expression_error(plan, node.path, where, error)
    return _measured(where, arguments)


def _measured(where: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], int] | ErrorRecord:
    size = size_of(arguments)
    if size > MAX_VALUE:
        message = f"{where}: the input is {size:,} bytes; at most {MAX_VALUE:,} can be given to a worker"
        return ErrorRecord("invalid_input", message=message)
    return arguments, size


def dispatch(
    node: Node, place: StepPlan, call: CallPlan, phase: Phase,
    attempt: int, retry: Retry, at_ms: int,
    *, given: Any = None, undo: Any = None, size: int = 0, fencing: bool = False,
) -> ev.TaskDispatched:
    """An attempt of a phase; `given` is its input when this is the phase's first."""
    timeout_ms, queue_timeout_ms = call.timeout_ms, 0
    if phase == "action":
        worker = worker_of(place)
        queue_timeout_ms = worker.queue_timeout_ms
        left = _left_ms(node, worker, at_ms)
        if left is not None:
            left = max(1, left)  # 0 would be no limit at all
            timeout_ms = min(timeout_ms, left)
            queue_timeout_ms = min(queue_timeout_ms or left, left)
    return ev.TaskDispatched(
        at_ms, node.path, phase, call.worker, attempt, retry.max_attempts, timeout_ms, queue_timeout_ms,
        fencing=fencing, patient=node.patient, input=given, undo=undo, fresh=given is not None, size=size,
    )


def wait(
    run: Run, node: Node, phase: Phase, retry: Retry, attempt: int, at_ms: int, *, patient: bool = False
) -> ev.RetryScheduled:
    """The pause after the attempt with this number: what the worker asked for, else what the policy says."""
    pause = _pause_ms(run, node, phase, retry, attempt)
    return ev.RetryScheduled(at_ms, node.path, phase, f"{node.path}@{node.waits + 1}", at_ms + pause, patient)


def _pause_ms(run: Run, node: Node, phase: Phase, retry: Retry, attempt: int) -> int:
    return node.hint_ms or delay_ms(retry, attempt, seed=f"{run.header.run_id}/{node.path}:{phase}")


# -- budgets of the action ----------------------------------------------------------------------------
def may_retry(plan: Plan, run: Run, node: Node, worker: WorkerAction, at_ms: int) -> bool:
    """Whether the action may be tried again of its own: it has attempts and time left, and the run goes on."""
    retry = budget(plan, node, worker)
    if (node.halt and not node.resumed) or node.spent >= retry.max_attempts or node.lost >= CRASH_LOOP:
        return False
    left = _left_ms(node, worker, at_ms)
    # A pause that outlasts the time would end in an attempt that has none: it could only make a clean failure unknown.
    return left is None or _pause_ms(run, node, "action", retry, max(1, node.spent)) < left


def has_time(node: Node, worker: WorkerAction, at_ms: int) -> bool:
    left = _left_ms(node, worker, at_ms)
    return left is None or left > 0


def budget(plan: Plan, node: Node, worker: WorkerAction) -> Retry:
    return plan.patient if node.patient else worker.call.retry


def _left_ms(node: Node, worker: WorkerAction, at_ms: int) -> int | None:
    """What is left of `total_timeout`. Patient attempts settle what may have happened already: they have no end."""
    if not worker.total_timeout_ms or node.patient:
        return None
    return (node.resumed_at_ms or node.started_at_ms) + worker.total_timeout_ms - at_ms


# -- the step as it is ----------------------------------------------------------------------------------
def is_final(error: ErrorRecord) -> bool:
    """Whether a definite failure with this error would only be repeated."""
    return error.kind == "business" or error.code in FINAL_CODES


def error_of(node: Node) -> ErrorRecord:
    return node.error or ErrorRecord("worker_lost", message="the outcome is not known")


def worker_of(place: StepPlan) -> WorkerAction:
    if place.worker is None:
        raise ValueError(f"{place.path!r} is no operation")
    return place.worker


def call_of(call: CallPlan | None) -> CallPlan:
    if call is None:
        raise ValueError("the step has no such call")
    return call
