"""`for_each`: the block once for each item, some side by side.

Rule: nothing here looks at all items more than once in the life of a loop, for there may be a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.errors import ExpressionError
from runner.expression.values import kind
from runner.interpreter import event as ev
from runner.interpreter.branch import come_together
from runner.interpreter.completion import complete
from runner.interpreter.failure import expression_error, fail
from runner.interpreter.halting import halt_of_children, pass_on_to_all
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import scope_at, shown
from runner.interpreter.sizes import size_of, too_large, too_many_nodes
from runner.interpreter.state import Node, Run
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]
MAX_ITEMS = 1_000
MAX_DETAILS = 1_000  # bytes of a collected error's details: a thousand tracebacks are no result


def decide_loop(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if f"{node.path}:items" not in run.payloads:
        return _list_items(plan, run, node, place, at_ms)
    level = halt_of_children(node, place)
    if level:
        halted = pass_on_to_all(node, level, at_ms)
        if halted:
            return halted
    elif node.cursor < node.count and node.active < place.max_parallel:
        until = min(node.count, node.cursor + place.max_parallel - node.active)
        return [ev.StepStarted(at_ms, f"{node.path}#{index}") for index in range(node.cursor, until)]
    if node.active:
        return ()
    wrong = come_together(plan, run, node, at_ms)
    if wrong:
        return wrong
    results = [_result(run, f"{node.path}#{index}", collects=place.collects) for index in range(node.count)]
    return complete(plan, run, node, place, results, at_ms)


def _list_items(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if place.items is None:
        raise ValueError(f"{node.path!r} is no loop")
    if node.halt:
        return (ev.StepHalted(at_ms, node.path),)
    try:
        values = place.items.render(scope_at(plan, run, node.path))
    except ExpressionError as error:
        return fail(plan, run, node, expression_error(plan, node.path, "in", error), at_ms)
    if not isinstance(values, list):
        wrong = ErrorRecord("expression_error", message=f"`in` gives {kind(values)}, not a list")
        return fail(plan, run, node, wrong, at_ms)
    if len(values) > MAX_ITEMS:
        message = f"{len(values)} items; a loop takes at most {MAX_ITEMS}"
        return fail(plan, run, node, ErrorRecord("too_many_items", message=message), at_ms)
    size = size_of(values)
    wrong_size = too_many_nodes(run, len(values) * place.weight) or too_large(run, "the list of items", size)
    if wrong_size is not None:
        return fail(plan, run, node, wrong_size, at_ms)
    return (ev.ItemsListed(at_ms, node.path, values, len(values), size),)


def _result(run: Run, path: str, *, collects: bool) -> Any:
    output = run.payloads.get(f"{path}:output")
    if not collects:
        return output
    item = run.nodes[path]
    if item.handler < 0 or item.error is None:
        return {"output": output}
    error = shown(item.error)
    return {"error": {**error, "details": None} if size_of(error["details"]) > MAX_DETAILS else error}
