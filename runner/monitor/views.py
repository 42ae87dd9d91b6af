"""A run as people and programs look at it: every step with what became of it, and what still stands.

Built from the stored state, which is the truth, with the history (`story`) for what only it knows: the
single attempts. Read only, and tolerant: a run whose definition cannot be read is shown by its nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from runner.definition.model import WorkerAction
from runner.interpreter.ending import standing_of
from runner.interpreter.event import AnyEvent
from runner.interpreter.paths import FINALLY, ROOT, static
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.scope import child_paths
from runner.interpreter.state import TERMINAL, Node, Run, Standing, StepStatus
from runner.monitor.story import Attempt, Chapter, Story
from runner.store.ports import RunRow, SlotInfo, Store, StoredRun
from runner.wire import ErrorRecord

PARKED_FOR_GOOD = 4  # times in a row that interpreting a run broke; then the engine leaves it to a person


@dataclass(frozen=True, slots=True)
class UndoView:
    """The compensation of a step, as far as it was asked for."""

    worker: str
    status: str  # running, completed, failed, stuck, skipped
    attempts: int
    error: ErrorRecord | None
    started_at_ms: int
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of one run."""

    id: str
    path: str
    depth: int  # 0 for the steps of the definition itself
    kind: str  # of a worker step: readonly, compensatable, pivot, retriable, none; else steps, set, fail …
    worker: str
    status: str
    attempts: int
    started_at_ms: int
    duration_ms: int | None  # None: it has not ended
    output: Any
    error: ErrorRecord | None
    compensation: UndoView | None
    summary: str = ""
    phase: str = ""  # of the task that is out: action, verify, compensate
    queued: bool = False  # … and nobody has claimed it
    held_by: str = ""  # … or who has
    retry_at_ms: int = 0  # the store's clock; 0: it is not waiting
    stuck: bool = False
    resolved: str = ""  # what an operator made of it
    handler: int = -1  # the catch that took its failure
    tries: tuple[Attempt, ...] = ()

    @property
    def has_begun(self) -> bool:
        return self.status not in (StepStatus.PENDING, StepStatus.SKIPPED)


