"""The connection to Redis: the one retry loop, and the one place where Redis' replies become our errors.

redis-py's own retries are off: it would send a command again whose reply was lost, and run it twice. Here
a lost reply repeats the same script with the same nonce, which the script answers without doing it again.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as LostReply
from redis.retry import Retry

from runner.errors import RecordTampered, ServerRefused, StoreError, StoreUnavailable
from runner.store.subscription import Subscription

PATIENCE_S = 30.0  # how long an outage is waited out
REPLY_S = 6.0  # how long one reply may take
MAX_BLOCK_S = 2.0  # how long one blocking pop may last; longer waits are several
MAX_PAUSE_S = 2.0

# Redis says with these that it did not execute anything.
_NOT_EXECUTED = ("LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "BUSY", "TRYAGAIN", "NOREPLICAS",
                 "OOM", "UNBLOCKED", "MOVED", "ASK", "UNKILLABLE")

T = TypeVar("T")


class Connection:
    """Asks Redis, patiently. One pool for all threads; blocking waits have connections of their own."""

    def __init__(self, target: str | Mapping[str, Any], *, patience_s: float = PATIENCE_S) -> None:
        self.address = address_of(target)
        self._target = target
        self._patience_s = patience_s
        self._client = _client(target, REPLY_S)
        self._waiting = _client(target, MAX_BLOCK_S + REPLY_S)
        self._was_up = False
        self._closed = threading.Event()

    def ask(self, command: Callable[[Redis], T], *, admits: bool = False) -> T:
        """Run `command`, again and again while Redis is away; it must be safe to repeat.

        `admits`: it brings new work, which is refused when Redis is full. Anything else waits for room.
        A server that never answered yet is not waited for. Raises StoreError and its kinds.
        """
        give_up_at = 0.0
        pause_s = 0.02
        while not self._closed.is_set():
            try:
                answer = command(self._client)
            except RedisError as error:
                final = self._judge(error, admits=admits)
                if final is not None:
                    raise final from error
                if isinstance(error, ReadOnlyError):  # a demoted master: the name leads elsewhere by now
                    self._client.connection_pool.disconnect()
                now = time.monotonic()
                give_up_at = give_up_at or now + self._patience_s
                if now >= give_up_at:
                    raise StoreUnavailable(f"Redis at {self.address} could not be used for "
                                           f"{self._patience_s:g} s: {str(error).rstrip('.')}") from error
                _break_cycle(error)
                self._closed.wait(random.uniform(pause_s / 2, pause_s))
                pause_s = min(2 * pause_s, MAX_PAUSE_S)
            else:
                self._was_up = True
                return answer
        raise StoreUnavailable(f"the connection to Redis at {self.address} is closed")

    def wait(self, keys: Sequence[str], timeout_s: float) -> bool:
        """Take a wake token from one of the lists. Also false when Redis is away: the next `ask` deals with it."""
        wait_until = time.monotonic() + timeout_s
        if not keys:
            self._closed.wait(timeout_s)
        try:
            while not self._closed.is_set() and (left_s := wait_until - time.monotonic()) > 0:
                # BLPOP takes 0 as for ever, and rounds to milliseconds.
                if self._waiting.blpop(list(keys), max(0.001, min(left_s, MAX_BLOCK_S))) is not None:
                    return True
        except (LostConnection, LostReply, ResponseError) as error:
            final = self._judge(error, admits=False) if isinstance(error, ResponseError) else None
            if final is not None:
                raise final from error
            _break_cycle(error)
            self._closed.wait(min(0.2, timeout_s))
        return False

    def subscribe(self, channel: str) -> Subscription:
        """Raises StoreUnavailable and ServerRefused; a server that is away is not waited for."""
        return Subscription(_client(self._target, REPLY_S), channel, self._refusal)

    def _refusal(self, error: RedisError) -> StoreError:
        away = StoreUnavailable(f"Redis at {self.address} cannot be reached: {error}")
        return self._judge(error, admits=False) or away

    def close(self) -> None:
        self._closed.set()
        for client in (self._client, self._waiting):
            client.connection_pool.disconnect()

    def _judge(self, error: RedisError, *, admits: bool) -> StoreError | None:
        """What to raise for an error reply; None: ask again."""
        text = str(error).rpartition("caused error: ")[2].rstrip(".")  # without what a pipeline puts before it
        if isinstance(error, (AuthenticationError, AuthorizationError, NoPermissionError)) or text.startswith("NOAUTH"):
            return ServerRefused(f"Redis at {self.address} refuses access: {text}; check user, password and ACL")
        if text.startswith(("DB index", "invalid DB index")):
            return ServerRefused(f"Redis at {self.address} has no such database: {text}")
        if isinstance(error, OutOfMemoryError) or text.startswith("OOM"):
            return StoreError(f"Redis at {self.address} is full (maxmemory): nothing new is taken") if admits else None
        if isinstance(error, (BusyLoadingError, ReadOnlyError)) or text.startswith(_NOT_EXECUTED):
            return None
        if isinstance(error, (LostConnection, LostReply)):
            if self._was_up:
                return None
            return StoreUnavailable(f"Redis at {self.address} cannot be reached: {text}")
        if text.startswith(("TAMPERED", "WRONGTYPE")):
            return RecordTampered(f"Redis at {self.address}: {text}")
        return StoreError(f"Redis at {self.address} refused a command: {text}")


def _break_cycle(error: RedisError) -> None:
    """redis-py's frames hold what they raise: without this, an outage leaves 10 KB a try that only the collector frees,
    which comes round rarely in an engine."""
    error.__traceback__ = None


def address_of(target: str | Mapping[str, Any]) -> str:
    """For messages: without user and password."""
    if isinstance(target, str):
        parts = urlsplit(target)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    path = target.get("unix_socket_path")
    return f"unix://{path}" if path else f"{target.get('host', 'localhost')}:{target.get('port', 6379)}"


def _client(target: str | Mapping[str, Any], reply_s: float) -> Redis:
    ours: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": reply_s,
        "protocol": 2,  # the replies of scripts are the same in both, and RESP3 costs a HELLO a connection
        "decode_responses": False,
    }
    return Redis.from_url(target, **ours) if isinstance(target, str) else Redis(**{**target, **ours})
