"""The gateway over HTTP, as a real process: its routes, its steering tokens, and what it refuses to understand."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.servers import PATIENCE_S, until
from tests.unit.workers.programs import gateway_program
from workers.gateway import process

CHARGE = {"amount": 500, "currency": "USD", "token": "tok_valid", "reference": "ORD-1"}


@dataclass
class Reply:
    """An answer that came."""

    status: int
    body: dict[str, Any]
    headers: http.client.HTTPMessage


@pytest.fixture
def port(gateway: str) -> int:
    found = urlsplit(gateway).port
    assert found is not None
    return found


@pytest.fixture
def silent_port(ledger: Path) -> int:
    """Of a gateway whose silences last half a minute."""
    assert gateway_program("start").returncode == 0
    address = process.find(ledger)
    assert address is not None
    found = urlsplit(address.url).port
    assert found is not None
    return found


def ask(port: int, method: str, path: str, *, key: str = "", body: Any = None) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        connection.request(method, path, content, {"Idempotency-Key": key} if key else {})
        response = connection.getresponse()
        return Reply(response.status, json.loads(response.read()), response.headers)
    finally:
        connection.close()


def charge(port: int, key: str = "run/charge", *, token: str = "tok_valid") -> Reply:
    return ask(port, "POST", "/v1/charges", key=key, body={**CHARGE, "token": token})


@contextmanager
def waiting_client(port: int, token: str) -> Iterator[socket.socket]:
    """It has asked for a charge that gets no answer."""
    body = json.dumps({**CHARGE, "token": token}).encode()
    head = f"POST /v1/charges HTTP/1.1\r\nIdempotency-Key: run/charge\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode() + body)
        yield client


def by_key(key: str, verb: str = "") -> str:
    return f"/v1/charges/by-key/{quote(key, safe='')}{verb}"


def charges(port: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(port, "GET", "/v1/ledger?reference=ORD-1").body["charges"]
    return found


def test_a_charge_is_made_found_and_given_back_under_a_key_with_a_slash(port: int):
    made = charge(port)
    assert (made.status, made.body["status"]) == (201, "succeeded")
    assert ask(port, "GET", by_key("run/charge")).body == made.body
    assert ask(port, "POST", by_key("run/charge", "/refund"), key="r").body["status"] == "refunded"


def test_a_replay_says_that_it_is_one(port: int):
    assert charge(port).headers["Idempotent-Replayed"] is None
    assert charge(port).headers["Idempotent-Replayed"] == "true"


def test_a_sealed_key_is_refused(port: int):
    assert ask(port, "POST", by_key("run/charge", "/seal")).body["status"] == "sealed"
    assert charge(port).status == 409


def test_a_part_of_a_charge_is_given_back(port: int):
    payment = charge(port).body["id"]
    reply = ask(port, "POST", f"/v1/charges/{payment}/refunds", key="r", body={"amount": 200})
    assert (reply.status, reply.body["amount"], charges(port)[0]["refunded"]) == (201, 200, 200)


def test_a_declined_card_is_402(port: int):
    reply = charge(port, token="tok_declined")
    assert (reply.status, reply.body["error"]["code"]) == (402, "card_declined")


def test_an_unavailable_gateway_has_not_opened_its_ledger(port: int):
    reply = charge(port, token="tok_unavailable")
    assert (reply.status, reply.body["error"]["code"]) == (503, "unavailable")
    assert ask(port, "GET", by_key("run/charge")).status == 404


def test_a_charge_without_an_answer_is_in_the_ledger_while_the_client_still_waits(silent_port: int):
    with waiting_client(silent_port, "tok_no_answer_charged") as client:
        until(lambda: [entry["status"] for entry in charges(silent_port)] == ["succeeded"], "it is in the ledger")
        assert charge(silent_port, token="tok_no_answer_charged").headers["Idempotent-Replayed"] == "true"
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
    assert len(charges(silent_port)) == 1


def test_a_lost_charge_is_made_by_the_second_request(port: int):
    with pytest.raises(http.client.RemoteDisconnected):
        charge(port, token="tok_no_answer_lost")
    assert charges(port) == []
    assert charge(port, token="tok_no_answer_lost").status == 201
    assert len(charges(port)) == 1


def test_a_silent_request_ends_when_its_client_hangs_up(silent_port: int):
    """Else a thousand impatient clients would leave a thousand threads behind, and no idle gateway would ever end."""
    with waiting_client(silent_port, "tok_no_answer_lost") as client:
        client.shutdown(socket.SHUT_WR)
        client.settimeout(20)  # a client that stays is hung up on after half a minute
        assert client.recv(100) == b""


def test_twenty_clients_with_one_key_make_one_charge(port: int):
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: charge(port), range(20)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body["id"] for reply in replies}) == 1
    assert len(charges(port)) == 1


def test_a_kept_connection_answers_without_delay(port: int):
    """Head and body in two packets meet Nagle's algorithm and the delayed ACK: 40 ms for each answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    took_s = []
    for _ in range(50):
        began_s = time.monotonic()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        took_s.append(time.monotonic() - began_s)
    connection.close()
    assert min(took_s[10:]) < 0.03  # the kernel acknowledges the first ones at once; a busy machine delays some


@pytest.mark.parametrize(
    ("key", "body", "complaint"),
    [
        ("", CHARGE, "Idempotency-Key"),
        ("k" * 513, CHARGE, "Idempotency-Key"),
        ("k", b"{", "not JSON"),
        ("k", b"[]", "JSON object"),
        ("k", {**CHARGE, "amount": 0}, "amount"),
        ("k", {**CHARGE, "amount": 5.0}, "amount"),
        ("k", {**CHARGE, "amount": True}, "amount"),
        ("k", {**CHARGE, "currency": "usd"}, "currency"),
        ("k", {**CHARGE, "token": None}, "token"),
        ("k", b" " * 70_000, "Content-Length"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_says_why(port: int, key: str, body: Any, complaint: str):
    reply = ask(port, "POST", "/v1/charges", key=key, body=body)
    assert (reply.status, reply.body["error"]["code"]) == (400, "bad_request")
    assert complaint in reply.body["error"]["message"]
    assert charges(port) == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("GET", "/v1/charges"), ("POST", "/v1/charges/by-key/x")])
def test_an_unknown_route_is_404(port: int, method: str, path: str):
    assert ask(port, method, path).body["error"]["code"] == "no_route"
