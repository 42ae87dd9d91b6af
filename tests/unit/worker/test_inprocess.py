"""Workers in the caller's own process, over a store in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from runner.store.memory.store import MemoryStore
from runner.wire import Outcome
from runner.worker.context import Context
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import Registry
from tests.tasks import outcomes, seed


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock=clock)


def one(store: MemoryStore) -> Outcome:
    (outcome,) = outcomes(store).values()
    assert isinstance(outcome, Outcome)
    return outcome


def test_a_step_runs_what_waits_and_hands_it_in(store: MemoryStore, clock: Clock):
    registry = Registry()
    registry.worker("shop.double")(lambda number: 2 * number)
    worker = InProcessWorker(store, registry, clock=clock)
    seed(store, "shop.double", {"number": 21}, count=3)
    assert worker.step() == 3
    assert [bytes(outcome.output) for outcome in outcomes(store).values()] == [b"42"] * 3


def test_a_step_without_tasks_does_nothing(store: MemoryStore, clock: Clock):
    registry = Registry()
    registry.worker("shop.work")(lambda: None)
    assert InProcessWorker(store, registry, clock=clock).step() == 0


def test_contracts_are_published(store: MemoryStore, clock: Clock):
    registry = Registry()
    registry.worker("shop.work", queue="slow")(lambda: None)
    InProcessWorker(store, registry, clock=clock)
    assert msgspec.json.decode(store.get_workers()["shop.work"])["queue"] == "slow"


def test_coroutines_run_too_also_inside_a_running_loop(store: MemoryStore, clock: Clock):
    registry = Registry()

    @registry.worker("shop.work")
    async def work() -> int:
        await asyncio.sleep(0)
        return 1

    worker = InProcessWorker(store, registry, clock=clock)
    seed(store, "shop.work", {}, count=1)
    assert worker.step() == 1

    async def inside() -> int:
        seed(store, "shop.work", {}, count=1)
        return worker.step()

    assert asyncio.run(inside()) == 1
    assert [outcome.outcome for outcome in outcomes(store).values()] == ["completed"] * 2


def test_an_attempt_that_takes_longer_than_it_may_has_overrun(store: MemoryStore, clock: Clock):
    registry = Registry()

    @registry.worker("shop.work")
    def work(ctx: Context) -> int:
        assert ctx.remaining() == 1.0
        clock.now_ms += 1001
        return 1

    worker = InProcessWorker(store, registry, clock=clock)
    seed(store, "shop.work", {}, timeout_ms=1000)
    worker.step()
    outcome = one(store)
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("unknown", "timeout")


def test_a_worker_learns_how_its_task_came(store: MemoryStore, clock: Clock):
    registry = Registry()
    found: list[Any] = []

    @registry.worker("shop.work", queue="slow")
    def work(ctx: Context) -> None:
        found.append((dict(ctx.metadata), ctx.fence > 0))

    worker = InProcessWorker(store, registry, clock=clock)
    seed(store, "shop.work", {}, queue="slow")
    worker.step()
    assert found == [({"queue": "slow", "queued_at_ms": 1_000_000, "claimed_at_ms": 1_000_000}, True)]


def test_a_process_that_was_reaped_goes_on_under_another_name_at_once(store: MemoryStore, clock: Clock):
    registry = Registry()
    registry.worker("shop.work")(lambda: None)
    worker = InProcessWorker(store, registry, clock=clock)
    first = worker.process_id
    store.reap(first)
    seed(store, "shop.work", {})
    assert worker.step() == 1
    assert worker.process_id != first


def test_an_interrupt_is_the_persons_and_not_the_workers(store: MemoryStore, clock: Clock):
    registry = Registry()

    @registry.worker("shop.work")
    def work() -> None:
        raise KeyboardInterrupt

    worker = InProcessWorker(store, registry, clock=clock)
    seed(store, "shop.work", {})
    with pytest.raises(KeyboardInterrupt):
        worker.step()


def test_closing_retires_the_process(store: MemoryStore, clock: Clock):
    registry = Registry()
    registry.worker("shop.work")(lambda: None)
    worker = InProcessWorker(store, registry, clock=clock)
    assert len(store.processes()) == 1
    worker.close()
    assert store.processes() == []
