"""What Prometheus scrapes: the counts of the store under stable names, with labels of few values."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runner.errors import ConfigError
from runner.figures.buckets import STEPS
from runner.monitor.exposition import LE_MS, METRICS, Histogram, exposition
from runner.store.ports import ProcessInfo
from runner.store.vitals import Vitals
from tests.desk import Desk

SECRET = "the line went dead"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    for number, fail in enumerate(["", "flaky", "declined", "broken", "undo"]):
        desk.run(id=f"A-{number}", fail=fail, amount=number)
    desk.store.register(ProcessInfo("p1", "worker", "host", 7, queues=("stock.reserve",)))
    desk.store.beat("p1", [], vitals=Vitals(5_000_000, 1.0, 0.5, 1, 64))
    return desk


def samples(desk: Desk) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(exposition(desk.store, "1.2.3").decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(desk: Desk, name: str, **labels: str) -> float:
    return samples(desk)[name][tuple(sorted(labels.items()))]


def test_runs_are_counted_by_how_they_ended(desk: Desk):
    order = {"workflow": "order", "version": "1.2.0"}
    assert value(desk, "sagarun_runs_started_total", **order) == 5
    assert value(desk, "sagarun_runs_finished_total", **order, status="completed") == 2
    assert value(desk, "sagarun_runs_finished_total", **order, status="compensated") == 2
    assert value(desk, "sagarun_runs_active", workflow="order", state="stuck") == 1
    assert value(desk, "sagarun_runs_stuck", workflow="order") == 1
    assert value(desk, "sagarun_compensations_total", workflow="order", outcome="stuck") == 1


def test_attempts_are_counted_by_outcome_and_type_of_error(desk: Desk):
    charge = {"workflow": "order", "step": "charge", "phase": "action"}
    name = "sagarun_step_attempts_total"
    assert value(desk, name, **charge, outcome="completed", error_type="") == 2
    assert value(desk, name, **charge, outcome="failed", error_type="declined") == 2
    assert value(desk, name, **charge, outcome="unknown", error_type="RuntimeError") == 4
    everything = sum(value for labels, value in samples(desk)[name].items())
    assert everything == len(desk.calls)


def test_histograms_are_cumulative_and_lose_nothing(desk: Desk):
    found = samples(desk)
    buckets = found["sagarun_step_duration_seconds_bucket"]
    counts = found["sagarun_step_duration_seconds_count"]
    for labels, count in counts.items():
        mine = [(dict(key)["le"], n) for key, n in buckets.items() if set(labels) < set(key)]
        ordered = [n for _, n in sorted(mine, key=lambda each: float(each[0]))]
        assert ordered == sorted(ordered)
        assert ordered[-1] == count
    assert sum(counts.values()) == len(desk.calls)


def test_the_ends_of_buckets_are_ends_of_what_is_counted():
    histogram = Histogram()
    for bucket in range(0, 26 * STEPS + 1):
        histogram.add(str(bucket), 1)
    said = histogram.said()
    assert [end for end, _ in said[:3]] == ["0.001", "0.004", "0.016"]
    assert [count for _, count in said[:3]] == [1, 1 + 2 * STEPS, 1 + 4 * STEPS]
    assert said[-1] == ("+Inf", said[-2][1])
    assert len(said) == len(LE_MS) + 1


def test_processes_and_queues_are_gauges(desk: Desk):
    assert value(desk, "sagarun_workers", queue="stock.reserve") == 2, "p1, and the desk's own"
    assert value(desk, "sagarun_worker_slots", state="free") == 64
    assert value(desk, "sagarun_process_memory_bytes", kind="worker") == 5_000_000
    desk.start(id="A-9")
    desk.take_up()
    desk.clock.advance(3_000)
    assert value(desk, "sagarun_queue_depth", queue="stock.reserve") == 1
    assert value(desk, "sagarun_queue_oldest_age_seconds", queue="stock.reserve") == 3.0


def test_no_label_holds_the_text_of_an_error(desk: Desk):
    text = exposition(desk.store, "1.2.3").decode()
    assert SECRET not in text
    assert "insufficient funds" not in text


def test_every_metric_is_there_from_the_first_scrape_on(tmp_path: Path):
    text = exposition(Desk(tmp_path).store, "1.2.3").decode()
    for metric in METRICS.values():
        assert f"# TYPE {metric.name.removesuffix('_total')}" in text


def test_without_the_extra_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"sagarun\[metrics\]"):
        exposition(Desk(tmp_path).store, "1.2.3")
