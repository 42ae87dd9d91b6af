"""The stores that the conformance suite is run on: in memory, on Valkey, on the distribution's Redis 7.

After every test the store must still keep its invariants and hold no key that nobody knows; a test that
breaks records on purpose says so (`world.is_tampered = True`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runner.store.memory.store import MemoryStore
from tests.conformance.store_world import Clock, StoreWorld, check_invariants, redis_world


def checked(world: StoreWorld) -> Iterator[StoreWorld]:
    yield world
    if not world.is_tampered:
        check_invariants(world.snapshot())
    world.store.close()
    if world.redis is not None:
        world.redis.close()


@pytest.fixture(params=["memory", "valkey", "redis7"])
def world(request: pytest.FixtureRequest, namespace: str) -> Iterator[StoreWorld]:
    """Every store in turn."""
    if request.param == "memory":
        clock = Clock()
        yield from checked(StoreWorld(MemoryStore(namespace=namespace, clock=clock), clock))
    else:
        yield from checked(redis_world(request.getfixturevalue(f"{request.param}_url"), namespace))


@pytest.fixture(params=["valkey", "redis7"])
def on_redis(request: pytest.FixtureRequest, namespace: str) -> Iterator[StoreWorld]:
    """For what only a server can show: records that somebody broke, replies that were lost."""
    yield from checked(redis_world(request.getfixturevalue(f"{request.param}_url"), namespace))
