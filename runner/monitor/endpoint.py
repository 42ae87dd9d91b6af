"""The port on which a process says how it does: /metrics, /healthz, /readyz. Any other path is not there.

Rule: it only reads, and whatever is wrong with an answer is an answer too: the process goes on. It has no password; on
addresses that others reach, a firewall or a proxy has to stand before it.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from runner.errors import ConfigError, SagarunError
from runner.monitor.exposition import exposition
from runner.store.ports import Store

log = logging.getLogger("sagarun.endpoint")

TEXT = "text/plain; charset=utf-8"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
LONGEST_S = 10.0  # for one request, so that nobody can hold a thread for ever


def parse_address(text: str) -> tuple[str, int]:
    """9464 and 127.0.0.1:9464 are for this machine only, :9464 is every (IPv4) address of it; also [::1]:9464."""
    host, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"{text!r} is no address: PORT is for this machine only, HOST:PORT or :PORT (all) for others")
    return (host.strip("[]") if colon else "127.0.0.1"), int(port)


class Endpoint:
    """Listens from `start` to `close`. `ready`: why the process should get no work ("": it may)."""

    def __init__(
        self, address: str, store: Store, *, version: str, ready: Callable[[], str] = lambda: ""
    ) -> None:
        self._address = parse_address(address)
        self._store = store
        self._version = version
        self._ready = ready
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens; the port that was found, where 0 was asked for."""
        if self._server is None:
            return ""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def start(self) -> None:
        """Raises ConfigError when the address cannot be had."""
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            timeout = LONGEST_S
            protocol_version = "HTTP/1.1"
            server_version, sys_version = "sagarun", ""

            def do_GET(self) -> None:
                status, kind, body = endpoint.answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None:
                log.debug(format, *args)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in endpoint._address[0] else socket.AF_INET

            def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
                log.debug("a request of %s broke off", client_address, exc_info=True)

        try:
            self._server = Server(self._address, Handler)
        except OSError as error:
            host, port = self._address
            raise ConfigError(f"cannot listen on {host or '*'}:{port}: {error.strerror or error}") from error
        # The poll interval is how long `shutdown` takes to be heard: half a second by default.
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="sagarun-endpoint", daemon=True).start()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type, body."""
        try:
            if path == "/healthz":
                return 200, TEXT, b"ok\n"
            if path == "/readyz":
                why = self._ready() or self._unreachable()
                return (503, TEXT, f"{why}\n".encode()) if why else (200, TEXT, b"ready\n")
            if path == "/metrics":
                return 200, EXPOSITION, exposition(self._store, self._version)
        except SagarunError as error:
            return 503, TEXT, f"{error}\n".encode()
        except Exception:
            log.exception("%s could not be answered", path)
            return 500, TEXT, b"it could not be answered; the log says why\n"
        return 404, TEXT, b"there are /metrics, /healthz and /readyz\n"

    def _unreachable(self) -> str:
        """A script is run, so it is known that the server answers, and to scripts."""
        try:
            self._store.now_ms()
            return ""
        except SagarunError as error:
            return str(error)

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Endpoint:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
