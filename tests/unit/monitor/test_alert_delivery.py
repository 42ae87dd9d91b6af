"""Telling somebody: over a real socket and with a real program, and what is said when that goes wrong."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from runner.monitor import alert_delivery
from runner.monitor.alert_delivery import Notice, to_command, to_log, to_webhook

NOTICE = Notice("n1", "old", "firing", "old: too old", "shop", "queue_age", "mail", 9.0, 5.0, 1_000)
SECRET = "a secret of some length"


class Receiver:
    """Answers with the statuses that it was given, the last one for ever; keeps what it got."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                rest = receiver.statuses
                self.send_response(rest.pop(0) if len(rest) > 1 else rest[0])
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    made = Receiver(*getattr(request, "param", (204,)))
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def send(receiver: Receiver, secret: str = SECRET) -> tuple[bool, list[float]]:
    pauses: list[float] = []
    return to_webhook(NOTICE, receiver.url, lambda: secret, pause=pauses.append), pauses


def test_a_receiver_can_check_who_sent_it_and_when(receiver: Receiver):
    assert send(receiver)[0] == ""
    ((headers, body),) = receiver.got
    assert json.loads(body) == {
        "id": "n1", "alert": "old", "state": "firing", "message": "old: too old", "project": "shop",
        "when": "queue_age", "subject": "mail", "value": 9.0, "above": 5.0, "at_ms": 1000,
    }
    signed = headers["sagarun-timestamp"].encode() + b"." + body
    expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["sagarun-signature"] == expected
    assert headers["sagarun-delivery"] == "n1"


def test_without_a_secret_nothing_is_signed(receiver: Receiver):
    assert to_webhook(NOTICE, receiver.url, None) == ""
    assert "sagarun-signature" not in receiver.got[0][0]


@pytest.mark.parametrize("receiver", [(503, 429, 200)], indirect=True)
def test_a_receiver_that_is_not_well_is_asked_again(receiver: Receiver):
    assert send(receiver) == ("", [0.0, 1.0, 5.0])
    assert {headers["sagarun-delivery"] for headers, _ in receiver.got} == {"n1"}


@pytest.mark.parametrize("receiver", [(401,)], indirect=True)
def test_a_receiver_that_refuses_is_not(receiver: Receiver, caplog: pytest.LogCaptureFixture):
    assert send(receiver) == ("it answered 401", [0.0])
    assert "alert old was not taken by its webhook: it answered 401" in caplog.text


def test_nobody_there_is_told_and_the_address_is_not(caplog: pytest.LogCaptureFixture):
    why = to_webhook(NOTICE, "http://127.0.0.1:9/token-in-the-path", None, pause=lambda _: None)
    assert "Connection refused" in why
    assert "ConnectError" in caplog.text
    assert "token-in-the-path" not in caplog.text


def test_a_secret_that_is_missing_is_told(receiver: Receiver, caplog: pytest.LogCaptureFixture):
    def missing() -> str:
        raise LookupError("the environment variable ALERT_KEY is not set")

    assert to_webhook(NOTICE, receiver.url, missing)
    assert "ALERT_KEY is not set" in caplog.text
    assert receiver.got == []


def test_a_command_gets_the_notice(tmp_path: Path):
    code = "import os, sys; open('got', 'w').write(os.environ['SAGARUN_ALERT_STATE'] + sys.stdin.read())"
    assert to_command(NOTICE, [sys.executable, "-c", code], tmp_path) == ""
    text = (tmp_path / "got").read_text()
    assert text.startswith("firing{")
    assert json.loads(text.removeprefix("firing"))["alert"] == "old"


def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert to_command(NOTICE, [sys.executable, "-c", "print('no pager'); raise SystemExit(3)"], tmp_path)
    assert "the command for alert old failed: exit code 3: no pager" in caplog.text


def test_a_command_that_does_not_end_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(alert_delivery, "COMMAND_S", 0.2)
    assert to_command(NOTICE, ["sleep", "60"], tmp_path)
    assert "took longer than 0.2 s and was killed" in caplog.text


def test_a_command_that_is_not_there_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert to_command(NOTICE, ["./no-such-program"], tmp_path)
    assert "./no-such-program: No such file or directory" in caplog.text


def test_the_log_has_a_warning_and_later_that_it_is_over(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "sagarun.alert"):
        to_log(NOTICE)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "alert firing: old: too old")
    ]
