"""How workers, processes, queues and workflows do: what is read from figures, and the rule of health."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.figures.buckets import WIDTH
from runner.monitor import performance
from runner.monitor.performance import known_workflows, read_processes, read_queues, read_stats
from runner.monitor.performance_shapes import QueueStats, Stats, Times, WorkerStats
from runner.store.ports import ProcessInfo
from runner.store.vitals import Vitals
from tests.desk import Desk


def queue(*, depth: int = 0, oldest_ms: int = 0, served: bool = True) -> QueueStats:
    return QueueStats("q", depth, oldest_ms, 0, ("p1",) if served else (), (), 0.0, Times())


@pytest.mark.parametrize(
    ("attempts", "technical", "of_queue", "expected"),
    [
        (10, 0, queue(), "healthy"),
        (10, 1, queue(), "degraded"),
        (100, 9, queue(), "healthy"),
        (10, 5, queue(), "failing"),
        (2, 2, queue(), "healthy"),  # two say nothing yet
        (0, 0, queue(), "inactive"),
        (10, 0, queue(served=False), "inactive"),
        (10, 0, queue(served=False, depth=1), "failing"),
        (10, 0, queue(depth=1, oldest_ms=60_001), "degraded"),
        (0, 0, None, "inactive"),
    ],
)
def test_health_follows_its_rule(attempts: int, technical: int, of_queue: QueueStats | None, expected: str):
    assert performance._health(attempts, technical, of_queue)[0] == expected


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    for number, fail in enumerate(["", "", "flaky", "declined", "broken", "undo"]):
        desk.run(id=f"A-{number}", fail=fail, amount=number)
    queues = ("stock.reserve", "stock.release", "card.charge", "card.refund")
    desk.store.register(ProcessInfo("p1", "worker", "host", 7, queues=queues))
    desk.store.beat("p1", [], vitals=Vitals(5_000_000, 1.0, 0.5, 1, 64))
    return desk


def worker(stats: Stats, name: str) -> WorkerStats:
    return next(each for each in stats.workers if each.worker == name)


def test_a_workers_attempts_are_counted_by_outcome(desk: Desk):
    charge = worker(read_stats(desk.store), "card.charge")
    assert (charge.attempts, charge.completed) == (len([call for call in desk.calls if call.startswith("charge")]), 3)
    assert charge.errors == {"RuntimeError": 4, "declined": 2}
    assert (charge.failed, charge.unknown, charge.technical) == (2, 4, 4)
    assert charge.retries == 3
    assert charge.health == "degraded"
    assert charge.why == "44% of its attempts ended in technical errors"


def test_a_declared_business_error_does_not_make_a_worker_ill(tmp_path: Path):
    desk = Desk(tmp_path)
    for number in range(4):
        desk.run(id=f"A-{number}", fail="declined")
    desk.store.register(ProcessInfo("p1", "worker", "host", 7, queues=("card.charge",)))
    charge = worker(read_stats(desk.store), "card.charge")
    assert (charge.failed, charge.health) == (4, "healthy")


def test_an_error_is_told_without_its_type_twice(desk: Desk):
    error, *_ = worker(read_stats(desk.store), "card.charge").last_errors
    assert (error.kind, error.type, error.message) == ("technical", "RuntimeError", "the line went dead")


def test_workflows_that_ran_are_known(desk: Desk):
    assert known_workflows(desk.store) == {"order"}


def test_the_last_errors_of_a_worker_name_a_run(desk: Desk):
    errors = worker(read_stats(desk.store), "card.charge").last_errors
    assert {error.type for error in errors} == {"RuntimeError", "declined"}
    assert all(desk.client.find(error.run_id) for error in errors)


def test_queue_time_is_what_passed_until_the_claim(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.start()
    desk.take_up()
    desk.clock.advance(5_000)
    desk.work()
    times = worker(read_stats(desk.store), "stock.reserve").queue_time
    assert times.count == 1
    assert times.mean_ms == 5_000
    assert 5_000 <= (times.p50_ms or 0) <= 5_000 * (1 + WIDTH)


def test_problem_workers_come_with_the_worst_first_and_the_best_are_named(desk: Desk):
    stats = read_stats(desk.store)
    assert stats.problems[0] == "card.charge"
    assert "card.charge" not in stats.best
    assert "stock.reserve" in stats.best
    took = {each.worker: each.processing.p95_ms or 0 for each in stats.workers}
    assert list(stats.slowest) == sorted(took, key=lambda name: (-took[name], name))[:3]


def test_queues_say_who_serves_them(tmp_path: Path):
    desk = Desk(tmp_path)
    desk.start()
    desk.take_up()
    desk.clock.advance(2_000)
    (found,) = [each for each in read_queues(desk.store) if each.queue == "stock.reserve"]
    assert (found.depth, found.oldest_ms, found.in_flight) == (1, 2_000, 0)
    assert found.processes == ("inprocess",) or len(found.processes) <= 1


def test_processes_come_with_memory_cpu_and_what_they_did(desk: Desk):
    found = {each.process: each for each in read_processes(desk.store)}
    assert found["p1"].vitals == Vitals(5_000_000, 1.0, 0.5, 1, 64)
    assert found["p1"].alive
    worked = [each for each in found.values() if each.attempts]
    assert [each.attempts for each in worked] == [len(desk.calls)]


def test_a_silent_process_is_not_taken_to_live(desk: Desk):
    desk.clock.advance(11_000)
    assert not any(each.alive for each in read_processes(desk.store))


def test_workflows_are_counted_by_status(desk: Desk):
    (order,) = read_stats(desk.store).workflows
    assert order.started == 6
    assert order.finished == {"compensated": 2, "completed": 3}
    assert order.live == {"stuck": 1}
    assert (order.success, order.became_stuck) == (0.6, 1)
    assert order.undone["stuck"] == 1


def test_a_window_leaves_out_what_was_before(desk: Desk):
    desk.clock.advance(2 * 3_600_000)
    assert read_stats(desk.store, "1h").workflows[0].started == 0
    assert read_stats(desk.store, "24h").workflows[0].started == 6
    assert read_stats(desk.store, "all").workflows[0].started == 6