@dataclass(frozen=True, slots=True)
class StuckView:
    """An operation that gave up. `step` is what `resolve` is told; "output" is the workflow's own output."""

    step: str
    path: str
    undoing: bool
    error: ErrorRecord | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. `status` is "pending" until an engine took it up."""

    run_id: str
    workflow: str
    version: str
    status: str
    input: Any
    output: Any
    error: ErrorRecord | None
    steps: tuple[StepView, ...]
    standing: tuple[Standing, ...]
    started_at_ms: int
    duration_ms: int | None
    key: str = ""
    rerun_of: str = ""
    definition: str = ""  # digest of what it finishes with
    summary: str = ""
    ending: str = ""  # the status it is to end with, once it goes back
    updated_at_ms: int = 0
    alerts: tuple[str, ...] = ()
    pending_verb: str = ""  # a cancel or a timeout held until the pivot is settled
    broken: str = ""  # the traceback of a run that sagarun itself failed to interpret
    parked: int = 0
    waiting: int = 0  # entries in its inbox: something happened that no engine has looked at
    terminal: bool = False
    stuck: tuple[StuckView, ...] = ()
    line: SlotInfo | None = None  # the slot in whose line it waits, before it begins

    @property
    def failed_step(self) -> StepView | None:
        """The step whose error turned the run back."""
        if self.error is None:
            return None
        return next((step for step in self.steps if step.id == self.error.step), None)


def view_run(
    stored: StoredRun, run: Run | None, plan: Plan | None, events: Iterable[AnyEvent] = (), line: SlotInfo | None = None
) -> RunView:
    """`run` is None before the first commit, `plan` where the definition cannot be had; `line`: see RunView."""
    summary: dict[str, Any] = msgspec.json.decode(stored.summary) if stored.summary else {}
    shared: dict[str, Any] = {
        "run_id": stored.run_id,
        "key": summary.get("key", ""),
        "rerun_of": summary.get("rerun_of", ""),
        "definition": summary.get("definition", ""),
        "summary": summary.get("summary", ""),
        "updated_at_ms": stored.updated_at_ms,
        "broken": stored.broken.decode("utf-8", "replace"),
        "parked": stored.parked,
        "waiting": len(stored.entries),
        "terminal": stored.terminal,
        "line": line,
        "status": "stuck" if stored.parked >= PARKED_FOR_GOOD else stored.status or "pending",
    }
    if run is None:
        return RunView(
            workflow=summary.get("workflow", ""), version=summary.get("version", ""), input=_asked_with(stored),
            output=None, error=None, steps=(), standing=(), started_at_ms=stored.created_at_ms, duration_ms=None,
            **shared,
        )
    header = run.header
    story = Story(events)
    return RunView(
        workflow=header.workflow,
        version=header.version,
        input=run.payloads.get("~input"),
        output=run.payloads.get("~output"),
        error=header.error,
        steps=tuple(_steps(stored, run, plan, story)),
        standing=_standing(run, plan),
        stuck=tuple(_stuck(run, plan)),
        started_at_ms=header.started_at_ms,
        duration_ms=header.ended_at_ms - header.started_at_ms if header.ended_at_ms else None,
        ending=header.ending,
        alerts=header.alerts,
        pending_verb=header.pending,
        **shared,
    )


def _asked_with(stored: StoredRun) -> Any:
    """The input of a run that no engine has looked at: it is in its first inbox entry."""
    started = [entry.body for entry in stored.entries if entry.kind == "started"]
    return msgspec.json.decode(started[0]).get("input") if started else None


# -- steps --------------------------------------------------------------------------------------------
def _steps(stored: StoredRun, run: Run, plan: Plan | None, story: Story) -> Iterator[StepView]:
    places = _walk(plan, run, ROOT, 0) if plan else _nodes_only(run)
    if plan and plan.has_finally:
        places = _chain(places, _walk(plan, run, FINALLY, 0))
    for path, place, depth in places:
        yield _step(stored, run, path, place, depth, story.chapters.get(path, Chapter(path)))


def _chain(*walks: Iterator[tuple[str, StepPlan | None, int]]) -> Iterator[tuple[str, StepPlan | None, int]]:
    for walk in walks:
        yield from walk


def _walk(plan: Plan, run: Run, scope: str, depth: int) -> Iterator[tuple[str, StepPlan | None, int]]:
    """Every step of a sequence, in the order of the definition, with what lies below it."""
    for path in child_paths(plan, scope):
        place = plan.steps[static(path)]
        yield path, place, depth
        node = run.nodes.get(path)
        if place.kind == "steps":
            yield from _walk(plan, run, path, depth + 1)
        elif place.kind == "parallel":
            for branch in place.children:
                yield from _walk(plan, run, f"{path}.{branch}", depth + 1)
        elif place.kind == "for_each" and node is not None:
            for item in range(node.count):
                yield from _walk(plan, run, f"{path}#{item}", depth + 1)
        for index, catch in enumerate(place.catches):
            # A handler that never ran would only be noise: most runs never need one.
            if catch.has_steps and f"{path}~{index}" in run.nodes:
                yield from _walk(plan, run, f"{path}~{index}", depth + 1)


def _nodes_only(run: Run) -> Iterator[tuple[str, StepPlan | None, int]]:
    for node in sorted(run.nodes.values(), key=lambda node: node.started_at_ms):
        if node.path not in (ROOT, FINALLY) and not node.path.rpartition("/")[2].isdecimal():
            yield node.path, None, node.path.count("/")


def _step(
    stored: StoredRun, run: Run, path: str, place: StepPlan | None, depth: int, chapter: Chapter
) -> StepView:
    node = run.nodes.get(path) or Node(path=path, status=StepStatus.PENDING)
    worker = place.worker if place else None
    task = stored.tasks.get(path)
    return StepView(
        id=place.step.id if place and place.step else path.rpartition("/")[2],
        path=path,
        depth=depth,
        kind=_kind(place),
        worker=worker.call.worker if worker else "",
        status=node.status.value,
        attempts=node.tries,
        started_at_ms=node.started_at_ms,
        duration_ms=node.ended_at_ms - node.started_at_ms if node.ended_at_ms else None,
        output=run.payloads.get(f"{path}:output") if node.has_output else None,
        error=node.error,
        compensation=_undo(node, worker, chapter),
        summary=place.step.summary if place and place.step else "",
        phase=node.phase if node.open else "",
        queued=task is not None and task.state == "Q",
        held_by=task.process if task else "",
        retry_at_ms=chapter.retry_at_ms if node.timer else 0,
        stuck=node.stuck,
        resolved=node.resolved,
        handler=node.handler,
        tries=tuple(chapter.attempts),
    )


def _kind(place: StepPlan | None) -> str:
    if place is None:
        return ""
    return place.worker.kind if place.worker else place.kind


def _undo(node: Node, worker: WorkerAction | None, chapter: Chapter) -> UndoView | None:
    """None while nobody asked for it, and where there was nothing to undo."""
    if worker is None or worker.compensate is None or not (node.undo_tries or node.undo_error or node.stuck):
        return None
    if not node.undo_tries and node.undo != "undoing":
        return None
    ended = node.undo_ended_at_ms or chapter.undo_ended_at_ms
    return UndoView(
        worker=worker.compensate.worker,
        status=_undo_status(node),
        attempts=node.undo_tries,
        error=node.undo_error,
        started_at_ms=node.undo_started_at_ms,
        duration_ms=ended - node.undo_started_at_ms if ended and node.undo_started_at_ms else None,
    )


def _undo_status(node: Node) -> str:
    if node.status is StepStatus.COMPENSATED:
        return "completed"
    if node.resolved == "skipped":
        return "skipped"
    if node.stuck:
        return "stuck"
    return "failed" if node.status is StepStatus.COMPENSATION_FAILED else "running"


# -- what stands, what is stuck -------------------------------------------------------------------------
def _standing(run: Run, plan: Plan | None) -> tuple[Standing, ...]:
    """Of a run that is over: as it was recorded. Of one that is stuck: as it is now, for who has to mend it."""
    if run.header.is_terminal:
        return run.header.standing
    return standing_of(plan, run, run.header.status) if plan and run.header.stuck else ()


def _stuck(run: Run, plan: Plan | None) -> Iterator[StuckView]:
    for path in run.header.stuck:
        node = run.nodes[path]
        undoing = node.undo == "undoing"
        place = plan.steps.get(static(path)) if plan else None
        yield StuckView(
            step=place.step.id if place and place.step else "output",
            path=path,
            undoing=undoing,
            error=node.undo_error if undoing else node.error,
        )


# -- of many runs -------------------------------------------------------------------------------------
_PAGE = 500


def live_runs(store: Store) -> list[RunRow]:
    """Runs that are not over, newest first. Reads no further than the last of them."""
    left = store.count_live()
    found: list[RunRow] = []
    offset = 0
    while left > 0:
        page = store.list_runs(limit=_PAGE, offset=offset)
        live = [row for row in page if row.status not in TERMINAL]
        found += live
        left -= len(live)
        offset += _PAGE
        if len(page) < _PAGE:
            break
    return found
