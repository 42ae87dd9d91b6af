"""A run as people and programs look at it: every step with what became of it, and what still stands.

Built from the stored state, which is the truth, with the history (`story`) for what only it knows: the
single attempts. Read only, and tolerant: a run whose definition cannot be read is shown by its nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from runner.interpreter.event import AnyEvent
from runner.interpreter.paths import ROOT, static
from runner.interpreter.plan import Plan, StepPlan
from runner.interpreter.state import TERMINAL, Run
from runner.monitor.shapes import RunView, StuckView
from runner.monitor.steps import step_views
from runner.monitor.story import Story
from runner.selection import standing, stuck_run
from runner.store.ports import RunRow, SlotInfo, Store, StoredRun

PARKED_FOR_GOOD = 4  # times in a row that interpreting a run broke; then the engine leaves it to a person


def view_run(
    stored: StoredRun, run: Run | None, plan: Plan | None, events: Iterable[AnyEvent] | Story = (),
    line: SlotInfo | None = None,
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
        "parent": summary.get("parent", ""),
        "parent_step": summary.get("parent_step", ""),
        "status": "stuck" if stored.parked >= PARKED_FOR_GOOD else stored.status or "pending",
    }
    if run is None:
        return RunView(
            workflow=summary.get("workflow", ""), version=summary.get("version", ""), input=_asked_with(stored),
            output=None, error=None, steps=(), standing=(), started_at_ms=stored.created_at_ms, duration_ms=None,
            **shared,
        )
    header = run.header
    story = events if isinstance(events, Story) else Story(events)
    return RunView(
        workflow=header.workflow,
        version=header.version,
        input=run.payloads.get("~input"),
        output=run.payloads.get("~output"),
        error=header.error,
        steps=tuple(step_views(stored, run, plan, story)),
        standing=standing(run, plan),
        stuck=tuple(_stuck(run, plan)),
        started_at_ms=header.started_at_ms,
        duration_ms=header.ended_at_ms - header.started_at_ms if header.ended_at_ms else None,
        ending=header.ending,
        alerts=header.alerts,
        pending_verb=header.pending,
        stuck_run=stuck_run(run),
        asked=tuple(story.asked),
        **shared,
    )


def _asked_with(stored: StoredRun) -> Any:
    """The input of a run that no engine has looked at: it is in its first inbox entry."""
    started = [entry.body for entry in stored.entries if entry.kind == "started"]
    return msgspec.json.decode(started[0]).get("input") if started else None


# -- what stands, what is stuck -------------------------------------------------------------------------
def _stuck(run: Run, plan: Plan | None) -> Iterator[StuckView]:
    for path in run.header.stuck:
        node = run.nodes[path]
        confirming = run.header.decided
        undoing = node.undo == "undoing" and not confirming
        place = plan.steps.get(static(path)) if plan else None
        yield StuckView(
            step=_called(path, place),
            path=path,
            undoing=undoing,
            confirming=confirming,
            error=node.confirm_error if confirming else node.undo_error if undoing else node.error,
        )


def _called(path: str, place: StepPlan | None) -> str:
    """What `resolve` is to be told: the step's id, or its path where the id would not say which item is meant."""
    if place is None or place.step is None:
        return "output" if path == ROOT else path
    return path if "#" in path else place.step.id


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
