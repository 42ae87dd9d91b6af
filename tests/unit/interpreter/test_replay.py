"""A history, folded by `evolve` alone, leads to the run that was stored: for runs that ended in every way."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from runner.interpreter import event as ev
from runner.interpreter.record import decode_events
from runner.interpreter.replay import differences, replay
from runner.interpreter.state import Run
from tests.desk import EVERYTHING, Desk


def replayed(desk: Desk, run_id: str) -> tuple[Run, Run, list[ev.AnyEvent]]:
    """By the history, as stored, and the history."""
    stored = desk.client.state(desk.client.stored(run_id))
    assert stored is not None
    events = decode_events(desk.store.history(run_id), stored.payloads)
    *_, (_, run) = replay(desk.client.catalogue.plan(stored.header.digest), events)
    return run, stored, events


@pytest.mark.parametrize("fail", ["", "declined", "flaky", "broken", "undo"])
def test_a_history_leads_to_the_stored_state(tmp_path: Path, fail: str):
    desk = Desk(tmp_path)
    run, stored, _ = replayed(desk, desk.run(fail=fail, amount=200))
    assert differences(run, stored) == []


def test_a_history_of_every_construct_leads_to_the_stored_state(tmp_path: Path):
    desk = Desk(tmp_path, EVERYTHING)
    for run in desk.client.list():
        desk.client.get(run.run_id)
    handle = desk.start()
    desk.work()
    run, stored, _ = replayed(desk, handle.id)
    assert differences(run, stored) == []


def test_each_event_is_given_with_the_run_after_it(tmp_path: Path):
    desk = Desk(tmp_path)
    _, stored, events = replayed(desk, desk.run())
    steps = list(replay(desk.client.catalogue.plan(stored.header.digest), events))
    assert [event for event, _ in steps] == events
    assert [str(run.header.status) for _, run in steps] == ["running"] * (len(events) - 1) + ["completed"]


def test_what_differs_is_said(tmp_path: Path):
    desk = Desk(tmp_path)
    run, stored, _ = replayed(desk, desk.run())
    stored.header.key = "another"
    stored.nodes["charge"].tries = 7
    del stored.nodes["reserve"]
    lines = differences(run, stored)
    assert any(line.startswith("the run's key is 'A-1' by the history, and 'another'") for line in lines)
    assert "charge: tries is 1 by the history, and 7 as stored" in lines
    assert "reserve is only in the history" in lines


def test_a_history_without_its_beginning_is_refused(tmp_path: Path):
    desk = Desk(tmp_path)
    _, stored, events = replayed(desk, desk.run())
    with pytest.raises(ValueError, match="begins with StepStarted"):
        list(replay(desk.client.catalogue.plan(stored.header.digest), events[1:]))


def test_a_changed_history_leads_elsewhere(tmp_path: Path):
    desk = Desk(tmp_path)
    _, stored, events = replayed(desk, desk.run())
    changed = [
        replace(event, outcome="failed") if isinstance(event, ev.TaskSettled) and event.path == "charge" else event
        for event in events
    ]
    *_, (_, run) = replay(desk.client.catalogue.plan(stored.header.digest), changed)
    assert differences(run, stored)
