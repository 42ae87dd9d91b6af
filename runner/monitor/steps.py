"""The steps of a run with what became of each: the tree of its definition, filled in from its nodes.

A step of a loop is there once for each item or round that has begun; what was not reached is there as the definition
has it, but not inside of loops and undecided switches, of which nobody knows yet what they will run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from runner.definition.model import SignalAction, SwitchAction, WorkerAction
from runner.interpreter.paths import FINALLY, ROOT, items, parent
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import child_paths
from runner.interpreter.state import Node, Run, StepStatus
from runner.monitor.shapes import ChildView, ConfirmView, PartView, StepView, UndoView, WaitView
from runner.monitor.story import Attempt, Chapter, Story
from runner.store.ports import StoredRun, TaskRecord

Place = tuple[str, StepPlan | None]
Parts = Mapping[str, list[PartView]]


def step_views(stored: StoredRun, run: Run, plan: Plan | None, story: Story) -> Iterator[StepView]:
    """In the order of the definition; without one, in the order in which the steps began."""
    parts = _parts(run)
    places = _nodes_only(run)
    if plan is not None:
        places = _below(plan, run, parts, ROOT)
        if plan.has_finally:
            places = chain(places, _below(plan, run, parts, FINALLY))
    for path, place in places:
        yield _step(stored, run, path, place, story.chapters.get(path, Chapter(path)), parts.get(path, ()))


def _parts(run: Run) -> dict[str, list[PartView]]:
    """The branches, items, rounds and cases that have begun, by the path of what they are parts of."""
    found: dict[str, list[PartView]] = {}
    for path, node in run.nodes.items():
        owner = parent(path)
        if len(path) > len(owner) and path[len(owner)] in ".#":
            found.setdefault(owner, []).append(PartView(path[len(owner) :], path, _part_status(node)))
    for owner, parts in found.items():
        if parts[0].name[0] == "#":
            found[owner] = sorted(parts, key=lambda part: int(part.name[1:]))
    return found


def _part_status(node: Node) -> str:
    """Of a part that failed that stays the thing to know, also when it was undone since."""
    if node.error is not None:
        return "failed"
    # It has no error of its own: it came to rest because of another's.
    return "stopped" if node.status is StepStatus.FAILED else node.status.value


def _below(plan: Plan, run: Run, parts: Parts, scope: str) -> Iterator[Place]:
    """Every step of a sequence, with what lies below it."""
    for path in child_paths(plan, scope):
        place = plan.steps[path]
        yield path, place
        if place.kind == "steps":
            yield from _below(plan, run, parts, path)
        elif place.kind == "parallel":
            for branch in place.children:
                yield from _below(plan, run, parts, f"{path}.{branch}")
        else:
            for part in parts.get(path, ()):
                yield from _below(plan, run, parts, part.path)
        for index, catch in enumerate(place.catches):
            # A handler that never ran would only be noise: most runs never need one.
            if catch.has_steps and f"{path}~{index}" in run.nodes:
                yield from _below(plan, run, parts, f"{path}~{index}")


def _nodes_only(run: Run) -> Iterator[Place]:
    for node in sorted(run.nodes.values(), key=lambda node: node.started_at_ms):
        owner = parent(node.path)
        is_scope = node.path in (ROOT, FINALLY) or node.path[len(owner) : len(owner) + 1] in (".", "#", "~")
        if not is_scope:
            yield node.path, None


def _step(
    stored: StoredRun, run: Run, path: str, place: StepPlan | None, chapter: Chapter, parts: Sequence[PartView]
) -> StepView:
    node = run.nodes.get(path) or Node(path=path, status=StepStatus.PENDING)
    worker = place.worker if place else None
    task = stored.tasks.get(path)
    choice, choice_when = _choice(place, node, parts)
    return StepView(
        id=place.step.id if place and place.step else path.rpartition("/")[2],
        path=path,
        item_path=items(path),
        kind=_kind(place),
        worker=worker.call.worker if worker else "",
        status=node.status.value,
        attempts=node.tries,
        started_at_ms=node.started_at_ms,
        duration_ms=(
            node.ended_at_ms - node.started_at_ms - chapter.stuck_ms("forward") if node.ended_at_ms else None
        ),
        output=run.payloads.get(f"{path}:output") if node.has_output else None,
        error=node.error,
        compensation=_undo(node, _undone_by(node, place), chapter),
        summary=place.step.summary if place and place.step else "",
        phase=node.phase if node.open else "",
        queued=task is not None and task.state == "Q",
        held_by=task.process if task else "",
        retry_at_ms=chapter.retry_at_ms if node.timer else 0,
        stuck=node.stuck,
        resolved=chapter.settled("forward"),
        handler=node.handler,
        tries=_tries(chapter, task),
        standstills=tuple(chapter.standstills),
        parts=tuple(parts),
        part_count=_part_count(place, node, len(parts)),
        choice=choice,
        choice_when=choice_when,
        wait=_wait(place, node, chapter),
        confirmation=_confirmation(node, worker, chapter),
        child=ChildView(node.child, node.child_status, node.child_stuck) if node.child else None,
    )


def _tries(chapter: Chapter, task: TaskRecord | None) -> tuple[Attempt, ...]:
    """Of the one that is out, the open task knows who has it."""
    if task is not None and task.state == "R" and chapter.attempts and not chapter.attempts[-1].outcome:
        chapter.attempts[-1].process, chapter.attempts[-1].claimed_at_ms = task.process, task.claimed_at_ms
    return tuple(chapter.attempts)


def _kind(place: StepPlan | None) -> str:
    if place is None:
        return ""
    return place.worker.kind if place.worker else place.kind


def _choice(place: StepPlan | None, node: Node, parts: Sequence[PartView]) -> tuple[str, str]:
    """The case that a switch took, and its condition; the branch that was first where one is enough."""
    if node.winner:
        return node.winner[len(node.path) + 1 :], ""
    action = place.step.action if place is not None and place.step is not None else None
    if not isinstance(action, SwitchAction) or not parts:
        return "", ""
    name = parts[0].name.removeprefix(".")
    return name, action.cases[int(name)].when or "" if name.isdecimal() else ""


def _wait(place: StepPlan | None, node: Node, chapter: Chapter) -> WaitView | None:
    """What it waits for now, apart from workers."""
    if not node.waiting:
        return None
    action = place.step.action if place is not None and place.step is not None else None
    return WaitView(action if isinstance(action, SignalAction) else None, chapter.wait_until_ms)


def _confirmation(node: Node, worker: WorkerAction | None, chapter: Chapter) -> ConfirmView | None:
    """None while the run is not decided, and where nobody is to be told."""
    if worker is None or worker.confirm is None or not (node.confirm or node.phase == "confirm"):
        return None
    status = "completed" if node.confirm == "done" else "stuck" if node.stuck else "running"
    settled = chapter.settled("confirm")
    return ConfirmView(worker.confirm.worker, status, node.confirm_spent, node.confirm_error, settled)


def _part_count(place: StepPlan | None, node: Node, begun: int) -> int:
    """How many there are in all, as far as that is known."""
    if place is not None and place.kind == "parallel":
        return len(place.children)
    if place is not None and place.kind == "repeat" and node.status is StepStatus.RUNNING:
        return place.max_rounds
    return max(node.count, begun)


def _undone_by(node: Node, place: StepPlan | None) -> str:
    """The worker of its compensation; a child run undoes itself. "": nobody does."""
    if place is None or not place.is_operation:
        return ""
    if place.compensate is not None:
        return place.compensate.worker
    return f"run {node.child}" if node.child else ""


def _undo(node: Node, worker: str, chapter: Chapter) -> UndoView | None:
    """None while nobody asked for it, and where there was nothing to undo."""
    if not worker or not (node.undo_tries or node.undo_error or node.stuck):
        return None
    if not node.undo_tries and node.undo != "undoing":
        return None
    ended = node.undo_ended_at_ms or chapter.undo_ended_at_ms
    took = ended - node.undo_started_at_ms - chapter.stuck_ms("undo") if ended and node.undo_started_at_ms else None
    return UndoView(
        worker=worker,
        status=_undo_status(node),
        attempts=node.undo_tries,
        error=node.undo_error,
        started_at_ms=node.undo_started_at_ms,
        duration_ms=took,
        resolved=chapter.settled("undo"),
    )


def _undo_status(node: Node) -> str:
    if node.status is StepStatus.COMPENSATED:
        return "completed"
    if node.resolved == "skipped":
        return "skipped"
    if node.stuck:
        return "stuck"
    return "failed" if node.status is StepStatus.COMPENSATION_FAILED else "running"
