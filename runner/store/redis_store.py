"""RedisStore: ports.Store on a Redis ≥ 7.0 or Valkey ≥ 7.2 server, usable from several threads.

Safety is in the scripts (compare-and-set, tokens); this side packs, splits and repeats. It never decides
anything from a clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from redis import Redis

from runner.store.connection import PATIENCE_S, Connection
from runner.store.endings import EndingVerbs
from runner.store.eviction import EvictionWatch
from runner.store.gauges import GaugeVerbs
from runner.store.keys import Keys
from runner.store.limits import LEASE_MS, TICK_MS, check_name
from runner.store.runs import RunVerbs
from runner.store.scripts import Scripts
from runner.store.tasks import TaskVerbs
from runner.store.views import ViewVerbs

T = TypeVar("T")


class RedisStore(RunVerbs, TaskVerbs, EndingVerbs, ViewVerbs, GaugeVerbs):
    """`target` is a URL (redis://, rediss://, unix://) or the keyword arguments of redis.Redis.

    `clock` gives milliseconds instead of Redis' own time. It must not move while a call is under way, or it looks as if
    it went back. `lease_ms` and `tick_ms` bound the grace after an outage, which is waited out for `patience_s`.
    Nothing is sent before the first verb; see `connect`.
    """

    def __init__(
        self, target: str | Mapping[str, Any], *, namespace: str, clock: Callable[[], int] | None = None,
        lease_ms: int = LEASE_MS, tick_ms: int = TICK_MS, patience_s: float = PATIENCE_S,
    ) -> None:
        check_name("namespace", namespace)
        self.namespace = namespace
        self._lease_ms = lease_ms
        self._tick_ms = tick_ms
        self._connection = Connection(target, patience_s=patience_s)
        self._keys = Keys(namespace)
        self._scripts = Scripts(self._connection, self._keys, clock)
        self._eviction = EvictionWatch(self._connection)

    @classmethod
    def connect(cls, target: str | Mapping[str, Any], *, namespace: str, **options: Any) -> RedisStore:
        """A store whose server has answered. Raises StoreUnavailable or ServerRefused at once if it does not."""
        store = cls(target, namespace=namespace, **options)
        try:
            store.ping()
        except BaseException:
            store.close()
            raise
        return store

    @property
    def address(self) -> str:
        """Where the server is, without user and password."""
        return self._connection.address

    def ping(self) -> None:
        self.ask(lambda client: client.ping())

    def ask(self, command: Callable[[Redis], T]) -> T:
        """Plain commands to the store's server, for looking at it; repeated while it is away."""
        return self._connection.ask(command)

    def close(self) -> None:
        """Ends waiting calls of other threads too; a verb after it raises StoreUnavailable."""
        self._connection.close()
