"""What an error of Redis means: ask again, or which of our errors. No server is needed: the command raises it."""

from __future__ import annotations

import gc
import time
import weakref
from typing import Any

import pytest
from redis import exceptions as redis_errors

from runner.errors import RecordTampered, ServerRefused, StoreError, StoreUnavailable
from runner.store.connection import Connection, address_of

NOWHERE = "unix:///nowhere/s"


class Command:
    """Raises these errors in turn, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0

    def __call__(self, client: Any) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def connection(*, was_up: bool = True, patience_s: float = 5.0) -> Connection:
    made = Connection(NOWHERE, patience_s=patience_s)
    if was_up:
        made.ask(Command())
    return made


def text(message: str) -> redis_errors.ResponseError:
    return redis_errors.ResponseError(message)


@pytest.mark.parametrize(
    "error",
    [
        redis_errors.ConnectionError("reset by peer"), redis_errors.TimeoutError("no reply"),
        redis_errors.BusyLoadingError("loading the dataset"), redis_errors.ReadOnlyError("a replica"),
        redis_errors.ClusterDownError("CLUSTERDOWN down"), redis_errors.MasterDownError("MASTERDOWN down"),
        redis_errors.TryAgainError("TRYAGAIN later"), redis_errors.OutOfMemoryError("command not allowed"),
        text("MISCONF errors writing to the AOF file"), text("BUSY running a script"), text("NOREPLICAS not enough"),
        redis_errors.ConnectionError("max number of clients reached"),
        text("Command # 1 (HGETALL k) of pipeline caused error: MISCONF errors"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:40],
)
def test_what_was_not_executed_or_is_unknown_is_asked_again(error: Exception):
    command = Command(error, error)
    assert connection().ask(command) == "answer"
    assert command.asked == 3


@pytest.mark.parametrize("waits", [False, True])
def test_an_error_that_was_waited_out_is_gone_without_the_collector(waits: bool):
    """redis-py raises what a local variable holds, so that the traceback holds its error."""
    raised: list[weakref.ref[Exception]] = []

    def command(*_: Any) -> str:
        if raised:
            return "answer"
        error = redis_errors.BusyLoadingError("loading the dataset")
        raised.append(weakref.ref(error))
        raise error

    made = connection()
    made._waiting.blpop = command  # type: ignore[method-assign]
    gc.disable()
    try:
        assert made.wait(["k"], 0.01) is False if waits else made.ask(command) == "answer"
        assert raised[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (redis_errors.AuthenticationError("WRONGPASS invalid"), ServerRefused),
        (text("NOAUTH required"), ServerRefused),
        (text("DB index is out of range"), ServerRefused),
        (redis_errors.NoPermissionError("this user has no permissions"), ServerRefused),
        (text("TAMPERED k is a string"), RecordTampered), (text("WRONGTYPE wrong kind of value"), RecordTampered),
        (text("ARGUMENTS too few"), StoreError), (text("ERR unknown command 'evalsha'"), StoreError),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_get_better_is_raised_at_once(error: Exception, kind: type[Exception]):
    command = Command(error)
    with pytest.raises(kind) as raised:
        connection().ask(command)
    assert type(raised.value) is kind
    assert command.asked == 1
    assert "/nowhere/s" in str(raised.value)


def test_a_full_server_refuses_what_brings_new_work():
    command = Command(redis_errors.OutOfMemoryError("command not allowed when used memory > 'maxmemory'"))
    with pytest.raises(StoreError, match="is full"):
        connection().ask(command, admits=True)


def test_an_outage_ends_the_patience():
    broken = [redis_errors.ConnectionError("refused")] * 1000
    with pytest.raises(StoreUnavailable, match=r"could not be used for 0\.1 s: refused"):
        connection(patience_s=0.1).ask(Command(*broken))


def test_a_server_that_never_answered_is_not_waited_for():
    command = Command(redis_errors.ConnectionError("refused"))
    with pytest.raises(StoreUnavailable, match="cannot be reached: refused"):
        connection(was_up=False).ask(command)
    assert command.asked == 1


def test_a_server_that_is_still_loading_is_waited_for_even_at_first():
    assert connection(was_up=False).ask(Command(redis_errors.BusyLoadingError("loading"))) == "answer"


def test_a_closed_connection_asks_nothing():
    closed, command = connection(), Command()
    closed.close()
    with pytest.raises(StoreUnavailable, match="is closed"):
        closed.ask(command)
    assert (command.asked, closed.wait(["k"], 5)) == (0, False)


def test_an_error_of_ours_passes_through():
    with pytest.raises(ZeroDivisionError):
        connection().ask(Command(ZeroDivisionError()))


def test_waiting_without_a_server_ends_with_the_time():
    assert connection().wait(["k"], 0.05) is False


def test_waiting_for_no_queue_takes_its_time():
    started = time.monotonic()
    assert connection().wait([], 0.05) is False
    assert time.monotonic() - started >= 0.05


def test_redis_py_repeats_nothing_by_itself():
    client = connection()._client
    assert client.get_retry().get_retries() == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("redis://user:secret@host:6380/2", "redis://host:6380/2"), ("unix://user:secret@/run/s", "unix:///run/s"),
        ("rediss://host", "rediss://host"), ({"host": "h", "password": "secret"}, "h:6379"),
        ({"unix_socket_path": "/run/s", "password": "secret"}, "unix:///run/s"),
    ],
    ids=str,
)
def test_addresses_are_shown_without_the_password(target: Any, address: str):
    assert address_of(target) == address
