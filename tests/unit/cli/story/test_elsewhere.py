"""What is said when nobody does what a run waits for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.cli.access import Access
from runner.cli.failure import Exit
from runner.cli.screen import Screen
from runner.cli.story.elsewhere import PATIENCE_MS, Missing, follow_elsewhere
from runner.cli.story.family import read_family
from runner.cli.story.reading import read_view
from runner.store.ports import ProcessInfo
from tests.desk import Desk, desk_of_a_parent


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk._worker.close()
    return desk


def missing(desk: Desk, *, hosts: bool = False) -> Missing:
    reach = Access(SimpleNamespace(screen=Screen()), SimpleNamespace(server=None), desk.client)  # type: ignore[arg-type]
    return Missing(reach, hosts=hosts)


def test_a_run_that_no_engine_takes_up_is_told_once(desk: Desk, capsys: pytest.CaptureFixture[str]):
    look, run_id = missing(desk), desk.start().id
    look.look(read_view(desk.client, run_id))
    assert capsys.readouterr().err == ""  # give it a moment
    desk.clock.advance(PATIENCE_MS + 1)
    look.look(read_view(desk.client, run_id))
    look.look(read_view(desk.client, run_id))
    assert capsys.readouterr().err.count("no engine is running") == 1


def test_a_living_engine_is_trusted_to_come_to_it(desk: Desk, capsys: pytest.CaptureFixture[str]):
    look, run_id = missing(desk), desk.start().id
    desk.clock.advance(PATIENCE_MS + 1)
    desk.store.register(ProcessInfo("e:1:1", "engine", "elsewhere", 1))
    look.look(read_view(desk.client, run_id))
    assert capsys.readouterr().err == ""


def test_a_queue_that_nobody_serves_is_told_once(desk: Desk, capsys: pytest.CaptureFixture[str]):
    look, run_id = missing(desk), desk.start().id
    desk._engine.step()
    desk.clock.advance(PATIENCE_MS + 1)
    for _ in range(2):
        look.look(read_view(desk.client, run_id))
    err = capsys.readouterr().err
    assert err.count("nobody serves the queue stock.reserve") == 1


def test_who_hosts_is_told_that_the_project_has_no_such_worker(desk: Desk, capsys: pytest.CaptureFixture[str]):
    look, run_id = missing(desk, hosts=True), desk.start().id
    desk.clock.advance(PATIENCE_MS + 1)
    look.look(read_view(desk.client, run_id))
    assert capsys.readouterr().err == ""  # the engine is here, and comes to it
    desk._engine.step()
    desk.clock.advance(PATIENCE_MS + 1)
    look.look(read_view(desk.client, run_id))
    assert "nobody serves the queue stock.reserve: no worker of this project does" in capsys.readouterr().err


def test_a_queue_that_nobody_serves_for_a_child_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    desk = desk_of_a_parent(tmp_path)
    desk._worker.close()
    run_id = desk.start().id
    for _ in range(5):
        desk._engine.step()
    desk.clock.advance(PATIENCE_MS + 1)
    missing(desk).look(read_family(desk.client, run_id))
    assert "nobody serves the queue stock.reserve" in capsys.readouterr().err


def test_a_queue_with_a_backlog_is_served(desk: Desk, capsys: pytest.CaptureFixture[str]):
    look, run_id = missing(desk), desk.start().id
    desk._engine.step()
    desk.clock.advance(PATIENCE_MS + 1)
    desk.store.register(ProcessInfo("w:1:1", "worker", "elsewhere", 1, queues=("stock.reserve",)))
    look.look(read_view(desk.client, run_id))
    assert capsys.readouterr().err == ""


def test_a_process_that_was_not_heard_of_for_long_is_not_living(desk: Desk):
    desk.store.register(ProcessInfo("w:1:1", "worker", "elsewhere", 1))
    reach = missing(desk)._reach
    assert [process.id for process in reach.living("worker")] == ["w:1:1"]
    desk.clock.advance(11_000)
    assert reach.living("worker") == []


def test_a_stuck_run_waits_for_a_person_and_not_for_an_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    desk = Desk(tmp_path)
    run_id = desk.run(fail="undo")
    settings, opened = SimpleNamespace(screen=Screen()), SimpleNamespace(server=None, is_embedded=True)
    assert follow_elsewhere(Access(settings, opened, desk.client), run_id, None) == Exit.NEEDS_PERSON  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""
