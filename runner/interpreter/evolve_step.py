"""What events do to a step on its way forward, and when it is stuck. evolve.py has the rule."""

from __future__ import annotations

from runner.interpreter import event as ev
from runner.interpreter.paths import FINALLY, RUN, parent, static
from runner.interpreter.plan import Plan
from runner.interpreter.state import Node, Run, RunStatus, StepStatus, move_run, move_step


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
    run.due(event.path)


def step_skipped(_plan: Plan, run: Run, event: ev.StepSkipped) -> None:
    node = run.nodes.get(event.path)
    if node is None:
        node = run.add(Node(path=event.path, status=StepStatus.PENDING, started_at_ms=event.at_ms))
        move_step(node, StepStatus.SKIPPED)
    else:
        node = run.edit(event.path)
        move_step(node, StepStatus.SKIPPED)
        unstick(run, node, "skipped")
    _come_to_rest(run, node, event.at_ms)


def step_completed(plan: Plan, run: Run, event: ev.StepCompleted) -> None:
    node = run.edit(event.path)
    move_step(node, StepStatus.COMPLETED)
    node.has_output = event.has_output
    node.error, node.fault = event.error, event.error is not None
    if event.has_output:
        run.put(f"{event.path}:output", event.output)
    place = plan.steps[static(event.path)]
    if event.undo is not None:
        run.put(f"{event.path}:undo", {**run.payloads.get(f"{event.path}:undo", {}), **event.undo})
    if event.undo is not None or place.compensate is None or not place.compensate.late:
        run.payloads.pop(f"{event.path}:result", None)  # else the undo still has to be made of it
    _took_effect(plan, run, node)
    if event.resolved:
        unstick(run, node, "completed")
    _come_to_rest(run, node, event.at_ms)


def _took_effect(plan: Plan, run: Run, node: Node) -> None:
    node.unknown = False
    node.effect = plan.steps[static(node.path)].worker is not None
    if is_pivot(plan, node.path):
        run.header.pivot = "passed"


def step_failed(plan: Plan, run: Run, event: ev.StepFailed) -> None:
    node = run.edit(event.path)
    if node.handler < 0:
        move_step(node, StepStatus.UNKNOWN if event.unknown else StepStatus.FAILED)
        node.unknown = node.effect = event.unknown
    node.error = event.error
    if run.header.pivot == "in_flight" and is_pivot(plan, event.path):
        run.header.pivot = ""
        # What was held takes effect before anything else follows from the failure.
        run.due(RUN)
    if event.resolved:
        unstick(run, node, "failed")
    if event.caught >= 0:
        node.handler = event.caught
        if event.undo:
            node.undo, node.rolling, node.undo_cursor = "undoing", True, node.cursor
        run.due(event.path)
    else:
        node.fault = True
        _come_to_rest(run, node, event.at_ms)


def step_caught(_plan: Plan, run: Run, event: ev.StepCaught) -> None:
    node = run.edit(event.path)
    # A step whose undo was skipped keeps saying so, whatever its handler gave in its place.
    if event.handled and node.status not in (StepStatus.COMPLETED, StepStatus.COMPENSATION_FAILED):
        move_step(node, StepStatus.COMPLETED)
    node.has_output = event.has_output
    if event.has_output:
        run.put(f"{event.path}:output", event.output)
    if event.resolved:
        unstick(run, node, event.resolved)
    _come_to_rest(run, node, event.at_ms)


def step_halted(_plan: Plan, run: Run, event: ev.StepHalted) -> None:
    node = run.edit(event.path)
    if node.status is StepStatus.RUNNING:
        move_step(node, StepStatus.FAILED)
    _come_to_rest(run, node, event.at_ms, passed=False)


def vars_set(_plan: Plan, run: Run, event: ev.VarsSet) -> None:
    run.put(f"{event.path}:before", event.before)
    run.put("~vars", {**(run.payloads.get("~vars") or {}), **event.values})


def halt_asked(_plan: Plan, run: Run, event: ev.HaltAsked) -> None:
    run.edit(event.path).halt = True
    run.due(event.path)


def fault_recorded(_plan: Plan, run: Run, event: ev.FaultRecorded) -> None:
    node = run.edit(event.path)
    node.fault = False
    above = run.edit(parent(event.path))
    above.cursor += 1
    run.due(above.path)


def _come_to_rest(run: Run, node: Node, at_ms: int, *, passed: bool = True) -> None:
    """`passed`: its sequence goes on to the next step, unless it is at fault."""
    node.rest = True
    node.ended_at_ms = at_ms
    above_path = parent(node.path)
    if above_path != RUN:
        separator = node.path[len(above_path)]
        if separator in ".#":
            above = run.edit(above_path)
            above.active -= 1
            if node.fault and not above.faulted:
                above.faulted = node.path
        elif separator != "~" and passed and not node.fault:
            run.edit(above_path).cursor += 1
    run.due(above_path)


def step_stuck(plan: Plan, run: Run, event: ev.StepStuck) -> None:
    node = run.edit(event.path)
    node.stuck = True
    if node.undo == "undoing":
        node.undo_error = event.error
        if node.status is not StepStatus.COMPENSATING:
            move_step(node, StepStatus.COMPENSATING)
        move_step(node, StepStatus.COMPENSATION_FAILED)
    else:
        node.error = event.error
        if event.took_effect:
            _took_effect(plan, run, node)
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
    node.spent = node.asked = node.undo_spent = node.lost = 0
    node.resumed_at_ms = event.at_ms
    if node.undo == "undoing":
        node.due = node.phase == "compensate"
    else:
        # What took effect is not asked for again; then only what we made of its result is tried anew.
        node.due = node.last != "" and not node.effect
        place = plan.steps[static(event.path)]
        node.resumed = node.halt and node.phase == "action" and not place.is_settled_by_undo
    if node.status is StepStatus.COMPENSATION_FAILED:
        move_step(node, StepStatus.COMPENSATING)
    run.due(event.path)


def is_pivot(plan: Plan, path: str) -> bool:
    worker = plan.steps[static(path)].worker
    return worker is not None and worker.kind == "pivot"
