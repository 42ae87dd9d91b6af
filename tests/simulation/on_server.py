"""The same schedules on RedisStore and its Lua: it has to answer what MemoryStore answers, and to hold what that holds.

Both stand behind one network and are given one clock, so a schedule takes the same course on both until one
says or holds something else. A server is set back by forgetting everything and executing the prefix.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from redis import Redis

from runner.errors import StoreError
from runner.store.redis_store import RedisStore
from tests.conformance.store_world import Clock as WorldClock
from tests.conformance.store_world import StoreWorld, difference, memory_snapshot
from tests.servers import private_server, redis_binary, valkey_binary
from tests.simulation.invariants import IDLE, Violated
from tests.simulation.schedule import NAMESPACE, Result, draw_plot, play
from tests.simulation.server import READS, Clock, LossyMemoryStore

EVERY = 10  # scripts: then all that is stored is compared, else runs only


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


class Both:
    """A store in memory and one on a server, as one. What only a test may see (`_tables`) is that in memory."""

    def __init__(self, clock: Clock, url: str) -> None:
        self.namespace = NAMESPACE
        self.in_memory = LossyMemoryStore(namespace=NAMESPACE, clock=clock)
        self.on_server = on_redis(url, clock)
        self._world = StoreWorld(self.on_server, WorldClock(), self.on_server._connection._client)
        self._clock = clock
        self._scripts = 0

    def close(self) -> None:
        self.on_server.close()

    def __getattr__(self, verb: str) -> Any:
        if verb.startswith("_"):
            return getattr(self.in_memory, verb)
        return lambda *args, **options: self._ask(verb, args, options)

    def _ask(self, verb: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        answer = self._compare(verb, lambda store: getattr(store, verb)(*args, **options))
        if verb not in READS and verb not in IDLE and self._clock.replayed_ms is None:
            self._scripts += 1
            run_ids = sorted(self.in_memory._tables.runs)
            self._compare(f"runs after {verb}", lambda store: store.load_runs(run_ids))
            if self._scripts % EVERY == 0:
                self.compare_all(verb)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def compare_all(self, after: str) -> None:
        wrong = difference(memory_snapshot(self.in_memory), self._world.snapshot())
        if wrong:
            raise Violated("twin", f"after {after}: in memory and on the server {wrong}")
        for run_id in sorted(self.in_memory._tables.runs):
            self._compare("history", partial(_history, run_id))
        self._compare("processes", lambda store: store.processes())

    def _compare(self, what: str, ask: Callable[[Any], Any]) -> Any:
        one, other = _answer(ask, self.in_memory), _answer(ask, self.on_server)
        if _plain(one) != _plain(other):
            raise Violated("twin", f"{what}: in memory {one}, on the server {other}")
        return one


def check_on_server(seed: int, url: str) -> Result:
    """The schedule on both stores at once."""
    stores: list[Both] = []

    def make(clock: Clock) -> Any:
        if stores:
            stores.pop().close()
        stores.append(Both(clock, url))
        return stores[-1]

    try:
        result, _ = play(draw_plot(seed), make)
        if result.violation is None:
            stores[0].compare_all("the end")
        return result
    except AssertionError as violation:
        return Result(seed, violation)
    finally:
        for store in stores:
            store.close()


def _history(run_id: str, store: Any) -> Any:
    return store.history(run_id)


def _answer(ask: Callable[[Any], Any], store: Any) -> Any:
    try:
        return ask(store)
    except StoreError as error:
        return error


def _plain(answer: Any) -> Any:
    if isinstance(answer, Exception):
        return str(answer)
    return dict(answer) if isinstance(answer, Mapping) else answer
