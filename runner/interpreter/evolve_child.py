"""What starting, asking and hearing of a child run does to its step and to the run. evolve.py has the rule."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from runner.interpreter import event as ev
from runner.interpreter.evolve_step import is_to_be_confirmed
from runner.interpreter.paths import RUN
from runner.interpreter.plan import Plan
from runner.interpreter.state import Node, Run, StepStatus, move_step
from runner.wire import ErrorRecord


def child_started(plan: Plan, run: Run, event: ev.ChildStarted) -> None:
    node = run.edit(event.path)
    node.phase, node.open, node.last, node.due = "action", True, "", False
    node.child, node.child_status = event.run_id, "running"
    node.tries += 1
    run.header.made += event.size
    if plan.steps[event.path].is_pivot and run.header.pivot != "passed":
        run.header.pivot = "in_flight"
    run.put(f"{event.path}:action", event.input)
    if event.undo is not None:
        run.put(f"{event.path}:undo", event.undo)


def child_asked(_plan: Plan, run: Run, event: ev.ChildAsked) -> None:
    node = run.edit(event.path)
    before = _keeps_busy(node)
    if event.verb == "cancel":
        node.revoking, node.killing = True, node.killing or event.kill
    elif event.verb == "undo":
        node.phase, node.open, node.last = "compensate", True, ""
        node.undo_tries += 1
        move_step(node, StepStatus.COMPENSATING)
    else:
        node.phase, node.open, node.last = "confirm", True, ""
    run.header.busy += _keeps_busy(node) - before


def child_told(plan: Plan, run: Run, event: ev.ChildTold) -> None:
    node = run.edit(event.path)
    before = _keeps_busy(node)
    run.header.size += event.size
    _NEWS[event.news](plan, run, node, event)
    _note_stuck(run, node, event.stuck_run)
    run.header.busy += _keeps_busy(node) - before
    run.due(event.path)


def _keeps_busy(node: Node) -> bool:
    """A child that goes back or is decided soon ends, or is stuck; one on its way forward may wait for days."""
    return node.open and not node.child_stuck and (node.phase != "action" or node.revoking)


def _note_stuck(run: Run, node: Node, stuck_run: str) -> None:
    others = tuple(path for path in run.header.stuck_children if path != node.path)
    run.header.stuck_children = (*others, node.path) if stuck_run else others
    node.child_stuck = stuck_run


# -- kinds of news ------------------------------------------------------------------------------------
def _nothing_more(_plan: Plan, _run: Run, _node: Node, _event: ev.ChildTold) -> None:
    """Whether it is stuck is noted for every kind."""


def _passed(plan: Plan, run: Run, node: Node, _event: ev.ChildTold) -> None:
    if plan.steps[node.path].is_pivot:
        run.header.pivot = "passed"
        run.due(RUN)  # what was held is refused now, not when the child has ended


def _refused(_plan: Plan, _run: Run, node: Node, event: ev.ChildTold) -> None:
    node.error, node.child_status = event.error, "refused"
    _settle(node, "failed")


def _held(_plan: Plan, run: Run, node: Node, event: ev.ChildTold) -> None:
    node.child_status = "held"
    if event.status == "abandoned":
        # An undo that was skipped there is one that was skipped here, though the child went on.
        run.header.skipped_undo = True
    run.put(f"{node.path}:result", event.output)
    _settle(node, "completed")


def _ended(plan: Plan, run: Run, node: Node, event: ev.ChildTold) -> None:
    if run.header.confirming and not node.open and is_to_be_confirmed(plan, node):
        # It was counted when the run was decided, and ended before it could be told: nothing is left to wait for.
        run.header.confirming -= 1
        run.due(RUN)
    node.child_status = event.status
    if event.standing:
        run.put(f"{node.path}:standing", msgspec.to_builtins(event.standing))
    if not node.open:
        node.unknown = node.unknown or event.status == "abandoned"
    elif node.phase != "action":
        if event.status == "abandoned" and node.phase == "compensate":
            move_step(node, StepStatus.COMPENSATION_FAILED)
        _settle(node, "completed")
    elif event.status == "completed":
        node.error = None
        run.put(f"{node.path}:result", event.output)
        _settle(node, "completed")
    else:
        node.unknown = event.status == "abandoned"
        node.error = _error_of(event)
        _settle(node, "unknown" if node.unknown else "failed")


def _settle(node: Node, last: str) -> None:
    node.open, node.revoking, node.killing, node.last = False, False, False, last


def _error_of(event: ev.ChildTold) -> ErrorRecord:
    """The child's error as one of the step: its code and kind stay, and its own place is among the details."""
    if event.status == "abandoned":
        message = f"its child run {event.run_id} was abandoned: what it did is not undone"
        return ErrorRecord("child_abandoned", message=message, details={"run": event.run_id})
    wrong = event.error or ErrorRecord("child_failed", message=f"its child run {event.run_id} is {event.status}")
    details: dict[str, Any] = {"run": event.run_id}
    if wrong.step:
        details["step"] = wrong.step
    if wrong.details is not None:
        details["details"] = wrong.details
    return replace(wrong, step="", attempt=0, details=details)


_NEWS = {
    "stuck": _nothing_more,
    "resumed": _nothing_more,
    "passed": _passed,
    "refused": _refused,
    "completed": _held,
    "ended": _ended,
}
