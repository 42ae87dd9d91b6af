"""One request over a real connection: whether anything of it was sent is known whatever happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.worker.grants import Grants
from runner.worker.http import connection
from runner.worker.http.connection import MAX_BODY_BYTES, Answer, NoAnswer, NotSent, Refused, send
from runner.worker.http.hosts import read_url
from tests.servers import PATIENCE_S
from tests.web import Web, certificate, free_port, web_service


@pytest.fixture
def web() -> Iterator[Web]:
    with web_service() as running:
        yield running


def ask(url: str, *, method: str = "POST", timeout_s: float = PATIENCE_S, allow: str = "", **grants: Any) -> Answer:
    target = read_url(url)
    granted = Grants(allow=(allow or f"{target.scheme}://{target.authority}",), **grants)
    headers = [("Host", target.authority), ("Content-Length", "4")]
    return asyncio.run(send(method, target, headers, b"body", grants=granted, timeout_s=timeout_s))


def test_a_request_is_sent_as_it_is_and_answered(web: Web):
    answer = ask(f"{web.url}/status/201?X-Trace=7")
    assert (answer.status, bytes(answer.body), answer.is_whole) == (201, b"said 201", True)
    assert answer.headers["x-trace"] == "7"
    assert (web.last.method, web.last.target, web.last.body) == ("POST", "/status/201?X-Trace=7", b"body")
    assert web.last.headers == {"host": f"localhost:{web.port}", "content-length": "4"}


def test_every_request_has_a_connection_of_its_own(web: Web):
    ports: set[int] = set()
    original = connection._Network.connect_tcp

    async def connect(self: Any, *args: Any, **options: Any) -> Any:
        stream = await original(self, *args, **options)
        ports.add(stream.get_extra_info("client_addr")[1])
        return stream

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection._Network, "connect_tcp", connect)
        for _ in range(3):
            ask(f"{web.url}/status/200")
    assert len(ports) == 3


# -- nothing was sent -------------------------------------------------------------------------------
def test_a_refused_connection_sent_nothing():
    with pytest.raises(NotSent, match=r"refused|failed"):
        ask(f"http://localhost:{free_port()}/")


def test_a_name_that_is_not_found_sent_nothing():
    with pytest.raises(NotSent, match=r"no-such-host\.invalid is not found"):
        ask("http://no-such-host.invalid/")


def test_a_connection_that_is_not_accepted_in_time_sent_nothing():
    """A listener whose queue is full does not answer at all, as a firewall that drops packets."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):
            each = waiting.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        time.sleep(0.05)
        with pytest.raises(NotSent, match=r"no connection in 0\.2 s"):
            ask(f"http://localhost:{full.getsockname()[1]}/", timeout_s=0.2)


def test_without_any_time_nothing_is_sent(web: Web):
    with pytest.raises(NotSent):
        ask(f"{web.url}/status/200", timeout_s=0)
    assert web.received == []


def test_who_speaks_no_tls_was_sent_nothing(web: Web):
    with pytest.raises(NotSent, match="SSL"):
        ask(f"https://localhost:{web.port}/")
    assert web.received == []


def test_a_certificate_that_nobody_vouches_for_sent_nothing(tmp_path: Path):
    _, context = certificate(tmp_path, "localhost")
    with web_service(context) as web:
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            ask(f"{web.url}/status/200")
        assert web.received == []


def test_a_certificate_of_somebody_else_sent_nothing(tmp_path: Path):
    pem, context = certificate(tmp_path, "example.com")
    with web_service(context) as web:
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            ask(f"{web.url}/status/200", root=str(tmp_path), ca_file=pem.name)
        assert web.received == []


def test_a_file_of_authorities_that_is_not_there_sent_nothing():
    with pytest.raises(NotSent, match=r"http\.ca_file .*missing\.pem cannot be used"):
        ask("https://localhost/", ca_file="missing.pem")


def test_an_authority_of_the_projects_own_is_trusted(tmp_path: Path):
    pem, context = certificate(tmp_path, "localhost")
    with web_service(context) as web:
        assert ask(f"{web.url}/status/200", root=str(tmp_path), ca_file=pem.name).status == 200


def test_who_is_asked_to_stop_before_anything_was_sent_says_so():
    async def stopped() -> None:
        target = read_url("http://localhost:1/")
        granted = Grants(allow=("http://localhost:1",))
        task = asyncio.create_task(send("POST", target, [], b"", grants=granted, timeout_s=PATIENCE_S))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(NotSent, match="asked to stop"):
        asyncio.run(stopped())


# -- something was sent -----------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["close", "reset", "nonsense"])
def test_a_connection_that_ends_after_the_request_was_sent_says_nothing(web: Web, path: str):
    with pytest.raises(NoAnswer):
        ask(f"{web.url}/{path}")
    assert len(web.received) == 1


@pytest.mark.parametrize("path", ["hang", "drip"])
def test_an_answer_that_does_not_come_in_time_says_nothing(web: Web, path: str):
    for timeout_s in (0.3, 3.0, 20.0):  # a busy machine may not even have sent it in the shortest
        with pytest.raises((NoAnswer, NotSent)) as raised:
            ask(f"{web.url}/{path}", timeout_s=timeout_s)
        if raised.type is NoAnswer:
            break
    assert str(raised.value) == f"no answer within {timeout_s:.3g} s"


def test_who_is_asked_to_stop_after_it_was_sent_knows_nothing(web: Web):
    async def stopped() -> None:
        target, granted = read_url(f"{web.url}/hang"), Grants(allow=(web.url,))
        task = asyncio.create_task(send("POST", target, [], b"", grants=granted, timeout_s=PATIENCE_S))
        while not web.received:
            await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stopped())


