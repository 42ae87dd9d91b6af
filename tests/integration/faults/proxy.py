"""A TCP proxy before a server's socket that does to connections what networks do, one word of a test at a time.

A client of redis-py sends a whole request and waits for the reply, so what comes from one side is one of either.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator

Verdict = int | None  # None: the reply is passed on; else: so many bytes of it, then the connection is reset


class Proxy:
    """`url` leads to the server until `freeze`, `hole` or `judge` say otherwise."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream.removeprefix("unix://")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}"
        self.judge: Callable[[bytes, bytes], Verdict] = lambda request, reply: None
        self.piece = 0  # replies and requests come in pieces of so many bytes; 0: as they are
        self.refuses = False  # new connections are reset
        self.broken = 0  # replies that were cut off
        self._frozen: set[socket.socket] = set()
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> int:
        """From now on the connections there are lead nowhere, and neither side hears of it. How many."""
        with self._lock:
            self._frozen.update(self._open)
            return len(self._open) // 2

    def cut(self) -> None:
        """A partition: the connections there are lead nowhere, and there are no new ones."""
        self.refuses = True
        self.freeze()

    def heal(self) -> None:
        self.refuses = False

    def close(self) -> None:
        self._closed = True
        self._listening.close()
        with self._lock:
            for end in self._open:
                end.close()

    # -- what happens to a connection -----------------------------------------------------------------
    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._closed:
                client, _ = self._listening.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.refuses:
                    _reset(client)
                    continue
                server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    server.connect(self._upstream)
                except OSError:
                    _reset(client)
                    continue
                with self._lock:
                    self._open += [client, server]
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        request = reply = b""
        with contextlib.suppress(OSError, ValueError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(1 << 16)
                    if client in self._frozen:
                        continue
                    if not data:
                        raise OSError("one side is gone")
                    if ready is client:
                        request, reply = (data if reply else request + data), b""
                        self._send(server, data)
                        continue
                    before, reply = len(reply), reply + data
                    allowed = self.judge(request, reply)
                    if allowed is None or allowed >= len(reply):
                        self._send(client, data)
                        continue
                    self.broken += 1
                    self._send(client, data[: max(0, allowed - before)])
                    _reset(client)
                    raise OSError("cut off")
        server.close()
        with contextlib.suppress(OSError):
            client.close()
        with self._lock:
            self._open = [end for end in self._open if end not in (client, server)]
            self._frozen -= {client, server}

    def _send(self, end: socket.socket, data: bytes) -> None:
        piece = self.piece or len(data) or 1
        for begin in range(0, len(data), piece):
            end.sendall(data[begin : begin + piece])


def _reset(end: socket.socket) -> None:
    """RST instead of FIN."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


@contextlib.contextmanager
def proxy_to(url: str) -> Iterator[Proxy]:
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
