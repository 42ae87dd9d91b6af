"""A step has done what it is for: its output, and the late parts of its undo.

Rule: what fails here is ours. The effect stands and stays in the undo set, whatever becomes of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from runner.errors import ExpressionError
from runner.interpreter import event as ev
from runner.interpreter.failure import expression_error, fail, is_caught_above, named
from runner.interpreter.paths import FINALLY
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import ABSENT, scope_at
from runner.interpreter.sizes import MAX_STATE, size_of, too_large
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord

_MAKES = frozenset({"parallel", "for_each", "set"})  # their outputs are their own, not one handed on from below


class _Made(NamedTuple):
    """What our own expressions made of a result, and what was wrong with that."""

    output: Any
    has_output: bool
    undo: Any  # late parts of the undo's input
    wrong: ErrorRecord | None
    size: int = 0


def complete(
    plan: Plan, run: Run, node: Node, place: StepPlan, result: Any, at_ms: int,
    *, has_output: bool = True, resolved: bool = False,
) -> Sequence[ev.AnyEvent]:
    """`resolved`: a person says so, and `result` is the output."""
    made = _measured(run, place, _made_of(plan, run, node, place, result, has_output=has_output, resolved=resolved))
    wrong = made.wrong
    if run.header.size > MAX_STATE and place.is_operation:
        wrong = ErrorRecord("state_limit", message=f"the run's payloads exceed {MAX_STATE:,} bytes")
    if wrong is not None and place.kind == "scope":
        # An item or a round did nothing but its steps: it simply fails, and its loop may take that.
        return fail(plan, run, node, wrong, at_ms)
    if wrong is not None:
        wrong = named(plan, node, wrong)
        if _cannot_go_back(plan, run, node, place, wrong):
            if not resolved:
                # So a person says what the output is.
                return (ev.StepStuck(at_ms, node.path, wrong, took_effect=place.is_operation),)
            wrong = None
    completed = ev.StepCompleted(
        at_ms, node.path, made.output, made.has_output, made.undo, wrong, resolved, made.size
    )
    return (completed,)


def _made_of(
    plan: Plan, run: Run, node: Node, place: StepPlan, result: Any, *, has_output: bool, resolved: bool
) -> _Made:
    late = place.compensate.late if place.compensate is not None else {}
    template = None if resolved else place.output
    if template is None and not late:
        return _Made(result, has_output, None, None)
    scope = scope_at(plan, run, node.path, result=result if has_output else ABSENT)
    output, undo, wrong = result, None, None
    if template is not None:
        try:
            output, has_output = template.render(scope), True
        except ExpressionError as error:
            output, has_output, wrong = None, False, expression_error(plan, node.path, "output", error)
    if late:
        try:
            undo = {name: template.render(scope) for name, template in late.items()}
        except ExpressionError as error:
            wrong = wrong or expression_error(plan, node.path, "compensate", error)
    return _Made(output, has_output, undo, wrong)


def _measured(run: Run, place: StepPlan, made: _Made) -> _Made:
    """What is only handed on from below, or came from a worker, was measured before."""
    if place.output is None and made.undo is None and place.kind not in _MAKES:
        return made
    size = size_of((made.output, made.undo))
    wrong = too_large(run, "its output", size)
    if wrong is None:
        return made._replace(size=size)
    return _Made(None, False, None, made.wrong or wrong)


def _cannot_go_back(plan: Plan, run: Run, node: Node, place: StepPlan, error: ErrorRecord) -> bool:
    if node.path.startswith(FINALLY) or node.halt:
        return False
    return (place.is_pivot or run.header.pivot == "passed") and not is_caught_above(plan, run, node.path, error)
