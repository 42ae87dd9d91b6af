"""The plain way forward: a step of the root completes, and the next one begins. Most of what an engine does is this.

Rule: the same events, and the same run, as when `decide` and `evolve` take turns; what they would ask of the run
one by one is asked once. Where anything else has a say it is left to them. A property test holds the two together.
"""

from __future__ import annotations

from runner.interpreter import event as ev
from runner.interpreter.paths import ROOT
from runner.interpreter.plan import Plan
from runner.interpreter.sizes import MAX_MADE, MAX_STATE
from runner.interpreter.state import Node, Run, RunStatus, StepStatus


def waits_for(plan: Plan, run: Run) -> str | None:
    """The step that is out. None if anything else is on its way, or may have a say in what comes next."""
    header, root = run.header, run.nodes.get(ROOT)
    is_plain = header.status is RunStatus.RUNNING and header.busy == 1 and not (
        run.agenda or header.pending or header.ending or header.decided or header.finishing or header.provisional
        or header.stuck or header.stuck_children or header.overdue
    )
    if root is None or not is_plain or root.halt or root.handler >= 0 or root.undo or root.gate:
        return None
    if header.size > MAX_STATE // 2 or header.made > MAX_MADE // 2:
        return None
    steps = plan.steps[ROOT].children
    node = run.nodes.get(steps[root.cursor]) if root.cursor < len(steps) else None
    if node is None or not node.open or node.phase != "action" or node.status is not StepStatus.RUNNING:
        return None
    if node.unknown or node.revoking or node.halt or node.handler >= 0 or node.undo or node.timer or node.resumed:
        return None
    return node.path


def is_plain_end(plan: Plan, run: Run, event: ev.TaskSettled) -> bool:
    """Whether with this outcome a step just completes, and nothing else was on its way."""
    is_plain = event.outcome == "completed" and event.error is None and not (
        event.verdict or event.fenced or event.hint_ms or event.size > MAX_STATE // 2
    )
    return is_plain and event.path in plan.plain_ends and waits_for(plan, run) == event.path


def go_forward(plan: Plan, run: Run, event: ev.TaskSettled) -> tuple[ev.AnyEvent, ...]:
    """What `task_settled`, `step_completed` and `step_started` do, as far as it is not so already."""
    path, at_ms, output = event.path, event.at_ms, event.output
    node = run.edit(path)
    node.open, node.last, node.error, node.lost = False, "completed", None, 0
    node.status, node.has_output, node.effect = StepStatus.COMPLETED, True, True
    node.rest, node.ended_at_ms = True, at_ms
    run.put(f"{path}:output", output, kept=event.kept)
    run.header.busy, run.header.size = 0, run.header.size + event.size
    run.edit(ROOT).cursor += 1
    completed = ev.StepCompleted(at_ms, path, output)
    next_ = plan.plain_ends[path]
    if not next_:
        run.due(ROOT)
        return event, completed
    run.add(Node(path=next_, started_at_ms=at_ms))
    run.due(next_)
    return event, completed, ev.StepStarted(at_ms, next_)
