"""A server as a process: how it is started, and asked without a client library.

For the keeper, so standard library only. Redis commands of the product go through redis-py, never through `ask`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_APPENDFSYNC = {"strict": "always", "standard": "everysec"}


def server_command(binary: Path | str, socket_file: Path | str, data: Path | str, durability: str) -> list[str]:
    """A server on a private socket, without network. Durability none: nothing is written at all."""
    fsync = _APPENDFSYNC.get(durability)
    settings = {
        "port": "0",
        "unixsocket": str(socket_file),
        "unixsocketperm": "700",
        "dir": str(data),
        "daemonize": "no",
        "logfile": "",
        "save": "",
        "maxmemory-policy": "noeviction",
        "appendonly": "yes" if fsync else "no",
        "appendfsync": fsync or "no",
    }
    return [str(binary), *(word for name, value in settings.items() for word in (f"--{name}", value))]


def server_environment() -> dict[str, str]:
    """Ours, and room for freed memory: a script frees thousands of short texts at once, and glibc keeps 7 of a size."""
    return {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=1000", **os.environ}


def ask(socket_file: Path | str, *words: str, timeout_s: float = 1.0) -> bytes:
    """One command on a connection of its own, without a client library. The first piece of the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(str(socket_file))
        request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        connection.sendall(request.encode())
        return connection.recv(4096)


def answers(socket_file: Path | str) -> bool:
    """A server is there and has loaded its data."""
    try:
        return ask(socket_file, "PING").startswith(b"+PONG")
    except OSError:
        return False


def parent_death_signal() -> Callable[[], None] | None:
    """For Popen's preexec_fn: the child gets SIGTERM when the thread that started it ends. None: not here."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # before the fork: afterwards only async-signal-safe things are allowed
    parent = os.getpid()

    def bind() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return bind
