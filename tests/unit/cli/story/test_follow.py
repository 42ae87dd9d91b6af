"""Following a run: to its end, over an outage, and not longer than it was asked to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runner.cli.failure import Exit
from runner.cli.screen import Screen
from runner.cli.story import follow
from runner.cli.story.ending import conclude
from runner.cli.story.follow import Follower
from runner.cli.story.reading import read_events
from runner.errors import RunNotFound, StoreUnavailable
from tests.desk import Desk, desk_of_a_parent
from tests.servers import PATIENCE_S


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def working(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Somebody else moves the runs while the follower pauses."""
    monkeypatch.setattr(follow.time, "sleep", lambda _s: desk.wait(1_000))
    return desk


def test_a_run_is_followed_to_its_end(working: Desk, capsys: pytest.CaptureFixture[str]):
    handle = working.start(fail="declined")
    ended = Follower(working.client, handle.id, Screen()).follow()
    assert ended is not None
    assert ended.status == "compensated"
    out, err = capsys.readouterr()
    assert "✗ charge" in out
    assert "stock.release" in out
    assert err == ""


def test_a_run_that_is_over_is_told_from_its_beginning(desk: Desk, capsys: pytest.CaptureFixture[str]):
    ended = Follower(desk.client, desk.run(), Screen()).follow()
    assert ended is not None
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_stuck_run_ends_the_wait(working: Desk):
    ended = Follower(working.client, working.start(fail="undo").id, Screen()).follow()
    assert ended is not None
    assert ended.status == "stuck"


def test_a_run_that_was_stuck_before_is_followed_on(working: Desk, capsys: pytest.CaptureFixture[str]):
    run_id = working.run(fail="undo")
    told = len(read_events(working.client, run_id))
    working.undo_is_broken = False
    working.client.resume(run_id, timeout=0)
    working.work()
    ended = Follower(working.client, run_id, Screen(), skip=told).follow()
    assert ended is not None
    assert ended.status == "compensated"
    assert "✗ charge" not in capsys.readouterr().out  # what was known is not told again


def test_the_wait_ends_with_its_time(desk: Desk):
    assert Follower(desk.client, desk.start().id, Screen()).follow(timeout_s=0) is None


def test_events_are_the_lines_of_jsonl(desk: Desk, capsys: pytest.CaptureFixture[str]):
    run_id = desk.run()
    Follower(desk.client, run_id, Screen(format="jsonl")).follow()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0]["type"] == "RunStarted"
    assert lines[-1]["type"] == "RunFinished"
    assert len(lines) == len(read_events(desk.client, run_id))


def test_a_run_that_is_not_there_is_told(desk: Desk):
    with pytest.raises(RunNotFound):
        Follower(desk.client, "zzzz", Screen()).follow()


class Outage:
    """A store that is away for so many calls."""

    def __init__(self, desk: Desk, calls: int) -> None:
        self._store = desk.store
        self.left = calls

    def __getattr__(self, name: str) -> Any:
        if self.left > 0:
            self.left -= 1
            raise StoreUnavailable("Redis is away")
        return getattr(self._store, name)


def test_a_short_outage_is_waited_for_and_said_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    run_id = desk.run()
    monkeypatch.setattr(follow.time, "sleep", lambda _s: None)
    recovered = []
    desk.client.store = Outage(desk, 3)  # type: ignore[assignment]
    ended = Follower(desk.client, run_id, Screen(), recover=lambda: recovered.append(1)).follow()
    assert ended is not None
    assert ended.status == "completed"
    assert recovered
    assert capsys.readouterr().err.count("Redis is away; waiting for it") >= 1


def test_a_long_outage_ends_the_wait_and_says_how_to_go_on(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    run_id = desk.run()
    monkeypatch.setattr(follow, "PATIENCE_S", 0.0)
    monkeypatch.setattr(follow.time, "sleep", lambda _s: None)
    desk.client.store = Outage(desk, 1_000_000)  # type: ignore[assignment]
    with pytest.raises(StoreUnavailable, match=f"sagarun watch {run_id}"):
        Follower(desk.client, run_id, Screen()).follow()


def test_the_caller_looks_on_while_the_run_moves(working: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(follow, "LOOK_S", 0.0)
    monkeypatch.setattr(follow, "LOOK_SHARE", 0)  # however slow this machine is
    seen = []
    handle = working.start(fail="broken")
    Follower(working.client, handle.id, Screen(), look=lambda view: seen.append(view.status)).follow()
    assert "running" in seen


def test_a_run_is_followed_until_a_child_of_it_is_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    desk = desk_of_a_parent(tmp_path)
    monkeypatch.setattr(follow.time, "sleep", lambda _s: desk.wait(1_000))
    monkeypatch.setattr(follow, "LOOK_S", 0.0)
    handle = desk.start(fail="undo")
    seen = Follower(desk.client, handle.id, Screen(quiet=True)).follow(timeout_s=PATIENCE_S)
    assert seen is not None
    assert (seen.status, seen.rests) == ("running", True)
    assert conclude(Screen(quiet=True), seen) is Exit.NEEDS_PERSON
