"""Listening to a channel of Redis: what is published comes in batches, and a connection that was lost is said.

Rule: never reconnect in silence. What was published meanwhile is gone, and who listens has to know that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from runner.errors import StoreError, StoreUnavailable

BATCH = 1_000
SILENCE_S = 5.0  # then the server is asked whether it is still there: of a cut cable nobody else tells
ANSWER_S = 6.0


class Subscription:
    """ports.EventStream. A connection of its own, for one thread."""

    def __init__(self, client: Redis, channel: str, refusal: Callable[[RedisError], StoreError]) -> None:
        """`refusal`: what to raise for an error of redis-py."""
        self._client = client
        self._refusal = refusal
        self._heard_at_s = time.monotonic()
        self._asked = False
        try:
            connection: Any = client.connection_pool.get_connection()
            self._connection = connection
            self._connection.send_command("SUBSCRIBE", channel)
            self._connection.read_response()  # that it is subscribed
        except RedisError as error:
            self.close()
            raise refusal(error) from error

    def read(self, timeout_s: float) -> Sequence[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        wait_until = time.monotonic() + timeout_s
        try:
            while len(found) < BATCH:
                left_s = 0.0 if found else max(0.0, wait_until - time.monotonic())
                if not self._connection.can_read(timeout=min(left_s, SILENCE_S)):
                    self._check_silence()
                    if left_s <= SILENCE_S:
                        break
                    continue
                self._heard_at_s, self._asked = time.monotonic(), False
                answer = self._connection.read_response()
                if isinstance(answer, list) and answer[0] == b"message":
                    run_id, _, entry = answer[2].partition(b" ")
                    found.append((run_id.decode(), entry))
        except RedisError as error:
            self.close()
            if found:  # the next call says it
                return found
            raise self._refusal(error) from error
        return found

    def _check_silence(self) -> None:
        silent_s = time.monotonic() - self._heard_at_s
        if self._asked and silent_s > SILENCE_S + ANSWER_S:
            self.close()
            raise StoreUnavailable(f"the server did not answer for {silent_s:.0f} s")
        if not self._asked and silent_s > SILENCE_S:
            self._asked = True
            self._connection.send_command("PING")

    def close(self) -> None:
        self._client.connection_pool.disconnect()
