"""What an attempt logged comes into the history with its end, bounded whoever sent it."""

from __future__ import annotations

import msgspec
import pytest

from runner.engine import intake
from runner.interpreter import event as ev
from runner.interpreter.record import decode_events, encode_events
from runner.store.ports import InboxEntry
from runner.wire import LOG_BYTES, ErrorRecord, Outcome


def settled(entry: InboxEntry) -> ev.TaskSettled:
    event = intake._EVENTS[entry.kind](entry)
    assert isinstance(event, ev.TaskSettled)
    return event


def entry(kind: str, outcome: Outcome) -> InboxEntry:
    return InboxEntry(kind, 7, "pay", 3, "host:1:a", msgspec.json.encode(outcome))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["outcome", "lost"])
def test_the_lines_are_in_the_history(kind: str):
    event = settled(entry(kind, Outcome("unknown", log="one\ntwo")))
    assert decode_events(encode_events([event]), {}) == [event]
    assert event.log == "one\ntwo"


@pytest.mark.parametrize("kind", ["outcome", "lost"])
def test_a_log_of_any_length_is_cut(kind: str):
    assert len(settled(entry(kind, Outcome("unknown", log="x" * 100_000))).log) == LOG_BYTES


def test_lines_do_not_count_as_payload_of_the_run():
    short, long = (settled(entry("outcome", Outcome("completed", log="x" * length))) for length in (1, 5_000))
    assert short.size == long.size


def test_a_lost_attempt_is_lost_whatever_its_body_says():
    event = settled(InboxEntry("lost", 7, "pay", 3, "host:1:a", b"no json"))
    assert (event.outcome, event.log, event.error and event.error.code) == ("unknown", "", "worker_lost")
    assert settled(entry("lost", Outcome("completed", log="it"))).outcome == "unknown"


def test_how_a_child_ended_is_told_and_is_no_other_error_for_it():
    told = ErrorRecord("refused", kind="business", message="its process exited", details={"exit": "exited"})
    event = settled(entry("lost", Outcome("failed", error=told)))
    assert event.outcome == "unknown"
    assert event.error == ErrorRecord("worker_lost", message="its process exited", details={"exit": "exited"})
