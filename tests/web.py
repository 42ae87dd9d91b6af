"""A web service for tests, on a real socket: it does to a connection whatever can be done, and writes down what came.

What it does is in the path: /status/404, /echo, /json, /hang, /reset, /close … Nothing here knows sagarun.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Received:
    """A request. Names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


@dataclass
class Web:
    """`over` lets go whoever hangs."""

    port: int
    scheme: str = "http"
    received: list[Received] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def last(self) -> Received:
        return self.received[-1]


def answer(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        web = cast(_Server, self.server).web
        with contextlib.suppress(OSError):
            request = self._receive()
            if request is not None:
                web.received.append(request)
                self._act(web, request)

    def _receive(self) -> Received | None:
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.request.recv(65_536)
            if not part:
                return None
            data += part
            if not data[:1].isalpha():  # somebody speaks TLS here
                self.request.sendall(answer(400, b"what is this?"))
                return None
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += self.request.recv(65_536)
        method, target, _ = first.split(" ")
        return Received(method, target, headers, body)

    def _act(self, web: Web, request: Received) -> None:
        path = urlsplit(request.target).path
        verb, _, rest = path.removeprefix("/").partition("/")
        query = {name: values[0] for name, values in request.query.items()}
        action = getattr(self, f"do_{verb}", None)
        sent: Any = action(web, request, rest, query) if action else answer(404, b"no such thing")
        if isinstance(sent, bytes):
            self.request.sendall(sent)

    def do_status(self, _web: Web, _request: Received, rest: str, query: dict[str, str]) -> bytes:
        extra = [f"{name}: {value}" for name, value in query.items()]
        return answer(int(rest), b"" if rest in ("204", "304") else b"said " + rest.encode(), *extra)

    def do_json(self, _web: Web, request: Received, rest: str, _query: dict[str, str]) -> bytes:
        """Its body, or what is behind the slash, as the body of a JSON answer."""
        return answer(200, request.body or rest.encode(), "Content-Type: application/json; charset=utf-8")

    def do_echo(self, _web: Web, request: Received, rest: str, _query: dict[str, str]) -> bytes:
        """Everything that was sent; in the headers too. /echo/500 with that status."""
        found = {"method": request.method, "target": request.target, "headers": request.headers,
                 "body": request.body.decode("latin-1")}  # fmt: skip
        extra = [f"Echo-{name}: {value}" for name, value in request.headers.items()]
        return answer(int(rest or 200), json.dumps(found).encode(), "Content-Type: application/json", *extra)

    def do_text(self, _web: Web, _request: Received, rest: str, query: dict[str, str]) -> bytes:
        """/text/HEX?type=…: these bytes."""
        return answer(200, bytes.fromhex(rest), f"Content-Type: {query.get('type', 'text/plain')}", "Set-Cookie: a=b")

    def do_big(self, _web: Web, _request: Received, rest: str, _query: dict[str, str]) -> bytes:
        return answer(200, b"x" * int(rest), "Content-Type: text/plain")

    def do_gzip(self, _web: Web, _request: Received, rest: str, _query: dict[str, str]) -> bytes:
        return answer(200, gzip.compress(b"x" * int(rest)), "Content-Type: text/plain", "Content-Encoding: gzip")

    def do_truncated(self, _web: Web, _request: Received, rest: str, _query: dict[str, str]) -> bytes:
        return answer(int(rest), b"the beginning", length=1_000)

    def do_redirect(self, _web: Web, _request: Received, rest: str, query: dict[str, str]) -> bytes:
        return answer(int(rest), b"", f"Location: {query['to']}")

    def do_second(self, web: Web, request: Received, rest: str, _query: dict[str, str]) -> bytes | None:
        """The first time there is no answer, and then there is this one."""
        asked = [each for each in web.received if each.target == request.target]
        return answer(200, rest.encode(), "Content-Type: application/json") if len(asked) > 1 else None

    def do_hang(self, web: Web, _request: Received, _rest: str, _query: dict[str, str]) -> None:
        web.over.wait(30)

    def do_half(self, web: Web, _request: Received, rest: str, _query: dict[str, str]) -> None:
        """Status and headers, and then nothing."""
        self.request.sendall(answer(int(rest), b"the beginning", length=1_000))
        web.over.wait(30)

    def do_drip(self, web: Web, _request: Received, _rest: str, _query: dict[str, str]) -> None:
        """A byte every now and then: each is in time, and all of it never ends."""
        for byte in answer(200, b"x" * 1_000):
            self.request.sendall(bytes([byte]))
            if web.over.wait(0.05):
                return

    def do_close(self, _web: Web, _request: Received, _rest: str, _query: dict[str, str]) -> None:
        return

    def do_reset(self, _web: Web, _request: Received, _rest: str, _query: dict[str, str]) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def do_nonsense(self, _web: Web, _request: Received, _rest: str, _query: dict[str, str]) -> bytes:
        return b"220 mail.example.com ready\r\n"


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    web: Web
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        return connection, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is not None:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except (ssl.SSLError, OSError):
                return
        super().finish_request(request, client_address)
        if self.tls is not None:
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no news."""


@contextlib.contextmanager
def web_service(tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.web = Web(server.server_address[1], "https" if tls else "http")
    server.tls = tls
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.web
    finally:
        server.web.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path, *names: str) -> tuple[Path, ssl.SSLContext]:
    """A certificate for these hosts that vouches for itself: its file, and a server's context with it."""
    pem, key = folder / "cert.pem", folder / "key.pem"
    alternatives = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(pem), "-subj", f"/CN={names[0]}",
         "-addext", f"subjectAltName={alternatives}"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    return pem, context


def free_port() -> int:
    """Nobody listens there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
