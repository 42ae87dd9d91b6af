"""The sandbox gateway as a process: found, started once however many ask, stopped, and gone when nobody needs it.

A running gateway holds an exclusive `flock` on the file beside its ledger, from before it answers until it has ended.
That lock alone decides who may run; the address file is only a hint, and is believed when the gateway at that address
names the same ledger and process (after a reboot the port may be anybody's).
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.gateway.api import GatewayServer
from workers.gateway.ledger import Ledger

IDLE_S = 15 * 60.0
START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0
_ANSWER_S = 5.0  # at a health check; one that is there but slow must not be taken for none
_POLL_S = 0.02  # while another process starts or ends a gateway
_DRAIN_S = 3.0
_LOG_BYTES = 1024 * 1024


class GatewayNotStarted(Exception):
    """The sandbox gateway could not be started."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gateway answers, and which one it is."""

    url: str
    pid: int
    ledger_id: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


def find(ledger: Path) -> Address | None:
    """The gateway that serves this ledger now, if one does."""
    address = _published(ledger)
    return address if address is not None and _answers(address) else None


def start(ledger: Path, *, idle_s: float = IDLE_S, port: int = 0) -> Address:
    """The gateway of this ledger, started in a session of its own if there is none. Forks: call it from one thread."""
    deadline = time.monotonic() + START_TIMEOUT_S
    with _lock_file(ledger) as lock:
        while True:
            address = find(ledger)
            if address is not None:
                return address
            if _take(lock):
                break
            if time.monotonic() > deadline:
                raise GatewayNotStarted(f"a gateway holds {_path(ledger, '.lock')}, but does not answer")
            time.sleep(_POLL_S)
        _fork(ledger, lambda ready: serve(ledger, idle_s=idle_s, port=port, ready=ready))
    address = find(ledger)
    if address is None:
        raise GatewayNotStarted(f"the gateway ended at once; see {_path(ledger, '.log')}")
    return address


def stop(ledger: Path) -> bool:
    """End the gateway of this ledger and wait until it is gone. False: there was none."""
    address = find(ledger)
    if address is None:
        return False
    os.kill(address.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    with _lock_file(ledger) as lock:
        while not _take(lock):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the gateway (process {address.pid}) does not end")
            time.sleep(_POLL_S)
    return True


def serve_here(ledger: Path, *, idle_s: float = IDLE_S, port: int = 0) -> None:
    """Be the gateway of this ledger, in the foreground."""
    with _lock_file(ledger) as lock:
        if not _take(lock):
            raise GatewayNotStarted(f"another gateway serves {ledger}")
        serve(ledger, idle_s=idle_s, port=port, ready=lambda: print(f"the sandbox gateway serves {ledger}", flush=True))


def serve(ledger_path: Path, *, idle_s: float, port: int, ready: Callable[[], None]) -> None:
    """Answer until told to stop, idle for too long, or without a ledger. The caller holds the lock."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started us may have blocked them
    ledger = Ledger(ledger_path)
    server = GatewayServer(("127.0.0.1", port))
    server.ledger = ledger
    address = Address(f"http://127.0.0.1:{server.server_address[1]}", os.getpid(), ledger.id)
    # The poll interval is how long `shutdown` takes to be heard.
    accepting = threading.Thread(target=server.serve_forever, args=(0.1,), name="accept", daemon=True)
    accepting.start()
    _publish(ledger_path, address)
    ready()
    while not stopped.wait(min(1.0, idle_s / 4)):
        if server.idle_s() > idle_s or ledger.is_gone() or _published(ledger_path) != address:
            break
    if _published(ledger_path) == address:
        _address_file(ledger_path).unlink()  # first: nobody new is sent to a gateway that ends
    server.shutdown()
    server.server_close()
    deadline = time.monotonic() + _DRAIN_S
    while server.idle_s() == 0.0 and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    ledger.close()


def _fork(ledger: Path, body: Callable[[Callable[[], None]], None]) -> None:
    """Run `body` in a process that outlives this one; return when it says that it is ready."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        _live_apart(ledger, body, reader, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        complaint = pipe.read().decode(errors="replace")
    if complaint:
        raise GatewayNotStarted(f"{complaint}; see {_path(ledger, '.log')}")


def _live_apart(ledger: Path, body: Callable[[Callable[[], None]], None], reader: int, writer: int) -> None:
    """The child's whole life. It leaves the terminal, the standard streams and the parent behind."""
    status = 1
    try:
        os.close(reader)
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _redirect(_path(ledger, ".log"))
        body(lambda: os.close(writer))  # a closed pipe without a word: ready
        status = 0
    except BaseException as error:
        traceback.print_exc()
        with contextlib.suppress(OSError):
            os.write(writer, f"{type(error).__name__}: {error}".encode())
    finally:
        sys.stderr.flush()
        os._exit(status)  # never back into the parent's code


def _redirect(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    for path, flags, stream in (
        (os.devnull, os.O_RDONLY, 0),
        (log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 1),
        (log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 2),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, stream)
        os.close(opened)


def _answers(address: Address) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=_ANSWER_S)
    try:
        connection.request("GET", "/healthz")
        health = json.loads(connection.getresponse().read())
        return (health.get("ledger"), health.get("pid")) == (address.ledger_id, address.pid)
    except (OSError, http.client.HTTPException, ValueError, AttributeError):
        return False  # nobody, or somebody else, at that port
    finally:
        connection.close()


def _publish(ledger: Path, address: Address) -> None:
    """Whole or not at all: a reader never sees half an address."""
    draft = _path(ledger, f".json.{address.pid}")
    draft.write_text(json.dumps(asdict(address)))
    draft.replace(_address_file(ledger))


def _published(ledger: Path) -> Address | None:
    """What the address file says. One that is missing or makes no sense says nothing: the lock is what counts."""
    try:
        return Address(**json.loads(_address_file(ledger).read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _lock_file(ledger: Path) -> Iterator[int]:
    ledger.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_path(ledger, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor  # a forked child has it too: the lock lives until both have closed it
    finally:
        os.close(descriptor)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _address_file(ledger: Path) -> Path:
    return _path(ledger, ".json")


def _path(ledger: Path, suffix: str) -> Path:
    return ledger.with_suffix(suffix)
