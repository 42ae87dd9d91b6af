"""Queues as they are: how many wait, since when, and how many run."""

from __future__ import annotations

from runner.store.observations import QueueInfo
from tests.conformance.store_world import StoreWorld


def test_a_store_without_tasks_has_no_queues(world: StoreWorld):
    assert world.store.queues() == []


def test_a_queue_tells_its_depth_its_oldest_and_what_runs(world: StoreWorld):
    began_ms = world.clock.now_ms
    world.running("r1", "a", queue="mail")
    world.clock.advance(7_000)
    world.running("r2", "a", "b", queue="mail")
    world.running("r3", "a", queue="pay")
    world.process()
    assert world.store.queues() == [
        QueueInfo("mail", 3, began_ms, 0), QueueInfo("pay", 1, began_ms + 7_000, 0)
    ]
    world.claim(queues=("mail",), capacity=2)
    assert world.store.queues() == [
        QueueInfo("mail", 1, began_ms + 7_000, 2), QueueInfo("pay", 1, began_ms + 7_000, 0)
    ]


def test_a_queue_whose_tasks_are_done_is_empty(world: StoreWorld):
    task = world.claimed("r1")
    assert world.store.queues() == [QueueInfo("q", 0, 0, 1)]
    world.complete(task)
    assert world.store.queues() == [QueueInfo("q", 0, 0, 0)]


def test_a_reference_that_is_not_current_any_more_is_not_the_oldest(on_redis: StoreWorld):
    on_redis.is_tampered = True
    on_redis.running("r1", "a")
    assert on_redis.redis is not None
    on_redis.redis.lpush(f"{on_redis.prefix}q:q", "r1|a|1-old|payload", "gone|a|1-old|payload")
    assert on_redis.store.queues() == [QueueInfo("q", 3, on_redis.clock.now_ms, 0)]
