"""Runs that are over, exported as OpenTelemetry traces over OTLP/HTTP. Configured by the standard OTEL_* environment.

Rule: telemetry never holds up a run. What ended waits in memory, a collector that is away is tried again for a while,
and what is too much is left out and said. OpenTelemetry is imported here only, and only where it is configured.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from runner.definition.secret_input import Redaction
from runner.errors import ConfigError, RunNotFound, StoreError
from runner.interpreter.record import decode_events
from runner.monitor.spans import Span, spans_of
from runner.store.ports import Store
from runner.trace import Place

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

log = logging.getLogger("sagarun.otel")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
MAX_WAITING = 10_000  # runs
RUNS_AT_ONCE = 50
AT_ONCE = 512  # spans in one call, as the specification has it
PAUSE_S = 0.2  # for more that ends meanwhile
RETRY_S = 5.0
TRIES = 5  # of one batch; each may take as long as OTEL_EXPORTER_OTLP_TIMEOUT says


def is_configured(environment: Mapping[str, str]) -> bool:
    """Whether traces are to be sent anywhere. Raises ConfigError for what cannot be done."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    chosen = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if chosen == "none" or not (chosen or any(environment.get(name) for name in ENDPOINTS)):
        return False
    if chosen not in ("", "otlp"):
        raise ConfigError(f"OTEL_TRACES_EXPORTER is {chosen!r}; sagarun exports traces by otlp, or not at all (none)")
    for name in PROTOCOLS:
        protocol = environment.get(name, "")
        if protocol not in ("", "http/protobuf"):
            raise ConfigError(f"{name} is {protocol!r}; sagarun speaks http/protobuf (most collectors on port 4318)")
    return True


def span_exporter() -> SpanExporter:
    """Set up by the environment. Raises ConfigError where the packages for it are missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigError(
            f"OpenTelemetry is configured by the environment (OTEL_…), and its packages are missing: {error}\n"
            "install them with `pip install 'sagarun[otel]'`, or set OTEL_SDK_DISABLED=true"
        ) from error
    return OTLPSpanExporter()


class TraceExport:
    """Give it the ids of runs that ended; a thread does the rest. `close` sends what waits, for a few seconds."""

    def __init__(
        self, store: Store, exporter: SpanExporter, *, service: str, version: str = "",
        redaction_of: Callable[[str], Redaction] = lambda _: Redaction(),
    ) -> None:
        """service: what the traces say they are of, unless OTEL_SERVICE_NAME says otherwise; version: ours."""
        self._store = store
        self._exporter = exporter
        self._redaction_of = redaction_of
        self._resource = _resource(service)
        self._version = version
        self._waiting: deque[str] = deque()
        self._left_out = 0
        self._something = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="sagarun-traces", daemon=True)
        self._thread.start()

    def add(self, run_id: str) -> None:
        """From any thread; never waits."""
        if len(self._waiting) >= MAX_WAITING:
            self._left_out += 1
            return
        self._waiting.append(run_id)
        self._something.set()

    def close(self, timeout_s: float = 5.0) -> None:
        self._closing.set()
        self._something.set()
        self._thread.join(timeout_s)
        if left := len(self._waiting):
            log.warning("%d traces could not be sent before the end; `sagarun trace RUN` sends them", left)

    def send(self, run_ids: Sequence[str]) -> bool:
        """Now, in this thread. False: the collector did not take it. A run that is not over has no trace yet."""
        contracts = self._store.get_workers()
        queues = {name: msgspec.json.decode(data).get("queue") or name for name, data in contracts.items()}
        spans = [span for run_id in run_ids for span in self._spans(run_id, queues)]
        return all(self._sent(spans[first : first + AT_ONCE]) for first in range(0, len(spans), AT_ONCE))

    def _spans(self, run_id: str, queues: Mapping[str, str]) -> list[ReadableSpan]:
        """Of one run; what is wrong with it is no reason to leave out the others."""
        try:
            told = spans_of(decode_events(self._store.history(run_id), {}), queues)
            redaction = self._redaction_of(run_id) if told else Redaction()
            return [_readable(redaction, span, self._resource, self._version) for span in told]
        except (StoreError, RunNotFound) as error:
            log.warning("the history of a run could not be read for its trace: %s", error, extra={"run_id": run_id})
        except Exception:
            log.exception("the trace of a run could not be made", extra={"run_id": run_id})
        return []

    def _serve(self) -> None:
        while True:
            self._something.wait()
            if not self._closing.wait(PAUSE_S):
                self._something.clear()
            while self._waiting:
                self._send_next()
            if self._left_out:
                log.warning("%d traces were left out: more runs ended than the collector takes", self._left_out)
                self._left_out = 0
            if self._closing.is_set() and not self._waiting:
                return

    def _send_next(self) -> None:
        run_ids = list(islice(self._waiting, RUNS_AT_ONCE))
        try:
            if not self.send(run_ids):
                log.warning("the collector did not take the traces of %d runs", len(run_ids), extra={"runs": run_ids})
        except Exception as error:
            log.warning("the traces of %d runs could not be sent: %s", len(run_ids), error, extra={"runs": run_ids})
        for _ in run_ids:
            self._waiting.popleft()

    def _sent(self, spans: Sequence[ReadableSpan]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        for number in range(TRIES):
            if self._exporter.export(spans) is SpanExportResult.SUCCESS:
                return True
            if number == TRIES - 1 or self._closing.wait(RETRY_S):
                break
        return False


def _resource(service: str) -> Any:
    import os

    from opentelemetry.sdk.resources import Resource

    name = os.environ.get("OTEL_SERVICE_NAME", "") or service
    return Resource.create({"service.name": name})


def _readable(redaction: Redaction, span: Span, resource: Any, version: str) -> ReadableSpan:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode

    kinds = {"internal": SpanKind.INTERNAL, "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER}
    status = Status(StatusCode.ERROR, redaction.text(span.error)) if span.error else Status(StatusCode.UNSET)
    return ReadableSpan(
        name=span.name, context=_context(span.place), parent=None if span.parent is None else _context(span.parent),
        resource=resource, attributes=dict(span.attributes), kind=kinds[span.kind], status=status,
        events=[Event(name, dict(about), at_ms * 1_000_000) for name, at_ms, about in span.events],
        links=[Link(_context(place)) for place in span.links],
        start_time=span.start_ms * 1_000_000, end_time=span.end_ms * 1_000_000,
        instrumentation_scope=InstrumentationScope("sagarun", version),
    )


def _context(place: Place) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=False, trace_flags=TraceFlags(1))
