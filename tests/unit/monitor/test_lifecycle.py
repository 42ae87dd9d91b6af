"""What a history says between the lines: claims and starts at their own times, and how long everything took."""

from __future__ import annotations

from runner.interpreter import event as ev
from runner.monitor.lifecycle import moments
from runner.monitor.story import Story
from runner.store.ports import TaskRecord
from runner.wire import ErrorRecord

DISPATCHED = ev.TaskDispatched(100, "pay", "action", "card.charge", 1, 3, 1_000)


def settled(**fields: object) -> ev.TaskSettled:
    known = {"outcome": "completed", "claimed_at_ms": 130, "started_at_ms": 135, "duration_ms": 50.0}
    known |= {"process": "h:1:a"}
    return ev.TaskSettled(190, "pay", **(known | fields))  # type: ignore[arg-type]


def test_claim_and_start_stand_between_dispatch_and_end():
    other = ev.StepStarted(120, "ship")
    told = moments([DISPATCHED, other, settled()])
    assert [(each.at_ms, each.path, each.what or type(each.event).__name__) for each in told] == [
        (100, "pay", "TaskDispatched"), (120, "ship", "StepStarted"), (130, "pay", "claimed"), (135, "pay", "started"),
        (190, "pay", "TaskSettled"),
    ]


def test_the_times_of_an_attempt_are_those_of_the_store_and_its_work_is_the_workers():
    attempt = moments([DISPATCHED, settled()])[-1].attempt
    assert attempt is not None
    assert (attempt.queue_ms, attempt.duration_ms, attempt.total_ms, attempt.word) == (30, 50.0, 90, "completed")


def test_a_start_by_a_clock_that_differs_is_left_out():
    assert [each.what for each in moments([DISPATCHED, settled(started_at_ms=999_999)])] == ["", "claimed", ""]


def test_what_is_out_now_is_claimed_by_whoever_holds_its_task():
    task = TaskRecord("1-e", "R", "q", 100, "h:2:b", 160)
    (_, claimed) = moments([DISPATCHED], {"pay": task})
    assert claimed.attempt is not None
    assert (claimed.at_ms, claimed.what, claimed.attempt.process) == (160, "claimed", "h:2:b")
    assert len(moments([DISPATCHED], {"pay": TaskRecord("1-e", "Q", "q", 100)})) == 1


def test_every_end_has_a_word():
    def word(outcome: str, code: str = "", verdict: str = "") -> str:
        error = ErrorRecord(code) if code else None
        event = settled(outcome=outcome, error=error, verdict=verdict)
        return Story([DISPATCHED, event]).chapters["pay"].attempts[0].word

    assert word("completed") == "completed"
    assert word("completed", verdict="not_landed") == "not landed"
    assert word("failed", "declined") == "failed"
    assert word("failed", "queue_timeout") == "not claimed in time"
    assert word("unknown", "timeout") == "timed out"
    assert word("unknown", "worker_lost") == "lost"
    assert word("unknown", "exception") == "ended unknown"
    assert word("revoked") == "taken back"
    assert Story([DISPATCHED]).chapters["pay"].attempts[0].word == ""
