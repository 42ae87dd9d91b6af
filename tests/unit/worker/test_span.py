"""The span of an attempt as the current one, for user code that uses OpenTelemetry; the span of a starter."""

from __future__ import annotations

import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from runner.starting import current_traceparent
from runner.trace import parse, run_span
from runner.worker.span import enter_span, leave_span


def test_spans_of_user_code_are_below_the_attempt():
    place = run_span("r1")
    token = enter_span(place.traceparent)
    try:
        with TracerProvider(shutdown_on_exit=False).get_tracer("shop").start_as_current_span("ask the bank") as span:
            pass
    finally:
        leave_span(token)
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (place.trace_id, place.span_id)
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("traceparent", ["", "nonsense"])
def test_without_a_place_nothing_is_entered(traceparent: str):
    leave_span(enter_span(traceparent))
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_program_without_opentelemetry_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert enter_span(run_span("r1").traceparent) is None
    assert current_traceparent() == ""


def test_a_start_is_part_of_the_span_in_which_it_happens():
    with TracerProvider(shutdown_on_exit=False).get_tracer("shop").start_as_current_span("checkout") as span:
        place = parse(current_traceparent())
    assert place is not None
    assert place.span_id == f"{span.get_span_context().span_id:016x}"
    assert current_traceparent() == ""
