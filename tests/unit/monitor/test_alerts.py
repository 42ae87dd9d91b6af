"""Whether alerts fire: each kind on a store with known runs, at its bound and beyond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.definition.alert_settings import AlertRule
from runner.monitor.alerts import Verdict, evaluate, observe
from tests.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def verdict(desk: Desk, when: str, **values: Any) -> Verdict:
    rule = AlertRule("a", when, **values)
    return evaluate(rule, observe(desk.store, [rule]))


def runs(desk: Desk, *fails: str) -> None:
    for fail in fails:
        desk.run(id=f"A-{len(desk.calls)}", fail=fail)


def test_stuck_runs_are_counted_now(desk: Desk):
    assert not verdict(desk, "stuck_runs").firing
    runs(desk, "undo", "")
    found = verdict(desk, "stuck_runs")
    assert (found.firing, found.subject, found.value) == (True, "order", 1)
    assert found.message == "a: runs that need a person, of order: 1, more than 0"
    assert not verdict(desk, "stuck_runs", above=1.0).firing
    assert not verdict(desk, "stuck_runs", workflow="other").firing


def test_failed_runs_are_a_share_of_those_that_ended(desk: Desk):
    runs(desk, "", "", "", "declined")
    assert verdict(desk, "failed_runs", above=0.24, least=4).firing
    assert not verdict(desk, "failed_runs", above=0.25, least=4).firing
    few = verdict(desk, "failed_runs", above=0.0, least=5)
    assert (few.firing, few.value) == (False, None)


def test_an_error_rate_is_of_a_workers_technical_errors(desk: Desk):
    runs(desk, "declined", "broken")
    found = verdict(desk, "error_rate", above=0.7, least=4)
    assert (found.firing, found.subject) == (True, "card.charge")
    assert found.value == 0.75
    assert not verdict(desk, "error_rate", above=0.0, least=1, worker="stock.reserve").firing


def test_what_is_longer_ago_than_the_window_does_not_count(desk: Desk):
    runs(desk, "broken")
    desk.clock.advance(2 * 3_600_000)
    assert not verdict(desk, "error_rate", above=0.1, least=1, window="1h").firing
    assert verdict(desk, "error_rate", above=0.1, least=1, window="24h").firing


def test_latency_is_a_percentile_of_runs_or_attempts(desk: Desk):
    runs(desk, "flaky", "")  # a second between its attempts
    assert verdict(desk, "latency", workflow="order", above=900.0, least=1).firing
    assert not verdict(desk, "latency", workflow="order", above=900.0, least=1, percentile=50).firing
    assert not verdict(desk, "latency", worker="card.charge", above=900.0, least=1).firing
    assert verdict(desk, "latency", workflow="order", above=900.0, least=3).value is None


def test_a_queue_is_as_old_as_its_oldest_task(desk: Desk):
    desk.start()
    desk.take_up()
    desk.clock.advance(60_000)
    assert not verdict(desk, "queue_age", above=60_000.0).firing
    desk.clock.advance(1)
    found = verdict(desk, "queue_age", above=60_000.0)
    assert (found.firing, found.subject) == (True, "stock.reserve")
    assert not verdict(desk, "queue_age", queue="card.charge", above=0.0).firing
    desk.work()
    assert not verdict(desk, "queue_age", above=0.0).firing


def test_a_spike_is_what_errors_calls_one(desk: Desk):
    runs(desk, *["broken"] * 3)
    assert not verdict(desk, "error_spike").firing
    runs(desk, *["broken"] * 2)
    found = verdict(desk, "error_spike")
    assert found.firing
    assert not verdict(desk, "error_spike", worker="stock.reserve").firing
    group = desk.store.fault_groups()[0].group
    desk.store.note_fault(group, "ignored", b"{}")
    assert not verdict(desk, "error_spike").firing
