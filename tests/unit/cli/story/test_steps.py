"""What each step was given and gave, and what it logged, or why that cannot be known."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from runner.cli.screen import Screen
from runner.cli.story.reading import read_view
from runner.cli.story.steps import show_logs, show_steps
from runner.interpreter import event as ev
from runner.interpreter.record import decode_events
from runner.monitor.shapes import RunView
from runner.wire import ErrorRecord
from tests.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def logged(desk: Desk, run_id: str, **fields: object) -> RunView:
    """The run, as if its charges had ended like this."""
    events = [
        replace(event, **fields) if isinstance(event, ev.TaskSettled) and event.path == "charge" else event
        for event in decode_events(desk.store.history(run_id), {})
    ]
    return read_view(desk.client, run_id, events)


def test_values_attempts_and_errors_are_told_by_step(desk: Desk, capsys: pytest.CaptureFixture[str]):
    run_id = desk.run(fail="broken")
    show_steps(desk.client, read_view(desk.client, run_id), Screen())
    out = capsys.readouterr().out
    assert 'input        {"id":"A-1"}' in out
    assert 'output       {"hold":"A-1"}' in out
    assert out.count("ended unknown after") == 3
    assert "RuntimeError: the line went dead" in out
    assert "Traceback" not in out
    show_steps(desk.client, read_view(desk.client, run_id), Screen(verbose=True), step="charge")
    out = capsys.readouterr().out
    assert "Traceback" in out
    assert "reserve" not in out


def test_attempts_of_an_undo_that_was_asked_again_are_numbered_on(desk: Desk, capsys: pytest.CaptureFixture[str]):
    run_id = desk.run(fail="undo")
    desk.client.resume(run_id, timeout=0)
    desk.work()
    desk.client.resolve(run_id, "reserve", "compensated", timeout=0)
    desk.work()
    show_steps(desk.client, read_view(desk.client, run_id), Screen(), step="reserve")
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines() if " failed after " in line] == ["1", "2"]
    assert "settled      its undo: compensated" in out


def test_as_json_a_step_has_what_it_was_given(desk: Desk, capsys: pytest.CaptureFixture[str]):
    run_id = desk.run(fail="declined")
    show_steps(desk.client, read_view(desk.client, run_id), Screen(format="json"))
    reserve, charge = msgspec.json.decode(capsys.readouterr().out)
    assert (reserve["input"], reserve["undo_input"]) == ({"id": "A-1"}, {"id": "A-1", "fail": "declined"})
    assert charge["tries"][0]["error"]["code"] == "declined"


def test_lines_are_shown_with_their_attempt(desk: Desk, capsys: pytest.CaptureFixture[str]):
    show_logs(logged(desk, desk.run(fail="flaky"), log="one\ntwo"), Screen(), log_file="shop.log")
    out = capsys.readouterr().out
    assert out.count("    one\n    two\n") == 2
    assert "(1 of 3 attempts logged nothing)" in out


def test_of_a_lost_attempt_it_is_said_where_more_may_be(desk: Desk, capsys: pytest.CaptureFixture[str]):
    view = logged(desk, desk.run(), outcome="unknown", error=ErrorRecord("worker_lost"), process="here:1:a", log="one")
    show_logs(view, Screen(), step="charge", log_file="logs/shop.log")
    out = capsys.readouterr().out
    assert "    one\n" in out
    assert "logs/shop.log on here may have more" in out


def test_as_json_it_is_said_whether_that_is_all(desk: Desk, capsys: pytest.CaptureFixture[str]):
    view = logged(desk, desk.run(), outcome="unknown", error=ErrorRecord("worker_lost"), log="one")
    show_logs(view, Screen(format="jsonl"))
    told = [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["step"], each["lines"], each["complete"]) for each in told] == [
        ("reserve", [], True), ("charge", ["one"], False)]


def test_a_run_in_which_nothing_began_says_so(desk: Desk, capsys: pytest.CaptureFixture[str]):
    show_logs(read_view(desk.client, desk.start().id), Screen())
    assert "no attempt has begun" in capsys.readouterr().out
