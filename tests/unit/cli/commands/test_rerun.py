"""What is said of a rerun when it begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.cli.commands.rerun import announced, earlier_rerun
from tests.desk import Desk


@pytest.mark.parametrize(
    ("status", "more"), [("compensated", ""), ("completed", ", which completed: its work is done a second time")]
)
def test_who_runs_again_what_completed_is_told_so(status: str, more: str):
    before = SimpleNamespace(run_id="aaaa", status=status)
    assert announced("bbbb", before) == f"▶ run bbbb, a rerun of aaaa{more}"  # type: ignore[arg-type]


def test_of_a_run_that_was_run_again_before_it_is_told_what_became_of_that(tmp_path: Path):
    desk = Desk(tmp_path)
    run_id = desk.run(id="A")
    assert earlier_rerun(desk.client, run_id) is None
    first = desk.client.rerun(run_id)
    before = SimpleNamespace(run_id=run_id, status="compensated")
    told = announced("cccc", before, earlier_rerun(desk.client, run_id))  # type: ignore[arg-type]
    assert told.endswith(f"run again before: run {first.id} is pending: what that one does is done a second time")
    desk.work()
    told = announced("cccc", before, earlier_rerun(desk.client, run_id))  # type: ignore[arg-type]
    assert told.endswith(f"run again before: run {first.id} completed: its work is done a second time")


def test_a_rerun_that_failed_too_is_nothing_to_warn_of(tmp_path: Path):
    desk = Desk(tmp_path)
    run_id = desk.run(fail="declined")
    desk.client.rerun(run_id)
    desk.work()
    assert earlier_rerun(desk.client, run_id) is None
