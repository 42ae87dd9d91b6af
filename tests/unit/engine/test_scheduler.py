"""What engines start by the clock: once, also when several look, one dies in between, or nobody looked for days."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.catalogue import Catalogue
from runner.clock import VirtualClock
from runner.definition.load import load_text
from runner.engine.engine import Engine
from runner.engine.scheduler import READ_MS, RETRY_MS, Scheduler
from runner.errors import StoreError, StoreUnavailable
from runner.interpreter.record import decode_request
from runner.schedules import Fire, KeptSchedule, read_schedule, schedule_of
from runner.store.memory.store import MemoryStore
from runner.store.ports import NewRun, StartAnswer

TEXT = """
workflow: report
version: 1.0.0
schedule: {{cron: "*/10 * * * *", overlap: {overlap}}}
{more}
steps:
  - {{id: wait, wait: 25m}}
"""
MINUTE_MS = 60_000
NOON_MS = round(datetime(2024, 5, 6, 12, tzinfo=UTC).timestamp() * 1_000)


class Bench:
    """A store at noon, with one schedule that is due every ten minutes, and an engine."""

    def __init__(self, store_type: type[MemoryStore] = MemoryStore, overlap: str = "allow", more: str = "") -> None:
        self.clock = VirtualClock(NOON_MS)
        self.store = store_type(clock=self.clock)
        self.definition = load_text(TEXT.format(overlap=overlap, more=more), file="report.yaml", root=Path())
        Catalogue(self.store).put(self.definition)
        self.put()
        self.scheduler = Scheduler(self.store)
        self.engine = Engine(self.store, process_id="e")

    def put(self, **fields: Any) -> None:
        schedule = schedule_of(self.definition, {"a": 1}, self.clock.now_ms)
        self.store.put_schedule("report", msgspec.json.encode(msgspec.structs.replace(schedule, **fields)))

    def look(self, minutes: float = 0, scheduler: Scheduler | None = None) -> int:
        self.clock.advance(round(minutes * MINUTE_MS))
        count = (scheduler or self.scheduler).look(self.store.now_ms())
        while self.engine.step():
            self.store.tick()
        return count

    @property
    def kept(self) -> KeptSchedule:
        return read_schedule(self.store.schedules()[0])

    @property
    def last(self) -> Fire:
        assert self.kept.last is not None
        return self.kept.last

    def keys(self) -> list[str]:
        """Of the runs that are there, the oldest first."""
        rows = reversed(self.store.list_runs())
        return [msgspec.json.decode(row.summary)["key"].removeprefix("report:") for row in rows]


def test_a_run_is_started_when_its_time_has_come_and_only_once():
    bench = Bench()
    assert [bench.look(minutes) for minutes in (0, 5, 4.9, 0.1, 0.1, 1)] == [0, 0, 0, 1, 0, 0]
    (row,) = bench.store.list_runs()
    assert msgspec.json.decode(row.summary)["key"] == "schedule:report:2024-05-06T12:10Z"
    assert bench.last == Fire(NOON_MS + 10 * MINUTE_MS, "started", row.run_id)


def test_a_run_has_the_schedules_input_and_says_who_started_it():
    bench = Bench()
    seen: list[NewRun] = []
    original = bench.store.start
    bench.store.start = lambda runs: seen.extend(runs) or original(runs)  # type: ignore[assignment, method-assign, func-returns-value]
    bench.look(10)
    started = decode_request(seen[0].body, 0)
    assert (started.input, started.by) == ({"a": 1}, "schedule")  # type: ignore[union-attr]


def test_several_engines_start_it_once():
    bench = Bench()
    others = [Scheduler(bench.store) for _ in range(3)]
    for scheduler in others:
        bench.look(0, scheduler)
    bench.clock.advance(10 * MINUTE_MS)
    for scheduler in others:
        scheduler._read()  # they all saw it due before one of them had noted it
    for scheduler in others:
        scheduler._fire(scheduler._known["report"], bench.clock.now_ms)
    assert len(bench.store.list_runs()) == 1
    assert bench.last.outcome == "started"


def test_an_engine_that_dies_after_the_start_is_followed_by_one_that_finds_the_run():
    class DiesBeforeNoting(MemoryStore):
        dead = False

        def note_fire(self, workflow: str, at_ms: int, note: bytes) -> bool:
            if not self.dead:
                type(self).dead = True
                raise KeyboardInterrupt
            return super().note_fire(workflow, at_ms, note)

    bench = Bench(DiesBeforeNoting)
    with pytest.raises(KeyboardInterrupt):
        bench.look(10)
    assert bench.kept.last is None
    assert bench.look(1, Scheduler(bench.store)) == 1
    (row,) = bench.store.list_runs()
    assert bench.last.run_id == row.run_id


def test_after_an_outage_the_latest_time_is_made_up_for_and_that_is_said(caplog: pytest.LogCaptureFixture):
    bench = Bench()
    bench.look(10)
    assert bench.look(47) == 1
    assert bench.keys() == ["schedule:report:2024-05-06T12:10Z", "schedule:report:2024-05-06T12:50Z"]
    assert (bench.last.missed, bench.last.late_ms) == (3, 7 * MINUTE_MS)
    assert "3 fire times were missed; only the latest is made up for" in caplog.text


def test_a_time_that_was_dealt_with_is_not_made_up_for_though_its_run_is_not_kept_any_more():
    bench = Bench()
    bench.look(10)
    bench.store._tables.forget([row.run_id for row in bench.store.list_runs()])
    assert bench.look(5, Scheduler(bench.store)) == 0
    assert bench.store.list_runs() == []


# -- overlap ------------------------------------------------------------------------------------------
def test_skip_leaves_a_time_out_while_the_run_before_it_is_under_way():
    bench = Bench(overlap="skip")
    bench.look(10)
    first = bench.last.run_id
    assert bench.look(10) == 1
    assert bench.last == Fire(NOON_MS + 20 * MINUTE_MS, "skipped", first)
    assert [bench.look(1) for _ in range(5)] == [0] * 5
    bench.look(10)
    bench.store.tick()
    bench.look()
    assert [bench.look(4), bench.look(6)] == [0, 1]
    assert bench.keys() == ["schedule:report:2024-05-06T12:10Z", "schedule:report:2024-05-06T12:40Z"]


def test_queue_starts_a_run_that_waits_for_the_one_before_it():
    bench = Bench(overlap="queue")
    for _ in range(3):
        bench.look(10)
    assert [row.status for row in reversed(bench.store.list_runs())] == ["running", "", ""]
    for _ in range(3):
        bench.look(5)
        bench.store.tick()
        bench.look()
    assert [row.status for row in reversed(bench.store.list_runs())][:3] == ["completed", "running", ""]


def test_allow_lets_them_run_side_by_side():
    bench = Bench(overlap="allow")
    bench.look(10)
    bench.look(10)
    assert [row.status for row in bench.store.list_runs()] == ["running", "running"]


def test_allow_heeds_the_concurrency_of_the_workflow():
    bench = Bench(overlap="allow", more="concurrency: {limit: 1, on_limit: reject}")
    bench.look(10)
    bench.look(10)
    assert bench.last.outcome == "skipped"
    assert len(bench.store.list_runs()) == 1


# -- changes ------------------------------------------------------------------------------------------
def test_a_schedule_that_is_added_is_known_soon():
    bench = Bench()
    bench.store.remove_schedule("report")
    bench.look()
    bench.put(cron="* * * * *")
    bench.look((READ_MS - 1) / MINUTE_MS)
    assert bench.scheduler._known == {}
    bench.look(1 / MINUTE_MS)
    assert bench.look(1) == 1


@pytest.mark.parametrize("change", ["pause", "remove"])
def test_what_is_paused_or_removed_starts_nothing(change: str):
    bench = Bench()
    bench.look()
    if change == "pause":
        bench.put(paused=True)
    else:
        bench.store.remove_schedule("report")
    assert [bench.look(5) for _ in range(5)] == [0] * 5


def test_schedules_are_read_every_other_second_and_nothing_is_asked_in_between(monkeypatch: pytest.MonkeyPatch):
    bench = Bench()
    reads: list[int] = []
    original = MemoryStore.schedules
    monkeypatch.setattr(MemoryStore, "schedules", lambda store: reads.append(1) or original(store))
    for _ in range(50):  # ten seconds of ticks
        bench.look(200 / MINUTE_MS)
    assert len(reads) == 5


# -- what goes wrong ----------------------------------------------------------------------------------
def test_a_schedule_that_cannot_be_read_is_said_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture):
    bench = Bench()
    bench.store.put_schedule("broken", b"{}")
    bench.store.put_schedule("wrong", bench.store.schedules()[1].body.replace(b"*/10", b"nonsense"))
    assert bench.look(10) == 1
    bench.look(1)
    assert caplog.text.count("the schedule of broken cannot be read") == 1
    assert caplog.text.count("the schedule of wrong cannot be read") == 1


def test_a_definition_that_is_gone_is_noted_and_not_tried_for_ever(caplog: pytest.LogCaptureFixture):
    bench = Bench()
    bench.store._tables.definitions.clear()
    assert [bench.look(10), bench.look(1)] == [1, 0]
    assert bench.last.outcome == "failed"
    assert "not in the store any more" in bench.last.why
    assert "not started by its schedule" in caplog.text


def test_a_full_server_is_asked_again_and_the_latest_time_is_made_up_for(caplog: pytest.LogCaptureFixture):
    class Full(MemoryStore):
        is_full = True

        def start(self, runs: Any) -> list[StartAnswer]:
            if self.is_full:
                raise StoreError("full")
            return super().start(runs)

    bench = Bench(Full)
    assert bench.look(10) == 0
    assert bench.look((RETRY_MS - 1) / MINUTE_MS) == 0
    assert caplog.text.count("is due, and: full") == 1
    Full.is_full = False
    assert bench.look(1 / MINUTE_MS) == 1
    assert bench.keys() == ["schedule:report:2024-05-06T12:10Z"]


def test_a_server_that_is_away_is_told_to_who_ticks():
    class Away(MemoryStore):
        def start(self, runs: Any) -> list[StartAnswer]:
            raise StoreUnavailable("away")

    bench = Bench(Away)
    with pytest.raises(StoreUnavailable):
        bench.look(10)
    assert bench.kept.last is None


def test_a_start_by_the_clock_is_logged_with_its_run(caplog: pytest.LogCaptureFixture):
    bench = Bench()
    with caplog.at_level(logging.INFO, "sagarun.schedule"):
        bench.look(10)
    (record,) = [record for record in caplog.records if record.name == "sagarun.schedule"]
    assert (record.workflow, record.run_id) == ("report", bench.last.run_id)  # type: ignore[attr-defined]
