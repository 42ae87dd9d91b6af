"""The way back: reverse structural order, along the tree.

A sequence backwards, branches side by side, items from the last to the first. Nothing is undone before
what came after it is undone or settled: a walk waits at a child until that child is undone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.interpreter import event as ev
from runner.interpreter.attempt import dispatch, is_final, render, wait
from runner.interpreter.paths import child, children_of
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import ABSENT
from runner.interpreter.state import Node, Run, StepStatus
from runner.wire import ErrorRecord

Proposals = Sequence[ev.AnyEvent]


def decide_undo(plan: Plan, run: Run, node: Node, at_ms: int) -> Proposals:
    """What is due at a node that the walk has reached."""
    place = plan.steps[node.path]
    handler = run.nodes.get(f"{node.path}~{node.handler}") if node.handler >= 0 and not node.rolling else None
    if handler is not None and handler.undo != "undone":
        # The handler came after what it handled.
        return (ev.UndoStarted(at_ms, handler.path),) if handler.undo == "" else ()
    if node.rolled_back:
        return (_undone(node, [handler] if handler else [], at_ms),)
    undo = _UNDO.get(place.kind)
    return undo(plan, run, node, place, at_ms) if undo else (ev.StepUndone(at_ms, node.path, nothing=True),)


def needs_undo(place: StepPlan, node: Node) -> bool:
    """Whether something of this operation may stand that its compensation can take away."""
    return place.compensate is not None and node.effect


def unsettled(plan: Plan, run: Run, node: Node) -> list[str]:
    """For a catch that keeps what completed: the unknown operations below, which are settled all the same."""
    found: list[str] = []
    waiting = [node.path]
    while waiting:
        path = waiting.pop()
        below = run.nodes.get(path)
        if below is None or below.undo == "undone":
            continue
        place = plan.steps[path]
        handler = f"{path}~{below.handler}"
        if handler in run.nodes:
            # It came after what it handles, which was undone or settled before it began.
            waiting.append(handler)
        elif place.is_operation:
            if below.unknown:
                found.append(path)
        elif place.kind in ("steps", "scope") and below.cursor < len(place.children):
            waiting.append(child(path, place.children[below.cursor]))
        elif place.kind in _SCOPED:
            waiting.extend(children_of(path, place.children, below.cursor))
    return found


# -- containers ---------------------------------------------------------------------------------------
def _undo_sequence(_plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    for position in range(min(node.undo_cursor, len(place.children) - 1), -1, -1):
        path = child(node.path, place.children[position])
        below = run.nodes.get(path)
        if below is None or below.undo == "undone" or below.status is StepStatus.SKIPPED:
            continue
        return (ev.UndoStarted(at_ms, path),) if below.undo == "" else ()
    return (_undone(node, [run.nodes.get(child(node.path, name)) for name in place.children], at_ms),)


def _undo_branches(_plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    begun = [below for path in children_of(node.path, place.children, 0) if (below := run.nodes.get(path)) is not None]
    waiting = [ev.UndoStarted(at_ms, below.path) for below in begun if below.undo == ""]
    if waiting:
        return waiting
    return () if node.active else (_undone(node, begun, at_ms),)


def _undo_items(_plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    """Items and rounds, counted down by `undo_cursor`: what it has passed is undone or on its way."""
    until = max(0, node.undo_cursor - max(0, place.max_parallel - node.active))
    waiting = [ev.UndoStarted(at_ms, f"{node.path}#{index}") for index in range(node.undo_cursor - 1, until - 1, -1)]
    if waiting:
        return waiting
    if node.active:
        return ()
    return (_undone(node, [run.nodes[path] for path in children_of(node.path, (), node.cursor)], at_ms),)


def _undone(node: Node, children: Sequence[Node | None], at_ms: int) -> ev.StepUndone:
    """The container is undone; whether there was anything shows in its children."""
    something = any(below is not None and below.status is StepStatus.COMPENSATED for below in children)
    return ev.StepUndone(at_ms, node.path, nothing=not something)


# -- operations ---------------------------------------------------------------------------------------
def _undo_operation(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    if node.open or node.timer or node.stuck:
        return ()
    call = place.compensate
    if call is None or not needs_undo(place, node):
        return (ev.StepUndone(at_ms, node.path, nothing=True),)
    if node.phase != "compensate":
        given = _undo_input(plan, run, node, place)
        if isinstance(given, ErrorRecord):
            return (ev.StepStuck(at_ms, node.path, given),)
        return (dispatch(node, place, call, "compensate", 1, call.retry, at_ms, given=given),)
    if node.last == "completed":
        return (ev.StepUndone(at_ms, node.path),)
    if node.due:
        return (dispatch(node, place, call, "compensate", node.undo_spent + 1, call.retry, at_ms),)
    error = node.undo_error or ErrorRecord("worker_lost", message="the outcome of the undo is not known")
    if (node.last == "failed" and is_final(error)) or node.undo_spent >= call.retry.max_attempts:
        return (ev.StepStuck(at_ms, node.path, error),)
    return (wait(run, node, "compensate", call.retry, node.undo_spent, at_ms),)


def _undo_child(plan: Plan, run: Run, node: Node, place: StepPlan, at_ms: int) -> Proposals:
    """A child takes back itself what it did, unless the step says how. One that was abandoned cannot any more."""
    if place.compensate is not None:
        return _undo_operation(plan, run, node, place, at_ms)
    if node.open or node.stuck:
        return ()
    if node.child_status == "held":
        return (ev.ChildAsked(at_ms, node.path, "undo"),)
    is_lost = node.child_status == "abandoned" and node.resolved == ""
    return (ev.StepUndone(at_ms, node.path, nothing=node.phase != "compensate", skipped=is_lost),)


def _undo_input(plan: Plan, run: Run, node: Node, place: StepPlan) -> dict[str, object] | ErrorRecord:
    """What was recorded before the action ran, and the late parts: with no result only where none arrived."""
    recorded = run.payloads.get(f"{node.path}:undo") or {}
    call = place.compensate
    if call is None:
        return recorded
    missing = {name: template for name, template in call.late.items() if name not in recorded}
    result = run.payloads.get(f"{node.path}:result", ABSENT)
    late = render(plan, run, node, "compensate", missing, result=result) if missing else {}
    return late if isinstance(late, ErrorRecord) else {**recorded, **late}


_SCOPED = frozenset({"parallel", "switch", "for_each", "repeat"})
_UNDO: dict[str, Callable[[Plan, Run, Node, StepPlan, int], Proposals]] = {
    "scope": _undo_sequence,
    "steps": _undo_sequence,
    "parallel": _undo_branches,
    "switch": _undo_branches,
    "for_each": _undo_items,
    "repeat": _undo_items,
    "worker": _undo_operation,
    "subworkflow": _undo_child,
}
