"""Looks every few seconds whether the server has been made to evict: admitted at the start, it may be changed later.

An evicting server deletes parts of runs without a word. What has begun goes on all the same, because to stop would save
nothing; but nothing new is trusted to it, and every engine says so in its log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, cast

from redis import Redis

from runner.errors import ServerRefused
from runner.store.connection import Connection

log = logging.getLogger("sagarun.store")
log.addHandler(logging.NullHandler())  # who uses a store says where its log goes

LOOK_EVERY_S = 5.0
SAFE = "noeviction"


class EvictionWatch:
    """One for each store; several threads may ask."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._policy = SAFE
        self._looked_at_s = time.monotonic()  # who opened the store has just looked

    def refuse(self) -> None:
        """Raises ServerRefused where nothing new may be started."""
        self._look()
        if self._policy != SAFE:
            raise ServerRefused(self._what_is_wrong())

    def tell(self) -> None:
        """Log it, when it has changed."""
        before = self._policy
        self._look()
        if self._policy not in (before, SAFE):
            log.error("%s", self._what_is_wrong())
        elif self._policy != before:
            log.info("Redis at %s evicts nothing any more: runs are started again", self._connection.address)

    def _look(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_at_s < LOOK_EVERY_S:
            return
        self._looked_at_s = now_s
        self._policy = self._connection.ask(_policy_of)

    def _what_is_wrong(self) -> str:
        return (
            f"Redis at {self._connection.address} must not be used for runs: maxmemory-policy is {self._policy}, so it "
            f"may delete parts of a run. Nothing new is started until it is {SAFE} again (CONFIG SET maxmemory-policy "
            f"{SAFE}, and the same in its configuration file)"
        )


def _policy_of(client: Redis) -> str:
    info = cast("Mapping[str, Any]", client.info("memory"))
    return str(info.get("maxmemory_policy", SAFE))
