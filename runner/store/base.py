"""What the groups of verbs on Redis share: connection, keys, scripts and the times that bound a grace."""

from __future__ import annotations

from runner.store.connection import Connection
from runner.store.eviction import EvictionWatch
from runner.store.keys import Keys
from runner.store.scripts import Scripts


class RedisBase:
    """Not a store by itself: see redis_store.RedisStore."""

    namespace: str
    _connection: Connection
    _keys: Keys
    _scripts: Scripts
    _eviction: EvictionWatch
    _lease_ms: int
    _tick_ms: int

    def _reap(self, process: str, *, only_if_due: bool) -> tuple[int, int]:
        """Tasks lost and runs ready again, in as many calls as it takes."""
        lost, rearmed, left = self._scripts.reap_process(process=process, only_if_due=only_if_due)
        while left:
            more_lost, rearmed, left = self._scripts.reap_process(process=process, only_if_due=only_if_due)
            lost += more_lost
        return lost, rearmed
