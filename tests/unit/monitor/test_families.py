"""Runs that belong together, and when a person has to act for them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runner.monitor.families import families, needs_person, parent_of
from runner.monitor.views import live_runs
from runner.store.ports import RunRow, StoredRun
from tests.desk import Desk, desk_of_a_parent


def row(run_id: str, parent: str = "") -> RunRow:
    return RunRow(run_id, "running", msgspec.json.encode({"parent": parent} if parent else {}), 0, 0)


def test_runs_are_gathered_by_their_root() -> None:
    rows = [row("c", "b"), row("a"), row("b", "a"), row("x", "gone"), row("y", "x")]
    assert families(rows) == {"a": ["c", "a", "b"], "x": ["x", "y"]}
    assert parent_of(RunRow("r", "", b"", 0, 0)) == ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_of_a_parent(tmp_path)


def live(desk: Desk) -> list[StoredRun]:
    return [run for run in desk.store.load_runs([row.run_id for row in live_runs(desk.store)]) if run is not None]


def test_a_family_that_moves_needs_nobody(desk: Desk) -> None:
    desk.start()
    assert not needs_person(live(desk))
    desk.take_up()
    assert not needs_person(live(desk))


def test_a_family_whose_child_is_stuck_needs_a_person(desk: Desk) -> None:
    run_id = desk.run(fail="undo")
    assert families(live_runs(desk.store))[run_id] == [run.run_id for run in live(desk)]
    assert needs_person(live(desk))
    child = desk.client.wait(run_id, timeout=0).stuck_run
    desk.client.resume(child, timeout=0)
    assert not needs_person(live(desk))


def test_a_run_that_rests_without_being_stuck_needs_nobody(desk: Desk) -> None:
    assert not needs_person([])
