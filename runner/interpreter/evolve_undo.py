"""What the walk back does to a step, and to the variables that it set. evolve.py has the rule."""

from __future__ import annotations

from runner.interpreter import event as ev
from runner.interpreter.evolve_step import unstick, vars_reverted
from runner.interpreter.paths import RUN, parent
from runner.interpreter.plan import Plan
from runner.interpreter.state import Node, Run, StepStatus, move_step


def undo_started(plan: Plan, run: Run, event: ev.UndoStarted) -> None:
    node = run.edit(event.path)
    node.undo, node.undo_started_at_ms = "undoing", event.at_ms
    # A loop counts its items down, a sequence starts with the child in hand (it may be past the last one).
    node.undo_cursor = node.cursor
    above_path = parent(event.path)
    if above_path != RUN:
        _count_down(plan, run, node, above_path)
    run.due(event.path)


def _count_down(plan: Plan, run: Run, node: Node, above_path: str) -> None:
    """So that the walk goes on from here, and looks at nothing twice."""
    separator = node.path[len(above_path)] if above_path else "/"
    above = run.edit(above_path)
    if separator in ".#":
        above.active += 1
        if separator == "#":
            above.undo_cursor -= 1
        run.due(above_path)
    elif above.undo == "":
        _settling(run, above_path, 1)
    elif separator == "/":
        above.undo_cursor = plan.steps[node.path].position


def _settling(run: Run, path: str, change: int) -> None:
    """A catch that keeps what completed waits for single operations below it: it is the first node not at rest."""
    while run.nodes[path].rest:
        path = parent(path)
    node = run.edit(path)
    node.settling += change
    if not node.settling:
        run.due(path)


def step_undone(plan: Plan, run: Run, event: ev.StepUndone) -> None:
    node = run.edit(event.path)
    place = plan.steps[event.path]
    if not event.nothing and not event.skipped and node.resolved != "skipped":
        if node.status not in (StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED):
            move_step(node, StepStatus.COMPENSATING)
        move_step(node, StepStatus.COMPENSATED)
        node.unknown = node.effect = False
        node.undo_error = None
    if event.skipped:
        run.header.skipped_undo = True
    if event.resolved or event.skipped:
        unstick(run, node, "skipped" if event.skipped else "compensated")
    node.undo_ended_at_ms = event.at_ms
    if place.kind == "set" and f"{event.path}:before" in run.payloads:
        vars_reverted(run, event.path)
    if node.rolling:
        node.rolling, node.rolled_back, node.undo = False, True, ""
        run.due(event.path)
        return
    node.undo = "undone"
    above_path = parent(event.path)
    run.due(above_path)
    if above_path != RUN:
        separator = event.path[len(above_path)] if above_path else "/"
        if separator in ".#":
            run.edit(above_path).active -= 1
        elif run.nodes[above_path].undo == "":
            _settling(run, above_path, -1)
