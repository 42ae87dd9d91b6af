"""What events do to a step on its way forward, and when it is stuck. evolve.py has the rule."""

from __future__ import annotations

from typing import Any

from runner.interpreter import event as ev
from runner.interpreter.paths import FINALLY, RUN, children_of, parent
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.state import CANCEL, DRAIN, Node, Run, RunStatus, StepStatus, move_run, move_step


def step_started(_plan: Plan, run: Run, event: ev.StepStarted) -> None:
    if event.path in run.nodes:
        run.edit(event.path).gate = False
        run.due(event.path)
        return
    node = run.add(Node(path=event.path, gate=event.gated, started_at_ms=event.at_ms))
    above = run.nodes.get(parent(event.path))
    if above is not None:
        node.halt = above.halt
    if event.path == FINALLY:
        run.header.finishing = True
    elif above is not None and event.path[len(above.path)] in ".#":
        above = run.edit(above.path)
        above.active += 1
        above.cursor += 1
        run.due(above.path)
    run.due(event.path)


def items_listed(_plan: Plan, run: Run, event: ev.ItemsListed) -> None:
    run.put(f"{event.path}:items", event.items)
    run.edit(event.path).count = len(event.items)
    run.header.made += event.size
    run.due(event.path)


def step_skipped(plan: Plan, run: Run, event: ev.StepSkipped) -> None:
    if event.path in run.nodes:
        node = run.edit(event.path)
    else:
        node = run.add(Node(path=event.path, status=StepStatus.PENDING, started_at_ms=event.at_ms))
    move_step(node, StepStatus.SKIPPED)
    if event.resolved:
        unstick(run, node, "skipped")
    _come_to_rest(plan, run, node, event.at_ms)


def step_completed(plan: Plan, run: Run, event: ev.StepCompleted) -> None:
    path = event.path
    node, place, result = run.edit(path), plan.steps[path], f"{path}:result"
    move_step(node, StepStatus.COMPLETED)
    node.has_output = event.has_output
    node.error, node.fault = event.error, event.error is not None
    run.header.made += event.size
    if event.has_output:
        is_result = result in run.kept and event.output is run.payloads.get(result)
        run.put(f"{path}:output", event.output, kept=is_result)
    if event.undo is not None:
        run.put(f"{path}:undo", {**run.payloads.get(f"{path}:undo", {}), **event.undo})
    undo_needs_it = event.undo is None and place.compensate is not None and place.compensate.late
    if not undo_needs_it and not (place.confirm is not None and place.confirm.late):
        run.drop(result)
    _took_effect(run, node, place)
    if event.resolved:
        unstick(run, node, "completed")
    _come_to_rest(plan, run, node, event.at_ms)


def _took_effect(run: Run, node: Node, place: StepPlan) -> None:
    node.unknown = False
    node.effect = place.is_operation
    if place.is_pivot:
        run.header.pivot = "passed"


def step_failed(plan: Plan, run: Run, event: ev.StepFailed) -> None:
    node = run.edit(event.path)
    if node.handler < 0:
        move_step(node, StepStatus.UNKNOWN if event.unknown else StepStatus.FAILED)
        node.unknown = node.effect = event.unknown
    node.error = event.error
    if run.header.pivot == "in_flight" and plan.steps[event.path].is_pivot:
        run.header.pivot = ""
        # What was held takes effect before anything else follows from the failure.
        run.due(RUN)
    if event.resolved:
        unstick(run, node, "failed")
    if event.caught >= 0:
        node.handler = event.caught
        above = parent(event.path)
        if above != RUN and plan.steps[above].joins_any:
            # Taken, so that the others go on; should they fail as well, the first failure is that of the whole.
            run.edit(above).faulted = run.nodes[above].faulted or event.path
        if event.undo:
            node.undo, node.rolling, node.undo_cursor = "undoing", True, node.cursor
        run.due(event.path)
    else:
        node.fault = True
        _come_to_rest(plan, run, node, event.at_ms)


def step_caught(plan: Plan, run: Run, event: ev.StepCaught) -> None:
    node = run.edit(event.path)
    # A step whose undo was skipped keeps saying so, whatever its handler gave in its place.
    if event.handled and node.status not in (StepStatus.COMPLETED, StepStatus.COMPENSATION_FAILED):
        move_step(node, StepStatus.COMPLETED)
    node.has_output = event.has_output
    run.header.made += event.size
    if event.has_output:
        run.put(f"{event.path}:output", event.output)
    if event.resolved:
        unstick(run, node, event.resolved)
    _come_to_rest(plan, run, node, event.at_ms)


def step_halted(plan: Plan, run: Run, event: ev.StepHalted) -> None:
    node = run.edit(event.path)
    if node.status is StepStatus.RUNNING:
        move_step(node, StepStatus.FAILED)
    _come_to_rest(plan, run, node, event.at_ms, passed=False)


def vars_set(_plan: Plan, run: Run, event: ev.VarsSet) -> None:
    run.header.made += event.size
    run.put(f"{event.path}:before", event.before)
    run.put("~vars", {**(run.payloads.get("~vars") or {}), **event.values})
    run.put("~setters", {**(run.payloads.get("~setters") or {}), **dict.fromkeys(event.values, event.path)})


