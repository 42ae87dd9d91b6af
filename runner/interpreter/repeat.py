"""`repeat`: the block again, round after round, until its condition holds or there were as many as allowed.

A round is a scope like a loop's item, so every round has operations of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.errors import ExpressionError
from runner.interpreter import event as ev
from runner.interpreter.completion import complete
from runner.interpreter.failure import expression_error, fail
from runner.interpreter.halting import pass_on_to_all
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import ABSENT, scope_at
from runner.interpreter.sizes import too_many_nodes
from runner.interpreter.state import Node, Run, StepStatus

Proposals = Sequence[ev.AnyEvent]


def decide_repeat(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if node.active:
        return pass_on_to_all(node, node.halt, at_ms)
    if node.cursor == 0:
        return (_next_round(node, at_ms),)
    last = run.nodes[f"{node.path}#{node.cursor - 1}"]
    if last.fault and last.error is not None:
        return fail(plan, run, node, last.error, at_ms)
    if last.status is not StepStatus.COMPLETED:
        return (ev.StepHalted(at_ms, node.path),)
    output = run.payloads.get(f"{last.path}:output") if last.has_output else ABSENT
    try:
        is_enough = node.cursor >= place.max_rounds or _is_done(plan, run, place, last, output)
    except ExpressionError as error:
        return fail(plan, run, node, expression_error(plan, node.path, "until", error), at_ms)
    if is_enough:
        result = None if output is ABSENT else output
        return complete(plan, run, node, place, result, at_ms, has_output=last.has_output)
    too_many = too_many_nodes(run, place.weight)
    return fail(plan, run, node, too_many, at_ms) if too_many else (_next_round(node, at_ms),)


def _next_round(node: Node, at_ms: int) -> ev.AnyEvent:
    return ev.StepHalted(at_ms, node.path) if node.halt else ev.StepStarted(at_ms, f"{node.path}#{node.cursor}")


def _is_done(plan: Plan, run: Run, place: StepPlan, last: Node, output: object) -> bool:
    """`until`, as the round that has just ended sees it: its steps, and `result`, which is its output."""
    return place.until is not None and place.until.evaluate(scope_at(plan, run, last.path, result=output))