# -- what is answered -------------------------------------------------------------------------------
@pytest.mark.parametrize(("path", "status", "timeout_s"), [("half/500", 500, 2.0), ("truncated/201", 201, PATIENCE_S)])
def test_a_status_counts_although_its_body_does_not_come_whole(web: Web, path: str, status: int, timeout_s: float):
    answer = ask(f"{web.url}/{path}", timeout_s=timeout_s)
    assert (answer.status, answer.is_whole) == (status, False)


@pytest.mark.parametrize(
    ("size", "is_whole"), [(MAX_BODY_BYTES, True), (MAX_BODY_BYTES + 1, False), (9_000_000, False)]
)
def test_a_body_is_taken_up_to_a_size(web: Web, size: int, is_whole: bool):
    answer = ask(f"{web.url}/big/{size}")
    assert answer.is_whole is is_whole
    assert len(answer.body) <= MAX_BODY_BYTES


@pytest.mark.parametrize(("size", "is_whole"), [(50, True), (MAX_BODY_BYTES, True), (50_000_000, False)])
def test_a_body_that_was_compressed_is_unpacked_up_to_the_same_size(web: Web, size: int, is_whole: bool):
    answer = ask(f"{web.url}/gzip/{size}")
    assert answer.is_whole is is_whole
    assert len(answer.body) == min(size, MAX_BODY_BYTES)


# -- what is allowed --------------------------------------------------------------------------------
def test_a_host_that_is_not_on_the_list_is_refused(web: Web):
    with pytest.raises(Refused, match=r"http://localhost:\d+ is not among the hosts"):
        ask(f"{web.url}/status/200", allow="api.example.com")
    assert web.received == []


def test_a_name_that_leads_into_this_machine_is_refused(web: Web, monkeypatch: pytest.MonkeyPatch):
    """As a name does whose owner, or somebody who can forge answers about it, wants to look inside."""
    lead(monkeypatch, "shop.example.com", "127.0.0.1")
    with pytest.raises(Refused, match=r"shop\.example\.com leads to 127\.0\.0\.1"):
        ask(f"http://shop.example.com:{web.port}/status/200")
    assert web.received == []


def test_of_a_names_addresses_those_are_taken_that_are_permitted(web: Web, monkeypatch: pytest.MonkeyPatch):
    asked = lead(monkeypatch, "shop.example.com", "169.254.169.254", "127.0.0.1")
    target = read_url(f"http://shop.example.com:{web.port}/status/200")
    granted = Grants(allow=(f"http://shop.example.com:{web.port}", f"http://127.0.0.1:{web.port}"))
    answer = asyncio.run(send("GET", target, [("Host", "x")], b"", grants=granted, timeout_s=PATIENCE_S))
    assert answer.status == 200
    assert asked == ["shop.example.com"], "looked up once: a second answer could be another one"


def test_of_a_names_addresses_the_next_one_is_tried_when_one_does_not_answer(web: Web, monkeypatch: pytest.MonkeyPatch):
    lead(monkeypatch, "localhost", "127.0.0.2", "127.0.0.1")
    assert ask(f"{web.url}/status/200").status == 200


def lead(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> list[str]:
    """Have the name lead to these addresses. What was asked for is in the answer."""
    asked: list[str] = []
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host != name:
            return original(host, port, *rest, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


# -- by way of a proxy ------------------------------------------------------------------------------
@pytest.fixture
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that makes tunnels, and what it was told."""
    told: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with client:
            head = client.recv(65_536)
            told.append(head)
            method, target, _ = head.split(b" ", 2)
            if method != b"CONNECT":
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nvia")
                return
            if target.startswith(b"closed"):
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", int(target.rpartition(b":")[2]))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join(5)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", told
    listener.close()


def test_the_environments_proxy_is_not_heeded(web: Web, monkeypatch: pytest.MonkeyPatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://localhost:{free_port()}")
    assert ask(f"{web.url}/status/200").status == 200


def test_a_proxy_that_is_named_is_used(proxy: tuple[str, list[bytes]]):
    answer = ask("http://api.internal/x", proxy=proxy[0])
    assert bytes(answer.body) == b"via"
    assert proxy[1][0].startswith(b"POST http://api.internal:80/x HTTP/1.1\r\nHost: api.internal\r\n")


def test_through_a_proxy_tls_is_spoken_with_the_service_itself(proxy: tuple[str, list[bytes]], tmp_path: Path):
    pem, context = certificate(tmp_path, "api.internal")
    with web_service(context) as web:
        url = f"https://api.internal:{web.port}/status/200"
        assert ask(url, proxy=proxy[0], root=str(tmp_path), ca_file=pem.name).status == 200
        assert web.last.body == b"body"
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            ask(url, proxy=proxy[0])


def test_a_proxy_that_makes_no_tunnel_was_sent_nothing(proxy: tuple[str, list[bytes]]):
    with pytest.raises(NotSent, match="403"):
        ask("https://closed.internal/", proxy=proxy[0])


def test_a_proxy_does_not_widen_the_list(proxy: tuple[str, list[bytes]]):
    with pytest.raises(Refused):
        ask("https://evil.example.com/", allow="api.internal", proxy=proxy[0])
    for address in ("169.254.169.254", "127.0.0.1", "[::1]", "10.0.0.7"):
        with pytest.raises(Refused, match="not on the internet"):
            ask(f"https://{address}/", allow="*", proxy=proxy[0])
    assert proxy[1] == []
