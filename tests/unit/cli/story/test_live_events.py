"""Live events: filtered, redacted, each attempt with its times, and what was missed is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from runner.cli.screen import Screen
from runner.cli.story import live_events
from runner.cli.story.live_events import Filter, LiveEvents
from runner.errors import StoreUnavailable, UsageError
from tests.desk import ORDER, Desk

SECRET = ORDER.replace("id: {type: string}", "id: {type: string}\n    token: {type: string, x-secret: true}").replace(
    'with: {amount: "{{ input.amount }}"', 'with: {amount: "{{ input.amount }}"'
)


class Replayed:
    """A stream of what some runs' histories hold; then whatever is given."""

    def __init__(self, *parts: Sequence[tuple[str, bytes]] | Exception) -> None:
        self.parts = list(parts)
        self.is_closed = False

    def read(self, _timeout_s: float) -> Sequence[tuple[str, bytes]]:
        part = self.parts.pop(0) if self.parts else KeyboardInterrupt()
        if isinstance(part, BaseException):
            raise part
        return part

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def history(desk: Desk, run_id: str) -> list[tuple[str, bytes]]:
    return [(run_id, entry) for entry in desk.store.history(run_id)]


def follow(desk: Desk, *streams: Replayed, form: str = "text", logs: bool = False, **wanted: Any) -> None:
    waiting = list(streams)
    desk.store.listen = lambda: waiting.pop(0)  # type: ignore[method-assign,assignment,return-value]
    reach: Any = SimpleNamespace(
        client=desk.client, settings=SimpleNamespace(screen=Screen(format=form)), recover=lambda: None
    )
    chosen = Filter(**{"whole": form != "text", **wanted})
    with pytest.raises(KeyboardInterrupt):
        LiveEvents(reach, chosen, logs=logs).follow()
    assert all(stream.is_closed for stream in streams)


def json_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in capsys.readouterr().out.splitlines()]


def test_a_run_is_told_from_its_start_to_its_end(desk: Desk, capsys: pytest.CaptureFixture[str]):
    run_id = desk.run(fail="declined")
    follow(desk, Replayed(history(desk, run_id)))
    lines = capsys.readouterr().out.splitlines()
    assert all(f"order     {run_id}" in line for line in lines)
    assert "started" in lines[0]
    assert "finished        compensated" in lines[-1]
    (failed,) = (line for line in lines if " failed " in line)
    assert failed.endswith("queue 0 ms, processing 0 ms, total 0 ms · declined: insufficient funds")
    assert not [line for line in lines if "step begins" in line], "that is for programs"


@pytest.mark.parametrize(("wanted", "types"), [
    ({"events": ["failed"], "steps": ["charge"]}, {"TaskSettled", "StepFailed"}),
    ({"events": ["TaskDispatched"]}, {"TaskDispatched"}),
    ({"events": ["taskdispatched", "finished"]}, {"TaskDispatched", "RunFinished"}),
    ({"statuses": ["compensated"]}, {"RunFinished"}),
    ({"statuses": ["completed"]}, set()),
    ({"workflows": ["billing"]}, set()),
    ({"runs": ["0000"]}, set()),
])
def test_filters(desk: Desk, wanted: dict[str, Any], types: set[str], capsys: pytest.CaptureFixture[str]):
    follow(desk, Replayed(history(desk, desk.run(fail="declined"))), form="jsonl", **wanted)
    assert {event["type"] for event in json_of(capsys)} == types


@pytest.mark.parametrize(("wanted", "said"), [
    (Filter(events=["faild"]), 'Did you mean "failed"'), (Filter(statuses=["failed"]), "compensated"),
    (Filter(statuses=["stuck"]), "say --event stuck"),
])
def test_what_would_never_fit_is_refused(wanted: Filter, said: str):
    with pytest.raises(UsageError, match=said):
        wanted.check()


def test_a_workflow_that_never_ran_is_said(desk: Desk, capsys: pytest.CaptureFixture[str]):
    run_id = desk.run()
    follow(desk, Replayed(history(desk, run_id)), workflows=("ordre",))
    assert "no run of workflow 'ordre' was ever started here. Did you mean \"order\"?" in capsys.readouterr().err


def test_an_attempt_that_began_before_somebody_listened_has_no_queue_time(
    desk: Desk, capsys: pytest.CaptureFixture[str]
):
    run_id = desk.run()
    late = [pair for pair in history(desk, run_id) if b"TaskSettled" in pair[1]]
    follow(desk, Replayed(late[-1:]), form="jsonl", events=["TaskSettled"])
    (end,) = json_of(capsys)
    assert (end["workflow"], end["run_id"], end["outcome"]) == ("order", run_id, "completed")
    assert "queue_ms" not in end


def test_secrets_are_hidden_also_in_runs_that_had_begun_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    desk = Desk(tmp_path, SECRET)

    def refuse(amount: int, fail: str) -> None:
        from runner.errors import BusinessError

        raise BusinessError("declined", "kanarienvogel is not accepted")

    desk.registry._workers.pop("card.charge", None)
    desk.registry.worker("card.charge", raises=["declined"])(refuse)
    run_id = desk.run(token="kanarienvogel")
    for part in (history(desk, run_id), history(desk, run_id)[1:]):
        follow(desk, Replayed(part), logs=True)
        out = capsys.readouterr().out
        assert "*** is not accepted" in out
        assert "kanarienvogel" not in out


def test_a_lost_connection_is_said_and_another_one_is_made(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(live_events, "RETRY_S", 0.0)
    entries = history(desk, desk.run())
    follow(desk, Replayed(entries[:1], StoreUnavailable("away")), Replayed(entries[1:]), form="jsonl")
    told = capsys.readouterr()
    kinds = [msgspec.json.decode(line)["type"] for line in told.out.splitlines()]
    assert kinds.count("EventsMissed") == 1
    assert kinds[0] == "RunStarted"
    assert kinds[-1] == "RunFinished"
    assert "the connection was lost (away)" in told.err
    assert "may be missing here" in told.err


def test_a_run_that_is_gone_is_passed_over(desk: Desk, capsys: pytest.CaptureFixture[str]):
    entries = history(desk, desk.run())
    follow(desk, Replayed([("nobody", entry) for _, entry in entries[1:]], entries), events=["finished"])
    assert capsys.readouterr().out.count("finished") == 1


def test_no_more_runs_are_remembered_than_there_is_room_for(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(live_events, "KNOWN_RUNS", 1)
    first, second = (history(desk, desk.run(id=name)) for name in "ab")
    follow(desk, Replayed(first[:1], second[:1], first[1:], second[1:]), form="jsonl", events=["finished"])
    assert len(json_of(capsys)) == 2


def test_a_limit_ends_it(desk: Desk, capsys: pytest.CaptureFixture[str]):
    entries = history(desk, desk.run())
    desk.store.listen = lambda: Replayed(entries)  # type: ignore[method-assign,assignment,return-value]
    reach: Any = SimpleNamespace(client=desk.client, settings=SimpleNamespace(screen=Screen()))
    LiveEvents(reach, Filter()).follow(limit=3)
    assert len(capsys.readouterr().out.splitlines()) == 3
