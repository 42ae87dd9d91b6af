"""The gateway's client: which failures promise that nothing happened, and who starts the sandbox."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from runner import NoEffectError
from tests.unit.workers.programs import gateway_program
from workers.gateway import client, process


@pytest.fixture
def pretender(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Something at PAYMENT_GATEWAY_URL that answers every request with these bytes, and hangs up."""
    answer = b""
    server = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("PAYMENT_GATEWAY_URL", f"http://127.0.0.1:{server.getsockname()[1]}/")

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as request:
                length = 0
                for line in iter(request.readline, b"\r\n"):  # the whole of it: what is unread would reset the answer
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                request.read(length)
                connection.sendall(answer)

    def say(content: bytes) -> None:
        nonlocal answer
        answer = content

    thread = threading.Thread(target=serve)
    thread.start()
    yield say
    server.shutdown(socket.SHUT_RDWR)  # wakes the accept
    server.close()
    thread.join()


def http_answer(status: int, body: Any, *, kind: str = "application/json") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    return head.encode() + content


def charge(key: str = "run/charge") -> dict[str, Any]:
    return client.charge(key, amount=500, currency="USD", token="tok_valid", reference="ORD-1")


def test_a_gateway_that_refuses_the_connection_was_sent_nothing(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("PAYMENT_GATEWAY_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(NoEffectError, match=f"127.0.0.1:{port} cannot be reached"):
        charge()


def test_a_gateway_that_says_unavailable_has_done_nothing(pretender: Callable[[bytes], None]):
    pretender(http_answer(503, {"error": {"code": "unavailable", "message": "later", "details": {}}}))
    with pytest.raises(NoEffectError, match="later"):
        charge()


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(503, b"<h1>Service Unavailable</h1>", kind="text/html"),
        http_answer(503, {"error": "unavailable"}),
        http_answer(500, {"error": {"code": "internal", "message": "", "details": {}}}),
        http_answer(422, {"error": {"code": "key_reused", "message": "", "details": {}}}),
        http_answer(404, {"error": {"code": "no_route", "message": "", "details": {}}}),
        http_answer(502, b""),
    ],
    ids=["a proxy's 503", "a 503 in another form", "500", "a key that was used otherwise", "no route", "502"],
)
def test_any_other_error_promises_nothing(pretender: Callable[[bytes], None], answer: bytes):
    pretender(answer)
    with pytest.raises(httpx.HTTPStatusError):
        charge()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{"], ids=["none", "half"])
def test_a_connection_that_is_dropped_promises_nothing(pretender: Callable[[bytes], None], answer: bytes):
    pretender(answer)
    with pytest.raises(httpx.TransportError):
        charge()


def test_a_definite_no_carries_the_gateways_words(pretender: Callable[[bytes], None]):
    pretender(http_answer(402, {"error": {"code": "card_declined", "message": "no money", "details": {"x": 1}}}))
    with pytest.raises(client.Refused) as caught:
        charge()
    assert (caught.value.code, caught.value.message, caught.value.details) == ("card_declined", "no money", {"x": 1})


def test_the_sandbox_is_started_by_the_first_request(ledger: Path):
    assert charge()["status"] == "succeeded"
    assert process.find(ledger) is not None


def test_twenty_threads_that_come_first_start_one_sandbox(ledger: Path):
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(charge, [f"run{number}/charge" for number in range(20)]))
    assert len({answer["id"] for answer in made}) == 20
    address = process.find(ledger)
    assert address is not None
    with httpx.Client(trust_env=False) as http:
        assert len(http.get(f"{address.url}/v1/ledger?reference=ORD-1").json()["charges"]) == 20


def test_a_port_that_another_projects_sandbox_has_by_now_is_not_charged(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    charge("run1/charge")
    old = process.find(ledger)
    assert old is not None
    process.stop(ledger)
    other = tmp_path / "other" / "gateway.db"
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("GATEWAY_DB", str(other))
        assert gateway_program("start", "--port", str(old.port)).returncode == 0
    try:
        charge("run2/charge")
        with httpx.Client(trust_env=False) as http:
            assert http.get(f"{old.url}/v1/ledger?reference=ORD-1").json()["charges"] == []
    finally:
        process.stop(other)


def test_no_proxy_of_the_environment_comes_between(ledger: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert charge()["status"] == "succeeded"
    assert process.find(ledger) is not None


def test_a_sandbox_that_cannot_start_was_sent_nothing_and_its_complaint_is_passed_on(ledger: Path):
    ledger.parent.write_text("a file where the folder should be")
    with pytest.raises(NoEffectError, match=r"did not start: .*File exists"):
        charge()
    ledger.parent.unlink()


@pytest.mark.parametrize("url", ["nonsense", "ftp://gateway.example", "http://gateway.example:port"])
def test_a_url_that_cannot_be_asked_promises_that_nothing_happened(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PAYMENT_GATEWAY_URL", url)
    with pytest.raises(NoEffectError, match=r"PAYMENT_GATEWAY_URL .* is not the URL of a payment gateway"):
        charge()
