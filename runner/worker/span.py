"""The span of an attempt as OpenTelemetry's current one, so that spans which user code begins are below it.

Rule: sagarun does not import OpenTelemetry here. A program that uses it has; in any other there is nobody to tell.
"""

from __future__ import annotations

import sys
from typing import Any

from runner.trace import parse


def enter_span(traceparent: str) -> Any:
    """What `leave_span` is to be given."""
    telemetry, contexts = sys.modules.get("opentelemetry.trace"), sys.modules.get("opentelemetry.context")
    if telemetry is None or contexts is None or (place := parse(traceparent)) is None:
        return None
    flags = telemetry.TraceFlags(telemetry.TraceFlags.SAMPLED if place.sampled else telemetry.TraceFlags.DEFAULT)
    span = telemetry.SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=True, trace_flags=flags)
    return contexts.attach(telemetry.set_span_in_context(telemetry.NonRecordingSpan(span)))


def leave_span(token: Any) -> None:
    if token is not None:
        sys.modules["opentelemetry.context"].detach(token)
