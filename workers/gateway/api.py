"""The sandbox gateway over HTTP: routes, the checks of a request, and the silences that its tokens ask for.

Errors are `{"error": {"code", "message", "details"}}`. A 4xx and a 503 with a code of this gateway promise that the
request took no effect; that promise is what the client's exceptions rest on. Anything else promises nothing.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from workers.gateway import tokens
from workers.gateway.ledger import Answer, Ledger, refusal

_MAX_BODY = 64 * 1024
_SILENCE_S = 30.0  # a client that never gives up is hung up on
_SILENCE_VARIABLE = "GATEWAY_SILENCE_S"
_CURRENCY = re.compile(r"[A-Z]{3}")


class _NoAnswer(Exception):
    """The sandbox keeps silent until the client gives up."""


class _BadRequest(Exception):
    """The request cannot be understood."""


class GatewayServer(ThreadingHTTPServer):
    """A thread a connection, over one ledger; knows when it was last asked for something."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512  # a thousand orders may arrive at once; the default of 5 would refuse them
    ledger: Ledger

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address, _Handler)
        self._counter = threading.Lock()
        self._active = 0
        self._last_request = time.monotonic()

    def idle_s(self) -> float:
        """Seconds since the last request ended; 0 while one is being answered."""
        with self._counter:
            return 0.0 if self._active else time.monotonic() - self._last_request

    @contextmanager
    def counted(self) -> Iterator[None]:
        """A request is being answered: the program is not idle."""
        with self._counter:
            self._active += 1
        try:
            yield
        finally:
            with self._counter:
                self._active -= 1
                self._last_request = time.monotonic()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is everyday life here: the tokens make it do so.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection. `ask` finds the route; a route returns an `Answer` or keeps silent."""

    server: GatewayServer
    protocol_version = "HTTP/1.1"
    server_version = "SandboxGateway/1"
    timeout = 120  # of an idle connection, well above the client's keep-alive
    disable_nagle_algorithm = True  # head and body are two packets; the second would wait 40 ms for a delayed ACK

    def do_GET(self) -> None:
        self._ask()

    def do_POST(self) -> None:
        self._ask()

    def log_message(self, format: str, *args: Any) -> None:
        sys.stderr.write(f"{self.log_date_time_string()} {format % args}\n")

    def _ask(self) -> None:
        with self.server.counted():
            try:
                answer = self._answer()
            except _BadRequest as problem:
                answer = refusal(400, "bad_request", str(problem))
            except _NoAnswer:
                self._keep_silent()
                return
            except Exception as error:  # a bug of the sandbox: the caller must not read it as a no
                self.log_error("%s: %s", type(error).__name__, error)
                answer = refusal(500, "internal", f"{type(error).__name__}: {error}")
            self._send(answer)

    def _answer(self) -> Answer:
        body = self._body()  # always read: what is left would be taken for the next request
        if self.server.ledger.is_gone():
            return refusal(500, "ledger_gone", "the ledger's file was removed; this gateway is about to end")
        if self.headers.get("Gateway-Ledger", self.server.ledger.id) != self.server.ledger.id:
            return refusal(421, "misdirected", "this gateway keeps another ledger; it did nothing")
        url = urlsplit(self.path)
        request = _Request(self, body, parse_qs(url.query))
        for method, pattern, route in _ROUTES:
            named = _match(pattern, url.path) if method == self.command else None
            if named is not None:
                return route(self.server.ledger, request, *named)
        return refusal(404, "no_route", f"{self.command} {url.path} is not served")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            raise _BadRequest(f"a Content-Length of at most {_MAX_BODY} is needed")
        return self.rfile.read(int(length))

    def _send(self, answer: Answer) -> None:
        content = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if answer.replayed:
            self.send_header("Idempotent-Replayed", "true")
        self.end_headers()
        self.wfile.write(content)

    def _keep_silent(self) -> None:
        """Wait until the client hangs up, however patient it is: no timeout of its own has to be known here.

        A test lets the sandbox hang up first: a client that gives up cannot know how far its request has come.
        """
        self.log_request("no answer")
        silence_s = float(os.environ.get(_SILENCE_VARIABLE, _SILENCE_S))
        select.select([self.connection], [], [], silence_s)
        self.close_connection = True


def _match(pattern: str, path: str) -> list[str] | None:
    """What stands for each `*` of the pattern, or None where the path is another. A quoted slash ends no segment."""
    expected, given = pattern.split("/"), path.split("/")
    if len(expected) != len(given) or any(e not in ("*", g) for e, g in zip(expected, given, strict=True)):
        return None
    return [unquote(g) for e, g in zip(expected, given, strict=True) if e == "*"]


class _Request:
    """What a route may ask of a request. Complains in words that name the field."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes, query: dict[str, list[str]]) -> None:
        self._headers = handler.headers
        self._body = body
        self.query = query

    @property
    def key(self) -> str:
        key = self._headers.get("Idempotency-Key", "").strip()
        if not key or len(key) > 512:
            raise _BadRequest("an Idempotency-Key header of at most 512 characters is needed")
        return key

    def fields(self) -> dict[str, Any]:
        try:
            fields = json.loads(self._body or b"{}")
        except ValueError as error:
            raise _BadRequest(f"the body is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise _BadRequest("the body must be a JSON object")
        return fields

    def amount(self) -> int:
        amount = self.fields().get("amount")
        if type(amount) is not int or not 0 < amount <= 10**12:
            raise _BadRequest("amount must be a positive whole number of minor units")
        return amount

    def text(self, name: str, *, default: str | None = None) -> str:
        value = self.fields().get(name, default)
        if not isinstance(value, str) or len(value) > 200:
            raise _BadRequest(f"{name} must be a string of at most 200 characters")
        return value


def _create_charge(ledger: Ledger, request: _Request, *, capture: bool = True) -> Answer:
    key, amount, token = request.key, request.amount(), request.text("token")
    currency, reference = request.text("currency"), request.text("reference", default="")
    if not _CURRENCY.fullmatch(currency):
        raise _BadRequest("currency must be three capital letters, such as USD")
    behaviour = tokens.behaviour(token)
    if behaviour.unavailable:
        return refusal(503, "unavailable", "down for maintenance; nothing was charged")
    if behaviour.silent == "lost" and ledger.is_first(f"charge {key}"):
        raise _NoAnswer
    answer = ledger.charge(
        key, amount=amount, currency=currency, token=token, reference=reference, capture=capture
    )
    if behaviour.silent == "charged" and answer.status == 201 and not answer.replayed:
        raise _NoAnswer
    return answer


def _create_authorisation(ledger: Ledger, request: _Request) -> Answer:
    return _create_charge(ledger, request, capture=False)


def _capture(ledger: Ledger, _: _Request, key: str) -> Answer:
    answer = ledger.capture(key)
    if answer.status == 200 and not answer.replayed and tokens.behaviour(ledger.token_of(key)).silent == "captured":
        raise _NoAnswer
    return answer


def _refund_charge(ledger: Ledger, request: _Request, charge_id: str) -> Answer:
    return ledger.refund(charge_id, amount=request.amount(), refund_key=request.key)


def _show_ledger(ledger: Ledger, request: _Request) -> Answer:
    return Answer(200, ledger.entries(request.query.get("reference", [None])[0]))


_Route = Callable[..., Answer]  # of the ledger, the request, and what stands for each "*"
_ROUTES: tuple[tuple[str, str, _Route], ...] = (
    ("GET", "/healthz", lambda ledger, _: Answer(200, {"status": "ok", "ledger": ledger.id, "pid": os.getpid()})),
    ("GET", "/v1/ledger", _show_ledger),
    ("POST", "/v1/charges", _create_charge),
    ("POST", "/v1/authorisations", _create_authorisation),
    ("POST", "/v1/charges/by-key/*/capture", _capture),
    ("GET", "/v1/charges/by-key/*", lambda ledger, _, key: ledger.find(key)),
    ("POST", "/v1/charges/by-key/*/seal", lambda ledger, _, key: ledger.seal(key)),
    ("POST", "/v1/charges/by-key/*/refund", lambda ledger, request, key: ledger.cancel(key, refund_key=request.key)),
    ("POST", "/v1/charges/*/refunds", _refund_charge),
)
