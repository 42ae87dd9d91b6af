"""The history of a run in words, and as JSON, with the times of each attempt."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runner.cli.commands.show import _require_step
from runner.cli.screen import Screen, plain
from runner.cli.story.events import event_lines, is_about, read_moments, show_events
from runner.cli.story.reading import read_view
from runner.cli.wording import moment
from runner.errors import UsageError
from tests.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_attempt_is_told_from_its_dispatch_to_its_end(desk: Desk):
    told = [plain(line).split()[1:] for line in event_lines(read_moments(desk.client, desk.run()), 0)[1:]]
    about = [[word for word in row if not word.startswith("+")] for row in told if "charge" in row]
    words = [row[row.index("charge") + 1] for row in about]
    assert words == ["step", "dispatched", "claimed", "started", "completed", "step"] or words == [
        "step", "dispatched", "claimed", "completed", "step"]  # the worker's clock is the machine's, the store's is not


def test_one_step_and_what_is_below_it_can_be_chosen():
    assert is_about("lines#3/ship", "lines")
    assert is_about("lines#3/ship", "ship")
    assert is_about("checks.fraud/score", "checks.fraud")
    assert is_about("anything", "")
    assert not is_about("shipping", "ship")


def test_events_of_one_step_are_timed_from_the_beginning_of_the_run(desk: Desk):
    everything = read_moments(desk.client, desk.run())
    last = everything[-1]
    begin, line = map(plain, event_lines([last], last.at_ms - 3_710))
    assert begin.endswith(moment(last.at_ms - 3_710))
    assert "+3.71 s" in line


def test_nothing_that_happened_is_said(desk: Desk):
    assert plain(event_lines(read_moments(desk.client, desk.start().id), 0)[0]) == "nothing has happened yet"


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_as_json_ends_have_their_times(desk: Desk, form: str, capsys: pytest.CaptureFixture[str]):
    show_events(desk.client, desk.run(fail="flaky"), Screen(format=form), step="charge")
    out = capsys.readouterr().out
    told = msgspec.json.decode(out) if form == "json" else [msgspec.json.decode(line) for line in out.splitlines()]
    ends = [event for event in told if event["type"] == "TaskSettled"]
    assert [(end["attempt"], end["ended"], end["queue_ms"]) for end in ends] == [
        (1, "ended unknown", 0), (2, "completed", 0)]
    assert {event["path"] for event in told} == {"charge"}
    assert {"TaskClaimed", "TaskDispatched", "RetryScheduled"} <= {event["type"] for event in told}


def test_a_step_that_is_not_there_is_said_to_be_that(desk: Desk):
    view = read_view(desk.client, desk.run())
    _require_step(view, "charge")
    _require_step(view, "")
    with pytest.raises(UsageError, match=r"no step 'chrage'.*Did you mean \"charge\""):
        _require_step(view, "chrage")
