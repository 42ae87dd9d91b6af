"""One HTTP request over a connection of its own, and above all: whether any of it was sent.

What failed before the first byte of the request left cannot have had an effect (`NotSent`). What failed after it,
nobody can tell (`NoAnswer`). A connection is never used twice: on a kept one, a server that closes it just then would
make a request unknown that was never read. Nothing is sent again here, and nothing of the environment is heeded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpcore

from runner.worker.grants import Grants
from runner.worker.http.hosts import Match, Target

MAX_BODY_BYTES = 1024 * 1024
_FAILURES = (
    httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, httpcore.ProxyError, OSError,
)  # fmt: skip
logging.getLogger("httpcore").setLevel(logging.WARNING)  # at debug it writes down the headers of answers


class NotSent(Exception):
    """Not one byte of the request was sent. The text says why."""


class NoAnswer(Exception):
    """It was sent, or a part of it, and what came of it is not known. The text says why."""


class Refused(Exception):
    """The project does not allow it. Nothing was sent."""


@dataclass(slots=True)
class Answer:
    """`is_whole` is false where the body could not be read to its end, or is longer than is taken."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False


@dataclass(slots=True)
class _Progress:
    """How far a request has come. `trace` is told by httpcore."""

    is_sent: bool = False
    answer: Answer | None = None  # once its status and headers are there

    async def trace(self, name: str, info: Mapping[str, Any]) -> None:
        request = info.get("request")
        # A proxy that is asked for a tunnel has not got the request yet.
        if name.endswith("send_request_headers.started") and getattr(request, "method", b"") != b"CONNECT":
            self.is_sent = True


async def send(
    method: str, target: Target, headers: Iterable[tuple[str, str]], body: bytes, *, grants: Grants, timeout_s: float
) -> Answer:
    """Raises Refused, NotSent or NoAnswer; anything else is a bug. A cancellation before it was sent is NotSent."""
    match = grants.hosts.match(target)
    if match is None:
        raise Refused(f"{target.scheme}://{target.authority} is not among the hosts of http.allow in sagarun.yaml")
    if grants.proxy and target.is_address and not grants.hosts.permits(target.host, target, match):
        raise Refused(f"{target.host} is not on the internet, and http.allow in sagarun.yaml does not name it")
    progress = _Progress()
    try:
        async with asyncio.timeout(timeout_s), _pool(target, match, grants) as pool:
            return await _exchange(pool, method, target, headers, body, progress)
    except TimeoutError:
        if progress.answer is not None:
            return progress.answer
        failure = f"no answer within {timeout_s:.3g} s" if progress.is_sent else f"no connection in {timeout_s:.3g} s"
    except asyncio.CancelledError:
        if progress.is_sent:
            raise
        failure = "it was asked to stop"
    except _FAILURES as error:
        failure = str(error) or type(error).__name__
    # Not `from` the error: what a library says may repeat what was sent, and a traceback is recorded.
    raise (NoAnswer if progress.is_sent else NotSent)(failure) from None


async def _exchange(
    pool: httpcore.AsyncConnectionPool, method: str, target: Target, headers: Iterable[tuple[str, str]], body: bytes,
    progress: _Progress,
) -> Answer:
    url = httpcore.URL(
        scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
    )
    fields = [(name.encode(), value.encode()) for name, value in headers]
    extensions = {"trace": progress.trace}
    async with pool.stream(method, url, headers=fields, content=body, extensions=extensions) as response:
        answer = progress.answer = Answer(response.status, _fields_of(response.headers))
        with contextlib.suppress(*_FAILURES):
            async for part in response.aiter_stream():
                if len(answer.body) + len(part) > MAX_BODY_BYTES:
                    return answer
                answer.body += part
            answer.is_whole = _unpack(answer)
    return answer


def _unpack(answer: Answer) -> bool:
    """Of a server that compresses though it was not asked to. False: it does not come out whole."""
    if answer.headers.get("content-encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return True
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        answer.body = bytearray(unpacking.decompress(answer.body, MAX_BODY_BYTES))
    except zlib.error:
        return False
    return unpacking.eof


def _fields_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


@asynccontextmanager
async def _pool(target: Target, match: Match, grants: Grants) -> AsyncIterator[httpcore.AsyncConnectionPool]:
    options: dict[str, Any] = {"max_connections": 1, "max_keepalive_connections": 0}
    if target.scheme == "https":
        options["ssl_context"] = _tls(grants.ca_file and f"{grants.root}/{grants.ca_file}")
    if grants.proxy:
        # Who connects looks the name up, so only names are checked here, and addresses that stand in a URL.
        pool: httpcore.AsyncConnectionPool = httpcore.AsyncHTTPProxy(grants.proxy, **options)
    else:
        pool = httpcore.AsyncConnectionPool(network_backend=_Network(target, match, grants), **options)
    async with pool:
        yield pool


@cache
def _tls(ca_file: str) -> ssl.SSLContext:
    """Raises NotSent for a file of authorities that cannot be read; it is tried again the next time."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise NotSent(f"http.ca_file {ca_file} cannot be used: {error.strerror or error}") from None
    return context


class _Network(httpcore.AsyncNetworkBackend):
    """Looks the name up once, and connects to one of the addresses that are permitted."""

    def __init__(self, target: Target, match: Match, grants: Grants) -> None:
        self._target, self._match, self._grants = target, match, grants
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise NotSent(f"{host} is not found: {getattr(error, 'strerror', None) or error}") from None
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        hosts = self._grants.hosts
        permitted = [address for address in addresses if hosts.permits(address, self._target, self._match)]
        if not permitted:
            raise Refused(
                f"{host} leads to {', '.join(addresses)}, which is not on the internet, and http.allow in sagarun.yaml "
                "does not name that address"
            )
        for address in permitted[:-1]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError:
                continue
        return await self._backend.connect_tcp(permitted[-1], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
