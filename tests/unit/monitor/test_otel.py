"""Traces over OTLP/HTTP, against a real collector in this process: what arrives, when it is away, what is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import ConfigError
from runner.monitor import otel
from runner.monitor.otel import TraceExport, is_configured, span_exporter
from runner.trace import run_span
from tests.collector import Collector, attributes, collector
from tests.desk import Desk
from tests.servers import until

SECRET = """
workflow: order
version: 1.2.0
input:
  type: object
  properties: {id: {type: string}, token: {type: string, x-secret: true}}
steps:
  - {id: look, worker: card.look, with: {token: "{{ input.token }}"}, raises: [refused], kind: readonly}
"""


def spans_of_request(request: Any) -> list[Any]:
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


@pytest.fixture
def collecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        yield server


def exporting(desk: Desk) -> TraceExport:
    return TraceExport(desk.store, span_exporter(), service="shop", redaction_of=desk.client.redaction)


def test_a_whole_trace_arrives_when_its_run_has_ended(collecting: Collector, tmp_path: Path):
    desk = Desk(tmp_path)
    export = exporting(desk)
    run_id = desk.run(fail="declined")
    export.add(run_id)
    export.close()
    assert collecting.services == {"shop"}
    spans = {span.name: span for span in collecting.spans}
    assert sorted(spans) == sorted([
        "run order", "send stock.reserve", "process stock.reserve", "send card.charge", "process card.charge",
        "send stock.release", "process stock.release",
    ])  # fmt: skip
    root = spans["run order"]
    assert {span.trace_id.hex() for span in spans.values()} == {run_span(run_id).trace_id}
    assert root.span_id.hex() == run_span(run_id).span_id
    assert root.end_time_unix_nano - root.start_time_unix_nano == 0, "no time passes while the desk works"
    assert attributes(root)["sagarun.run.id"] == run_id
    assert spans["process stock.release"].links[0].span_id == spans["process stock.reserve"].span_id
    assert spans["process card.charge"].parent_span_id == spans["send card.charge"].span_id
    assert spans["process card.charge"].status.message == "declined: insufficient funds"


def test_an_engine_tells_of_each_end_once(collecting: Collector, tmp_path: Path):
    desk = Desk(tmp_path)
    ended: list[str] = []
    desk._engine._on_end = ended.append
    runs = [desk.run(id=str(number)) for number in range(3)]
    assert ended == runs


def test_what_a_killed_engine_had_not_sent_is_sent_by_anybody_and_as_often_as_one_likes_the_same(
    collecting: Collector, tmp_path: Path
):
    desk = Desk(tmp_path)
    waiting: list[str] = []
    desk._engine._on_end = waiting.append  # what this engine had in its memory, and loses
    run_id = desk.run(fail="flaky")
    assert waiting == [run_id]
    for _ in range(2):
        later = exporting(desk)
        assert later.send([run_id])
        later.close()
    first, second = ([span.SerializeToString() for span in spans_of_request(each)] for each in collecting.requests)
    assert first == second
    assert len(first) == 7


def test_a_service_name_of_the_environment_comes_first(
    collecting: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    desk = Desk(tmp_path)
    export = exporting(desk)
    assert export.send([desk.run()])
    export.close()
    assert collecting.services == {"mine"}


def test_a_collector_that_is_away_is_tried_again(
    collecting: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(otel, "RETRY_S", 0.01)
    desk = Desk(tmp_path)
    export = exporting(desk)
    collecting.status = 400  # what the exporter itself does not repeat
    export.add(desk.run())
    until(lambda: collecting.refused >= 2, "it was tried again")
    collecting.status = 200
    until(lambda: collecting.spans, "the trace arrived")
    export.close()


def test_what_cannot_be_sent_before_the_end_is_said(
    collecting: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    desk = Desk(tmp_path)
    export = exporting(desk)
    collecting.status = 400
    export.add(desk.run())
    export.close()
    assert "the collector did not take the traces of 1 runs" in caplog.text


def test_more_than_is_kept_is_left_out_and_said(
    collecting: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(otel, "MAX_WAITING", 1)
    desk = Desk(tmp_path)
    export = exporting(desk)
    for number in range(3):
        export.add(desk.run(id=str(number)))
    export.close()
    assert "2 traces were left out" in caplog.text
    assert len({span.trace_id for span in collecting.spans}) == 1


def test_a_run_that_is_gone_keeps_nobody_from_the_others(collecting: Collector, tmp_path: Path):
    desk = Desk(tmp_path)
    export = exporting(desk)
    assert export.send(["nobody", desk.run()])
    export.close()
    assert collecting.spans


def test_what_an_input_schema_marks_is_in_no_span(collecting: Collector, tmp_path: Path):
    from runner.errors import BusinessError

    desk = Desk(tmp_path, SECRET)

    @desk.registry.worker("card.look", raises=["refused"])
    def look(token: str) -> None:
        raise BusinessError("refused", f"{token} is not accepted")

    desk.client.start(desk.definition, {"id": "A-1", "token": "kanarienvogel"})
    desk._worker.queues = ("card.look",)
    desk.work()
    export = exporting(desk)
    assert export.send([row.run_id for row in desk.store.list_runs()])
    export.close()
    assert "refused: *** is not accepted" in {span.status.message for span in collecting.spans}
    assert "kanarienvogel" not in str(collecting.requests)


@pytest.mark.parametrize(("environment", "is_on"), [
    ({}, False),
    ({"OTEL_SERVICE_NAME": "shop"}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
    ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
    ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
])
def test_the_standard_environment_decides(environment: dict[str, str], is_on: bool):
    assert is_configured(environment) is is_on


@pytest.mark.parametrize("environment", [
    {"OTEL_TRACES_EXPORTER": "zipkin"},
    {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
])
def test_what_cannot_be_done_is_refused_by_its_name(environment: dict[str, str]):
    with pytest.raises(ConfigError, match="|".join(environment.values())):
        is_configured(environment)


def test_missing_packages_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"pip install 'sagarun\[otel\]'"):
        span_exporter()
