"""A step has done what it is for: its output, and the late parts of its undo.

Rule: what fails here is ours. The effect stands and stays in the undo set, whatever becomes of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.errors import ExpressionError
from runner.interpreter import event as ev
from runner.interpreter.failure import expression_error, fail, is_caught_above, named
from runner.interpreter.paths import FINALLY
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import ABSENT, scope_at
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord

MAX_STATE = 4 << 20  # bytes of all payloads of a run


def complete(
    plan: Plan, run: Run, node: Node, place: StepPlan, result: Any, at_ms: int,
    *, has_output: bool = True, resolved: bool = False,
) -> Sequence[ev.AnyEvent]:
    """`resolved`: a person says so, and `result` is the output."""
    output, undo, wrong = result, None, None
    late = place.compensate.late if place.compensate is not None else {}
    seen = result if has_output else ABSENT
    scope = scope_at(plan, run, node.path, result=seen) if place.output is not None or late else {}
    if place.output is not None and not resolved:
        try:
            output, has_output = place.output.render(scope), True
        except ExpressionError as error:
            output, has_output, wrong = None, False, expression_error(plan, node.path, "output", error)
    if late:
        try:
            undo = {name: template.render(scope) for name, template in late.items()}
        except ExpressionError as error:
            wrong = wrong or expression_error(plan, node.path, "compensate", error)
    if run.header.size > MAX_STATE and place.worker is not None:
        wrong = ErrorRecord("state_limit", message=f"the run's payloads exceed {MAX_STATE} bytes")
    if wrong is not None and place.kind == "scope":
        # An item or a round did nothing but its steps: it simply fails, and its loop may take that.
        return fail(plan, run, node, wrong, at_ms)
    if wrong is not None:
        wrong = named(plan, node, wrong)
        if _cannot_go_back(plan, run, node, place, wrong):
            if not resolved:
                # So a person says what the output is.
                return (ev.StepStuck(at_ms, node.path, wrong, took_effect=place.worker is not None),)
            wrong = None
    return (ev.StepCompleted(at_ms, node.path, output, has_output, undo, wrong, resolved),)


def _cannot_go_back(plan: Plan, run: Run, node: Node, place: StepPlan, error: ErrorRecord) -> bool:
    if node.path.startswith(FINALLY) or node.halt:
        return False
    is_pivot = place.worker is not None and place.worker.kind == "pivot"
    return (is_pivot or run.header.pivot == "passed") and not is_caught_above(plan, run, node.path, error)
