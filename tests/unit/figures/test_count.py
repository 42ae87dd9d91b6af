"""What the events of commits count: held against the histories of the same runs, which tell it attempt by attempt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import runner.engine.engine
from runner.figures import count as counting
from runner.figures import series
from runner.figures.buckets import bucket_of
from runner.figures.count import counts_of
from runner.figures.series import name, read
from runner.interpreter import event as ev
from runner.interpreter.record import decode_events
from tests.desk import EVERYTHING, Desk

PROCESS = "inprocess"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    for number, fail in enumerate(["", "", "flaky", "declined", "broken", "undo"]):
        desk.run(id=f"A-{number}", fail=fail, amount=number)
    return desk


def of_kind(desk: Desk, kind: str, window_ms: int = 0) -> dict[tuple[str, ...], int]:
    found = read(desk.store.figures(window_ms).counts)
    return {each.labels: count for each, count in found if each.kind == kind and each.labels[-1] != series.SUM}


def events(desk: Desk) -> list[list[ev.AnyEvent]]:
    return [decode_events(desk.store.history(row.run_id), {}) for row in desk.store.list_runs(limit=1_000)]


def test_runs_are_counted_when_they_begin_and_end(desk: Desk):
    assert of_kind(desk, series.STARTED) == {("order", "1.2.0"): 6}
    assert of_kind(desk, series.FINISHED) == {
        ("order", "1.2.0", "completed"): 3, ("order", "1.2.0", "compensated"): 2,
    }
    assert of_kind(desk, series.STUCK) == {("order",): 1}
    assert of_kind(desk, series.LIVE) == {("order", "stuck"): 1}
    assert sum(of_kind(desk, series.LASTED).values()) == 5


def test_runs_under_way_are_counted_by_status_and_leave_it_again(tmp_path: Path):
    desk = Desk(tmp_path)
    run = desk.start(fail="undo")
    desk.take_up()
    assert of_kind(desk, series.LIVE) == {("order", "running"): 1}
    seen = set()
    while desk._worker.step():
        desk.take_up()
        seen |= set(of_kind(desk, series.LIVE).items())
    assert seen == {(("order", "running"), 1), (("order", "compensating"), 1), (("order", "stuck"), 1)}
    assert of_kind(desk, series.LIVE) == {("order", "stuck"): 1}
    desk.client.abandon(run.id, reason="it is a test", timeout=0)
    desk.work()
    assert of_kind(desk, series.LIVE) == {}


def test_attempts_are_those_of_the_histories(desk: Desk):
    """A fold of its own over every history: the same attempts, outcomes, processes, times."""
    took: Counter[tuple[str, ...]] = Counter()
    queued: Counter[tuple[str, ...]] = Counter()
    failed: Counter[tuple[str, ...]] = Counter()
    for history in events(desk):
        out: dict[str, ev.TaskDispatched] = {}
        for event in history:
            if isinstance(event, ev.TaskDispatched):
                out[event.path] = event
            elif isinstance(event, ev.TaskSettled):
                sent = out.pop(event.path)
                ms = event.duration_ms or event.at_ms - event.claimed_at_ms
                took["order", sent.path, sent.phase, sent.worker, event.outcome, str(bucket_of(ms))] += 1
                queued[sent.worker, sent.worker, str(bucket_of(event.claimed_at_ms - sent.at_ms))] += 1
                if event.error is not None:
                    kind = {"declined": "declined", "locked": "locked", "exception": "RuntimeError"}[event.error.code]
                    failed["order", sent.path, sent.phase, sent.worker, event.outcome, event.error.kind, kind] += 1
    assert of_kind(desk, series.TOOK) == took
    assert of_kind(desk, series.QUEUED) == queued
    assert of_kind(desk, series.FAILED) == failed
    assert sum(of_kind(desk, series.DID, 3_600_000).values()) == took.total()
    assert sum(of_kind(desk, series.WAITED, 3_600_000).values()) == took.total()
    assert of_kind(desk, series.DID) == {}


def test_retries_and_undos_are_counted(desk: Desk):
    retries = Counter(event.path for history in events(desk) for event in history
                      if isinstance(event, ev.RetryScheduled))
    counted: Counter[str] = Counter()
    for (_, step, _, _), count in of_kind(desk, series.RETRIED).items():
        counted[step] += count
    assert counted == retries
    assert of_kind(desk, series.UNDONE)["order", "stuck"] == 1
    undone = sum(
        isinstance(event, ev.StepUndone) and event.path in ("reserve", "charge") and not event.nothing
        for history in events(desk) for event in history
    )
    assert of_kind(desk, series.UNDONE)["order", "compensated"] == undone


def test_when_a_worker_last_ran_and_last_failed_is_kept(desk: Desk):
    last = desk.store.figures().last
    assert last[name(series.RAN, "stock.reserve")] <= desk.clock.now_ms
    assert name(series.ERRED, "stock.reserve") not in last
    assert last[name(series.ERRED, "card.charge")] <= last[name(series.ERRED, "stock.release")]


def test_steps_in_loops_and_branches_share_the_name_of_their_place(tmp_path: Path):
    desk = Desk(tmp_path, EVERYTHING)
    desk.start()
    desk.work()
    steps = {step for _, step, *_ in of_kind(desk, series.TOOK)}
    assert {"checks.fraud/score", "lines#/ship"} & steps
    assert not [step for step in steps if any(letter.isdigit() for letter in step.partition("#")[2])]


def test_an_engine_without_figures_counts_nothing(tmp_path: Path):
    desk = Desk(tmp_path)
    desk._engine._figures = False
    desk.run()
    assert desk.store.figures().counts == {}


def test_what_an_engine_keeps_of_a_process_does_not_grow_with_the_times_that_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Processes come and go, and each attempt takes another time: names of both would fill every cache."""
    committed: list[tuple[Any, ...]] = []

    def note(*given: Any) -> list[Any]:
        committed.append(given)
        return []

    monkeypatch.setattr(runner.engine.engine, "counts_of", note)
    Desk(tmp_path).run()

    def count_one(number: int) -> None:
        for before, made, plan, queue_of in committed:
            changed = [
                transition._replace(events=tuple(
                    replace(event, process=f"p{number % 10}", duration_ms=2.0**number)
                    if isinstance(event, ev.TaskSettled) else event
                    for event in transition.events
                ))
                for transition in made
            ]  # fmt: skip
            assert counts_of(before, changed, plan, queue_of)

    def kept() -> int:
        things = [*vars(counting).items(), *vars(series).items()]
        caches = {id(thing): thing for _, thing in things if hasattr(thing, "cache_info")}
        return sum(cache.cache_info().currsize for cache in caches.values())

    for number in range(10):
        count_one(number)
    before = kept()
    for number in range(10, 30):
        count_one(number)
    assert kept() == before
