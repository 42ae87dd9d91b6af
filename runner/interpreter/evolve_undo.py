"""What the walk back does to a step, and to the variables that it set. evolve.py has the rule."""

from __future__ import annotations

from typing import Any

from runner.interpreter import event as ev
from runner.interpreter.evolve_step import unstick
from runner.interpreter.paths import RUN, parent, static
from runner.interpreter.plan import Plan
from runner.interpreter.state import Run, StepStatus, move_step


def undo_started(_plan: Plan, run: Run, event: ev.UndoStarted) -> None:
    node = run.edit(event.path)
    node.undo, node.undo_started_at_ms = "undoing", event.at_ms
    # A loop counts its items down, a sequence starts with the child in hand (it may be past the last one).
    node.undo_cursor = node.cursor
    above = parent(event.path)
    if above != RUN and event.path[len(above)] in ".#":
        run.edit(above).active += 1
        run.due(above)
    run.due(event.path)


def step_undone(plan: Plan, run: Run, event: ev.StepUndone) -> None:
    node = run.edit(event.path)
    place = plan.steps[static(event.path)]
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
        _revert_vars(run, run.payloads[f"{event.path}:before"])
    if node.rolling:
        node.rolling, node.rolled_back, node.undo = False, True, ""
        run.due(event.path)
        return
    node.undo = "undone"
    above_path = parent(event.path)
    if above_path != RUN:
        separator = event.path[len(above_path)]
        if separator in ".#":
            run.edit(above_path).active -= 1
    run.due(above_path)
    # A catch that keeps what completed waits only for single operations below it to be settled.
    while above_path != RUN and run.nodes[above_path].undo == "":
        above_path = parent(above_path)
        run.due(above_path)


def _revert_vars(run: Run, before: dict[str, Any]) -> None:
    values = dict(run.payloads.get("~vars") or {})
    for name, value in before.items():
        if value is None or "value" not in value:
            values.pop(name, None)
        else:
            values[name] = value["value"]
    run.put("~vars", values)
