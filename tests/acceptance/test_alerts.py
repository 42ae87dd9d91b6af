"""Metrics and alerts end to end: engines as processes, a receiver behind a socket, a run that needs a person."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runner.monitor.alert_delivery import signature
from tests.acceptance.program import Project, await_line
from tests.servers import PATIENCE_S, until

SECRET = "the-key-that-signs-alerts"
CONFIG = """
secrets: {ALERT_KEY: {env: ALERT_KEY}}
alerts:
  every: 1s
  webhook: {url: "%s", secret: ALERT_KEY}
  rules:
    - {name: stuck, when: stuck_runs}
    - {name: slow, when: queue_age, above: 5m}
"""


class Receiver:
    def __init__(self) -> None:
        self.got: list[dict[str, object]] = []
        self.forged = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                expected = signature(SECRET, self.headers["Sagarun-Timestamp"], body)
                receiver.forged += self.headers["Sagarun-Signature"] != expected
                receiver.got.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    def told(self) -> list[tuple[object, object]]:
        return [(notice["alert"], notice["state"]) for notice in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_a_port_for_metrics_answers_and_a_wrong_address_is_refused_before_anything_starts(project: Project):
    refused = project.sagarun("engine", "--metrics", "nonsense", code=2)
    assert "'nonsense' is no address" in refused.err
    assert "engine and" not in refused.err
    engine = project.start("engine", "--metrics", "127.0.0.1:0")
    (line,) = [line for line in await_line(engine, "metrics on", of="stderr") if line.startswith("metrics on")]
    url = line.split()[2].removesuffix("/metrics;")
    with urllib.request.urlopen(f"{url}/readyz", timeout=PATIENCE_S) as answer:
        assert answer.read() == b"ready\n"
    with urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE_S) as answer:
        assert b'sagarun_processes{kind="engine"} 1.0' in answer.read()


def test_a_run_that_needs_a_person_is_told_once_by_two_engines_and_so_is_its_end(project: Project, receiver: Receiver):
    with (project.root / "sagarun.yaml").open("a") as file:
        file.write(CONFIG % f"http://127.0.0.1:{receiver.server.server_port}/hook")
    project.environment["ALERT_KEY"] = SECRET
    ended = project.sagarun("definitions/order.yaml", "--case", "refund_refused", "--format", "json", code=3)
    run_id = ended.json["run_id"]
    quiet = project.sagarun("alerts", code=0).out
    assert "firing  never told" in quiet
    assert "runs that need a person, of order: 1, more than 0" in quiet
    for _ in range(2):
        project.start("engine")
    until(lambda: ("stuck", "firing") in receiver.told(), "an engine tells that the run needs a person")
    project.sagarun("abandon", run_id, "--reason", "it is a test")
    until(lambda: ("stuck", "resolved") in receiver.told(), "an engine tells that it does not any more")
    assert receiver.told() == [("stuck", "firing"), ("stuck", "resolved")]
    assert receiver.forged == 0
    assert project.run_json("alerts", code=0)[0]["firing"] is False