def vars_reverted(run: Run, path: str) -> None:
    """As if this step had never set anything: what others set after it, in a branch beside it, stays."""
    values = dict(run.payloads.get("~vars") or {})
    setters: dict[str, str] = dict(run.payloads.get("~setters") or {})
    before: dict[str, Any] = run.payloads[f"{path}:before"]
    for name, was in before.items():
        later = setters.get(name, "")
        if later == path:
            setters[name] = was.get("by", "")
            if "value" in was:
                values[name] = was["value"]
            else:
                values.pop(name, None)
            continue
        # Somebody set it later: the one who found this step's value is left with what this step had found.
        while later and run.payloads[f"{later}:before"][name].get("by", "") != path:
            later = run.payloads[f"{later}:before"][name].get("by", "")
        if later:
            run.put(f"{later}:before", {**run.payloads[f"{later}:before"], name: was})
    run.put("~vars", values)
    run.put("~setters", setters)
    run.put(f"{path}:before", {})


def halt_asked(_plan: Plan, run: Run, event: ev.HaltAsked) -> None:
    _halt(run, event.path, CANCEL if event.kill else DRAIN)


def children_halted(plan: Plan, run: Run, event: ev.ChildrenHalted) -> None:
    node = run.edit(event.path)
    node.told = CANCEL if event.kill else DRAIN
    for path in children_of(event.path, plan.steps[event.path].children, node.cursor):
        if path in run.nodes and not run.nodes[path].rest:
            _halt(run, path, node.told)
    run.due(event.path)


def _halt(run: Run, path: str, level: int) -> None:
    node = run.edit(path)
    node.halt = max(node.halt, level)
    run.due(path)


def fault_recorded(_plan: Plan, run: Run, event: ev.FaultRecorded) -> None:
    node = run.edit(event.path)
    node.fault = False
    above = run.edit(parent(event.path))
    above.cursor += 1
    run.due(above.path)


def _come_to_rest(plan: Plan, run: Run, node: Node, at_ms: int, *, passed: bool = True) -> None:
    """`passed`: its sequence goes on to the next step, unless it is at fault."""
    node.rest, node.waiting = True, False
    node.ended_at_ms = at_ms
    above_path = parent(node.path)
    if above_path != RUN:
        separator = node.path[len(above_path)]
        if separator in ".#":
            above = run.edit(above_path)
            above.active -= 1
            if node.fault:
                above.faulted = above.faulted or node.path
            elif node.status is StepStatus.COMPLETED and plan.steps[above_path].joins_any:
                above.winner = above.winner or node.path
        elif separator != "~" and passed and not node.fault:
            run.edit(above_path).cursor += 1
    run.due(above_path)


def step_stuck(plan: Plan, run: Run, event: ev.StepStuck) -> None:
    node = run.edit(event.path)
    node.stuck = True
    if run.header.confirming and is_to_be_confirmed(plan, node):
        node.confirm_error = event.error
    elif node.undo == "undoing":
        node.undo_error = event.error
        if node.status is not StepStatus.COMPENSATING:
            move_step(node, StepStatus.COMPENSATING)
        move_step(node, StepStatus.COMPENSATION_FAILED)
    else:
        node.error = event.error
        if event.took_effect:
            _took_effect(run, node, plan.steps[event.path])
    run.header.stuck = (*run.header.stuck, event.path)
    run.due(RUN)


def unstick(run: Run, node: Node, resolved: str = "") -> None:
    node.stuck = False
    if resolved:
        node.resolved = resolved
    header = run.header
    header.stuck = tuple(path for path in header.stuck if path != node.path)
    if header.status is RunStatus.STUCK and not header.stuck:
        move_run(header, RunStatus.COMPENSATING if header.ending else RunStatus.RUNNING)
    run.due(RUN)


def step_resumed(plan: Plan, run: Run, event: ev.StepResumed) -> None:
    node = run.edit(event.path)
    unstick(run, node)
    node.spent = node.asked = node.undo_spent = node.confirm_spent = node.lost = 0
    node.resumed_at_ms = event.at_ms
    node.waiting = False
    if run.header.confirming and is_to_be_confirmed(plan, node):
        node.due = node.phase == "confirm"
    elif node.undo == "undoing":
        node.due = node.phase == "compensate"
    else:
        # What took effect is not asked for again; then only what we made of its result is tried anew.
        node.due = node.last != "" and not node.effect
        place = plan.steps[event.path]
        node.resumed = node.halt > 0 and node.phase == "action" and not place.is_settled_by_undo
    if node.status is StepStatus.COMPENSATION_FAILED:
        move_step(node, StepStatus.COMPENSATING)
    run.due(event.path)


def is_to_be_confirmed(plan: Plan, node: Node) -> bool:
    """Once the run is decided: only what stands for certain, for it completed, and no walk back has reached it.

    A child run that has done its last step confirms for itself, and is waited for.
    """
    if node.undo or node.confirm or node.path.startswith(FINALLY):
        return False
    if node.child:
        return node.child_status == "held" or node.phase == "confirm"
    return node.status is StepStatus.COMPLETED and node.effect and plan.steps[node.path].confirm is not None
