"""The port for metrics and health: asked over a socket, as Prometheus and a service manager ask."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import ConfigError, StoreUnavailable
from runner.monitor.endpoint import Endpoint, parse_address
from tests.desk import Desk
from tests.servers import PATIENCE_S


class State:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.why = ""
        self.endpoint = Endpoint("127.0.0.1:0", desk.store, version="1.2.3", ready=lambda: self.why)

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(self.endpoint.url + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    made = State(Desk(tmp_path))
    with made.endpoint:
        yield made


def test_metrics_are_those_of_this_moment(state: State):
    state.desk.run()
    status, text = state.ask("/metrics")
    assert status == 200
    assert 'sagarun_runs_finished_total{status="completed",version="1.2.0",workflow="order"} 1.0' in text


def test_a_process_that_answers_is_alive(state: State):
    assert state.ask("/healthz") == (200, "ok\n")
    assert state.ask("/healthz", "HEAD") == (200, "")


def test_a_process_that_stops_is_not_ready(state: State):
    assert state.ask("/readyz") == (200, "ready\n")
    state.why = "it is stopping"
    assert state.ask("/readyz") == (503, "it is stopping\n")
    assert state.ask("/healthz")[0] == 200


def test_a_server_that_is_away_makes_it_unready_and_is_told(state: State, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object) -> int:
        raise StoreUnavailable("nobody answers")

    monkeypatch.setattr(state.desk.store, "now_ms", away)
    monkeypatch.setattr(state.desk.store, "figures", away)
    assert state.ask("/readyz") == (503, "nobody answers\n")
    assert state.ask("/metrics") == (503, "nobody answers\n")
    assert state.ask("/healthz")[0] == 200


def test_a_bug_is_an_answer_and_the_process_goes_on(state: State, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(state.desk.store, "figures", lambda *_: 1 // 0)
    assert state.ask("/metrics")[0] == 500
    assert state.ask("/healthz")[0] == 200


def test_other_paths_are_not_there(state: State):
    assert state.ask("/")[0] == 404


def test_an_address_that_is_taken_is_told(state: State):
    port = state.endpoint.url.rpartition(":")[2]
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: "):
        Endpoint(port, state.desk.store, version="1.2.3").start()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("9464", ("127.0.0.1", 9464)), (":9464", ("", 9464)), ("10.0.0.1:1", ("10.0.0.1", 1)), ("[::1]:94", ("::1", 94))],
)
def test_addresses(text: str, expected: tuple[str, int]):
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["x", "localhost", "localhost:http", ":70000", "-1"])
def test_what_is_no_address_is_told(text: str):
    with pytest.raises(ConfigError, match="is no address"):
        parse_address(text)
