"""The same schedules on RedisStore and its Lua: every answer has to be the one that MemoryStore gave.

The network's faults are in front of both stores, and both are given the same clock, so a schedule takes the same course
on both until one of them says something else. A server is set back by forgetting everything and executing the prefix.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from redis import Redis

from runner.store.redis_store import RedisStore
from tests.conformance.store_world import Clock as WorldClock
from tests.conformance.store_world import StoreWorld, check_invariants
from tests.servers import private_server, redis_binary, valkey_binary
from tests.simulation.invariants import Violated
from tests.simulation.schedule import NAMESPACE, Play, Plot, Result, draw_plot, play
from tests.simulation.server import Clock, Entry

PARTS = ("live", "ended", "waiting", "ready", "watch", "deadlines", "timers", "queued", "running", "places", "holders",
         "lines", "busy", "pace")


@contextlib.contextmanager
def server_of(kind: str) -> Iterator[str]:
    with private_server(valkey_binary() if kind == "valkey" else redis_binary()) as url:
        yield url


class LossyRedisStore(RedisStore):
    """A RedisStore of which all lists of tasks can be lost. Its server is its own."""

    def lose_lists(self) -> None:
        client = self._connection._client
        keys = list(client.scan_iter(match=f"{{{NAMESPACE}:00}}:q:*", count=1_000))
        if keys:
            client.delete(*keys)


def on_redis(url: str, clock: Clock) -> LossyRedisStore:
    """An empty one."""
    with contextlib.closing(Redis.from_url(url)) as client:
        client.flushall()
    store = LossyRedisStore.connect(url, namespace=NAMESPACE, clock=clock)
    assert isinstance(store, LossyRedisStore)
    return store


def check_on_server(seed: int, url: str) -> Result:
    """The result in memory, with a violation if the server says something else."""
    plot = draw_plot(seed)
    expected, stage = play(plot)
    if expected.violation is None:
        expected.violation = difference(plot, stage, url)
    return expected


def difference(plot: Plot, expected: Play, url: str) -> BaseException | None:
    stores: list[LossyRedisStore] = []

    def make(clock: Clock) -> Any:
        if stores:
            stores.pop().close()
        stores.append(on_redis(url, clock))
        return stores[-1]

    try:
        result, stage = play(plot, make, looks_inside=False)
        for number, (one, other) in enumerate(zip(_said(expected), _said(stage), strict=False)):
            if one != other:
                return Violated("twin", f"call {number}: in memory {one}, on the server {other}")
        if result.violation is not None:
            return result.violation
        if len(expected.server.trace) != len(stage.server.trace):
            counts = f"{len(expected.server.trace)} calls in memory, {len(stage.server.trace)} on the server"
            return Violated("twin", counts)
        return _different_state(expected, stores[0])
    except AssertionError as error:
        return error
    finally:
        for store in stores:
            store.close()


def _different_state(expected: Play, store: LossyRedisStore) -> BaseException | None:
    found = StoreWorld(store, WorldClock(), store._connection._client).snapshot()
    check_invariants(found)
    wanted = StoreWorld(expected.server.store, WorldClock()).snapshot()
    for part in PARTS:
        if getattr(found, part) != getattr(wanted, part):
            return Violated("twin", f"{part}: in memory {getattr(wanted, part)}, on the server {getattr(found, part)}")
    return None


def _said(stage: Play) -> Iterator[Any]:
    for entry in stage.server.trace:
        if isinstance(entry, Entry):
            yield entry.who, entry.verb, _plain(entry.answer)


def _plain(answer: Any) -> Any:
    if isinstance(answer, Exception):
        return str(answer)
    return dict(answer) if isinstance(answer, Mapping) else answer


