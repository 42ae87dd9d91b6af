"""What is due at a node, given the state: proposals only. It visits what is on the agenda, never the tree.

One function a step kind, in one table; most have a file of their own. The way back is in undo.py, the run as a
whole in ending.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from runner.errors import ExpressionError
from runner.interpreter import event as ev
from runner.interpreter.branch import decide_parallel
from runner.interpreter.child import decide_child, decide_decided
from runner.interpreter.completion import complete
from runner.interpreter.confirm import decide_confirm
from runner.interpreter.ending import decide_run
from runner.interpreter.evolve_step import is_to_be_confirmed
from runner.interpreter.failure import expression_error, fail
from runner.interpreter.halting import pass_on
from runner.interpreter.loop import decide_loop
from runner.interpreter.operation import decide_operation
from runner.interpreter.paths import FINALLY, ROOT, RUN, child, parent
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.repeat import decide_repeat
from runner.interpreter.scope import error_at, scope_at
from runner.interpreter.sizes import size_of, too_large, too_much
from runner.interpreter.state import CANCEL, Node, Run, StepStatus
from runner.interpreter.switch import decide_switch
from runner.interpreter.undo import decide_undo, unsettled
from runner.interpreter.waiting import decide_wait, decide_wait_for
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]


def decide(plan: Plan, run: Run, path: str, at_ms: int) -> Proposals:
    """Events that are due at this place of the agenda."""
    if path == RUN:
        return decide_run(plan, run, at_ms)
    node = run.nodes[path]
    if node.undo:
        return decide_undo(plan, run, node, at_ms) if node.undo == "undoing" else ()
    place = plan.steps[path]
    if run.header.confirming and is_to_be_confirmed(plan, node):
        return decide_decided(node, at_ms) if place.child else decide_confirm(plan, run, node, place, at_ms)
    if node.rest:
        return ()
    if run.header.ending and node.halt < run.nodes[ROOT].halt and not path.startswith(FINALLY):
        # The run goes back: nothing new begins, whichever node happens to be looked at first.
        return (ev.HaltAsked(at_ms, path, kill=run.nodes[ROOT].halt == CANCEL),)
    if node.stuck:
        return ()
    if node.handler >= 0:
        return _decide_handler(plan, run, node, place, at_ms)
    if node.gate:
        return _begin(plan, run, path, at_ms)
    return FORWARD[place.kind](plan, run, node, place, at_ms)


# -- sequences ----------------------------------------------------------------------------------------
def _decide_sequence(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if node.cursor >= len(place.children):
        return _complete_sequence(plan, run, node, place, at_ms)
    path = child(node.path, place.children[node.cursor])
    below = run.nodes.get(path)
    if below is None:
        return (ev.StepHalted(at_ms, node.path),) if node.halt else _begin(plan, run, path, at_ms)
    if not below.rest:
        return pass_on(node, below, at_ms)
    if below.fault and below.error is not None:
        if node.path == FINALLY:
            message = f"finally step {path.rpartition('/')[2]!r} failed: {below.error.code}: {below.error.message}"
            return (ev.FaultRecorded(at_ms, path), ev.AlertRaised(at_ms, message))
        return fail(plan, run, node, below.error, at_ms)
    # At rest and not at fault, with the cursor still on it: it was halted.
    return (ev.StepHalted(at_ms, node.path),)


def _begin(plan: Plan, run: Run, path: str, at_ms: int) -> Proposals:
    place = plan.steps[path]
    if place.when is None:
        return (ev.StepStarted(at_ms, path),)
    try:
        wanted = place.when.evaluate(scope_at(plan, run, path))
    except ExpressionError as error:
        # The step must exist before it can fail, so that its own `catch` may take it.
        node = run.nodes.get(path)
        new = () if node else (ev.StepStarted(at_ms, path, gated=True),)
        wrong = expression_error(plan, path, "when", error)
        return (*new, *fail(plan, run, node or Node(path=path, halt=run.nodes[parent(path)].halt), wrong, at_ms))
    return (ev.StepStarted(at_ms, path),) if wanted else (ev.StepSkipped(at_ms, path),)


def _complete_sequence(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    """A sequence gives the output of its last step, unless its `output` says otherwise."""
    last = child(node.path, place.children[-1]) if place.children else ""
    below = run.nodes.get(last)
    # Nobody reads the output of the root or of finally: it would only be stored twice.
    has_output = below is not None and below.has_output and node.path not in (ROOT, FINALLY)
    result = run.payloads.get(f"{last}:output") if has_output else None
    return complete(plan, run, node, place, result, at_ms, has_output=has_output)


# -- set, fail ----------------------------------------------------------------------------------------
def _decide_set(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if node.halt:
        return (ev.StepHalted(at_ms, node.path),)
    scope = scope_at(plan, run, node.path)
    known = run.payloads.get("~vars") or {}
    try:
        values = {name: template.render(scope) for name, template in place.values.items()}
    except ExpressionError as error:
        return fail(plan, run, node, expression_error(plan, node.path, "set", error), at_ms)
    before = _found_before(run, known, values)
    size = size_of((values, before))
    wrong = too_large(run, "what the variables hold", size_of({**known, **values})) or too_much(run, size)
    if wrong is not None:
        return fail(plan, run, node, wrong, at_ms)
    completed = complete(plan, run, node, place, values, at_ms)
    if f"{node.path}:before" in run.payloads:
        return completed  # it was stuck over its output; setting again would take its own value for what was before
    return (ev.VarsSet(at_ms, node.path, values, before, size), *completed)


def _found_before(run: Run, known: Mapping[str, Any], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """For each name its value and the step that had set it, as far as there are any."""
    setters = run.payloads.get("~setters") or {}
    found = {name: {"value": known[name]} if name in known else {} for name in names}
    for name in found.keys() & setters.keys():
        found[name]["by"] = setters[name]
    return found


def _decide_fail(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if node.halt:
        return (ev.StepHalted(at_ms, node.path),)
    action = place.fail
    if action is None or place.message is None:
        raise ValueError(f"{node.path!r} is no fail step")
    if action.rethrow:
        handled = error_at(run, node.path) or ErrorRecord("rethrow", message="there is no error to rethrow here")
        return fail(plan, run, node, handled, at_ms)
    try:
        message = place.message.render(scope_at(plan, run, node.path))
    except ExpressionError as error:
        return fail(plan, run, node, expression_error(plan, node.path, "message", error), at_ms)
    step = place.step.id if place.step else ""
    error_record = ErrorRecord(action.error, kind="business", message=str(message or ""), step=step)
    return fail(plan, run, node, error_record, at_ms)


# -- handlers -----------------------------------------------------------------------------------------
def _decide_handler(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    """The step failed, a catch took it, and what had to be undone first is undone."""
    catch = place.catches[node.handler]
    path = f"{node.path}~{node.handler}"
    below = run.nodes.get(path)
    if below is None:
        if node.settling:
            return ()
        waiting = unsettled(plan, run, node) if not node.rolled_back else ()
        if waiting:
            return [ev.UndoStarted(at_ms, path) for path in waiting]
        if node.halt:
            return (ev.StepHalted(at_ms, node.path),)
        if catch.has_steps:
            return (ev.StepStarted(at_ms, path),)
    elif not below.rest:
        return pass_on(node, below, at_ms)
    elif below.fault and below.error is not None:
        return fail(plan, run, node, below.error, at_ms)
    elif below.status is not StepStatus.COMPLETED:
        return (ev.StepHalted(at_ms, node.path),)
    return _caught(plan, run, node, place, at_ms, below)


def _caught(
    plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int, below: Node | None
) -> Proposals:
    catch = place.catches[node.handler]
    if catch.output is None:
        has_output = below is not None and below.has_output
        output = run.payloads.get(f"{below.path}:output") if below is not None and has_output else None
        return (ev.StepCaught(at_ms, node.path, catch.has_steps, output, has_output),)
    try:
        inside = f"{node.path}~{node.handler}/output"
        output = catch.output.render(scope_at(plan, run, inside))
    except ExpressionError as error:
        return fail(plan, run, node, expression_error(plan, node.path, "catch output", error), at_ms)
    size = size_of(output)
    wrong = too_large(run, "the output of its catch", size)
    if wrong is not None:
        return fail(plan, run, node, wrong, at_ms)
    return (ev.StepCaught(at_ms, node.path, True, output, True, size=size),)


FORWARD: dict[str, Callable[[Plan, Run, Node, StepPlan, int], Proposals]] = {
    "scope": _decide_sequence,
    "steps": _decide_sequence,
    "worker": decide_operation,
    "subworkflow": decide_child,
    "parallel": decide_parallel,
    "for_each": decide_loop,
    "repeat": decide_repeat,
    "switch": decide_switch,
    "wait": decide_wait,
    "wait_for": decide_wait_for,
    "set": _decide_set,
    "fail": _decide_fail,
}
