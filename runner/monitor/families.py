"""Runs that belong together: a root and all that it started, directly or not; and when a person has to act for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from runner.interpreter.record import decode_header
from runner.monitor.views import PARKED_FOR_GOOD
from runner.store.ports import RunRow, StoredRun


def parent_of(row: RunRow) -> str:
    """The run that started it; "" for a root."""
    summary: Mapping[str, str] = msgspec.json.decode(row.summary) if row.summary else {}
    return summary.get("parent", "")


def families(rows: Iterable[RunRow]) -> dict[str, list[str]]:
    """These runs by their root: the topmost of them that is among these."""
    parents = {row.run_id: parent_of(row) for row in rows}
    found: dict[str, list[str]] = {}
    for run_id in parents:
        root = run_id
        while parents[root] in parents:
            root = parents[root]
        found.setdefault(root, []).append(run_id)
    return found


def needs_person(runs: Sequence[StoredRun]) -> bool:
    """Of all live runs of one family: one is stuck or broken for good, and nothing is under way in the others."""
    return any(_is_stuck(run) for run in runs) and not any(_is_moving(run) for run in runs)


def _is_stuck(run: StoredRun) -> bool:
    return run.status == "stuck" or run.parked >= PARKED_FOR_GOOD


def _is_moving(run: StoredRun) -> bool:
    if run.parked >= PARKED_FOR_GOOD:
        return False
    if run.entries or not run.state:
        return True
    return run.status != "stuck" and decode_header(run.state).busy > 0
