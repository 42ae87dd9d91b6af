"""Ids of traces and spans: the same for the same thing everywhere, and others for everything else."""

from __future__ import annotations

from functools import partial

import pytest

from runner.trace import Place, attempt_span, parse, run_span, send_span

STARTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_is_written_can_be_read():
    place = run_span("r1")
    assert parse(place.traceparent) == place


@pytest.mark.parametrize("text", [
    "", "00-0-0-01", STARTER.upper(), STARTER + "-more", STARTER.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
    STARTER.replace("b7ad6b7169203331", "0" * 16), "zz" + STARTER[2:],
])
def test_what_is_no_traceparent_is_none(text: str):
    assert parse(text) is None


def test_a_run_of_its_own_has_a_trace_of_its_own():
    assert run_span("r1").trace_id != run_span("r2").trace_id
    assert run_span("r1") == run_span("r1")


def test_a_run_that_was_started_in_a_trace_is_part_of_it():
    place = run_span("r1", STARTER)
    assert place.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert place.span_id not in ("b7ad6b7169203331", run_span("r2", STARTER).span_id)


def test_a_starter_that_is_not_sampled_is_followed():
    assert run_span("r1", STARTER[:-1] + "0") == Place(
        "0af7651916cd43dd8448eb211c80319c", run_span("r1").span_id, sampled=False
    )


def test_what_cannot_be_read_is_as_if_it_were_not_there():
    assert run_span("r1", "nonsense") == run_span("r1")


later_attempt = partial(attempt_span, fresh=False)


def test_every_attempt_has_spans_of_its_own():
    places = {
        make("r1", "", path, phase, attempt, at_ms).span_id
        for make in (later_attempt, send_span) for path in ("a", "b") for phase in ("action", "compensate")
        for attempt in (1, 2) for at_ms in (10, 20)
    }
    assert len(places) == 32


def test_the_first_attempt_of_an_action_has_the_span_that_is_known_before_it_is_dispatched():
    first, same = (attempt_span("r1", "", "a", "action", 1, at_ms, fresh=True) for at_ms in (10, 20))
    assert first == same
    resumed = attempt_span("r1", "", "a", "action", 1, 20, fresh=False)
    assert resumed != first
