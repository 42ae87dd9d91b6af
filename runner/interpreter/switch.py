"""`switch`: the first case whose condition holds, as a scope of its own; none: the step is skipped."""

from __future__ import annotations

from collections.abc import Sequence

from runner.errors import ExpressionError
from runner.interpreter import event as ev
from runner.interpreter.completion import complete
from runner.interpreter.failure import expression_error, fail
from runner.interpreter.halting import pass_on
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import scope_at
from runner.interpreter.state import Node, Run, StepStatus

Proposals = Sequence[ev.AnyEvent]


def decide_switch(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if not node.cursor:
        return (ev.StepHalted(at_ms, node.path),) if node.halt else _choose(plan, run, node, place, at_ms)
    chosen = next(case for name in place.children if (case := run.nodes.get(f"{node.path}.{name}")) is not None)
    if not chosen.rest:
        return pass_on(node, chosen, at_ms)
    if chosen.fault and chosen.error is not None:
        return fail(plan, run, node, chosen.error, at_ms)
    if chosen.status is not StepStatus.COMPLETED:
        return (ev.StepHalted(at_ms, node.path),)
    output = run.payloads.get(f"{chosen.path}:output") if chosen.has_output else None
    return complete(plan, run, node, place, output, at_ms, has_output=chosen.has_output)


def _choose(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    scope = scope_at(plan, run, node.path)
    for name, condition in zip(place.children, place.cases, strict=True):
        try:
            if condition is None or condition.evaluate(scope):
                return (ev.StepStarted(at_ms, f"{node.path}.{name}"),)
        except ExpressionError as error:
            return fail(plan, run, node, expression_error(plan, node.path, f"case {name}: when", error), at_ms)
    return (ev.StepSkipped(at_ms, node.path),)
