"""What a worker process holds: each claimed task leaves once, and says truly how it ended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runner.store.ports import ClaimedTask, Completion
from runner.wire import ErrorRecord, Outcome, TaskMessage
from runner.worker.ledger import Ledger


def task(path: str = "step", **fields: Any) -> ClaimedTask:
    known = {"worker": "w", "run_id": "r", "workflow": "f", "version": "1", "path": path, "step": path}
    known |= {"phase": "action", "attempt": 1, "max_attempts": 1, "timeout_ms": 1000}
    known |= {"step_ref": f"r/{path}", "idempotency_key": f"r/{path}:action"}
    message = msgspec.json.encode(TaskMessage(**(known | fields)))
    return ClaimedTask("r", path, f"token-{path}", 5, "q", 1, 2, message, b"{}")


def outcome_in(completion: Completion) -> Outcome:
    return msgspec.json.decode(completion.body, type=Outcome)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_a_task_is_framed_with_its_deadline(ledger: Ledger):
    frame = ledger.begin(task(timeout_ms=1500), child=1, now_s=10.0)
    assert (frame.number, frame.deadline_s, frame.fence, frame.queue) == (1, 11.5, 5, "q")
    assert ledger.held[1].key == ("r", "step", "token-step")


def test_attempts_have_different_numbers(ledger: Ledger):
    assert ledger.begin(task("a"), 1, 0.0).number != ledger.begin(task("b"), 1, 0.0).number


def test_an_end_becomes_a_completion(ledger: Ledger):
    number = ledger.begin(task(), 1, 0.0).number
    ledger.end(number, b"{}")
    assert ledger.take(10) == [Completion("r", "step", "token-step", b"{}")]
    assert not ledger.held


def test_an_end_that_comes_twice_counts_once(ledger: Ledger):
    number = ledger.begin(task(), 1, 0.0).number
    ledger.end(number, b"1")
    ledger.end(number, b"2")
    assert [each.body for each in ledger.take(10)] == [b"1"]


def test_what_a_lost_or_overdue_attempt_had_logged_is_handed_in_as_far_as_it_was_told(ledger: Ledger):
    lost, overdue = (ledger.begin(task(path, timeout_ms=1000), 1, 0.0).number for path in ("lost", "overdue"))
    ledger.keep_log(lost, "one")
    ledger.keep_log(overdue, "two")
    ledger.held[lost].deadline_s = 100.0
    ledger.newly_overdue(2.0)
    ledger.lose(1)
    assert {each.path: (each.lost, outcome_in(each).log) for each in ledger.take(10)} == {
        "lost": (True, "one"), "overdue": (False, "two"),
    }


def test_a_dead_child_loses_its_own_attempts_only(ledger: Ledger):
    ledger.begin(task("a"), 1, 0.0)
    ledger.begin(task("b"), 2, 0.0)
    ledger.lose(1)
    assert [(each.path, each.lost) for each in ledger.take(10)] == [("a", True)]
    assert [held.task.path for held in ledger.held.values()] == ["b"]


def test_what_had_overrun_when_its_child_died_is_a_timeout(ledger: Ledger):
    number = ledger.begin(task(), 1, 0.0).number
    assert [held.number for held in ledger.newly_overdue(1.5)] == [number]
    ledger.held[number].stack = "in time.sleep"
    ledger.lose(1)
    (completion,) = ledger.take(10)
    outcome = outcome_in(completion)
    assert not completion.lost
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("unknown", "timeout")
    assert outcome.error.details == {"traceback": "in time.sleep"}


def test_an_attempt_is_overdue_once(ledger: Ledger):
    ledger.begin(task(), 1, 0.0)
    assert ledger.newly_overdue(0.9) == []
    assert len(ledger.newly_overdue(1.1)) == 1
    assert ledger.newly_overdue(1.2) == []


def test_without_heartbeats_asked_for_none_is_missed(ledger: Ledger):
    ledger.begin(task(timeout_ms=60_000), 1, 0.0)
    assert ledger.newly_overdue(50.0) == []


def test_an_attempt_that_misses_its_heartbeat_is_overdue(ledger: Ledger):
    number = ledger.begin(task(timeout_ms=60_000, heartbeat_ms=500), 1, 0.0).number
    assert ledger.newly_overdue(0.4) == []
    ledger.beat(number, b'{"page":1}', 0.4)
    assert ledger.newly_overdue(0.8) == []
    (held,) = ledger.newly_overdue(1.0)
    assert held.is_silent
    ledger.lose(1)
    error = outcome_in(ledger.take(1)[0]).error
    assert error is not None
    assert error.message == "w sent no heartbeat for 500 ms"
    assert error.details == {"last_details": {"page": 1}}


def test_the_last_details_are_kept_over_a_heartbeat_without_any(ledger: Ledger):
    number = ledger.begin(task(heartbeat_ms=500), 1, 0.0).number
    ledger.beat(number, b"1", 0.1)
    ledger.beat(number, b"", 0.2)
    assert ledger.held[number].details == b"1"


def test_an_attempt_that_stopped_when_it_was_asked_to_keeps_its_last_details(ledger: Ledger):
    number = ledger.begin(task(timeout_ms=1000), 1, 0.0).number
    ledger.beat(number, b'{"page":1}', 0.5)
    ledger.newly_overdue(2.0)
    error = ErrorRecord("timeout", details={"traceback": "t"})
    ledger.end(number, msgspec.json.encode(Outcome("unknown", error=error)))
    assert outcome_in(ledger.take(1)[0]).error == ErrorRecord(
        "timeout", details={"traceback": "t", "last_details": {"page": 1}}
    )


def test_a_result_that_came_after_all_is_left_as_it_is(ledger: Ledger):
    number = ledger.begin(task(timeout_ms=1000), 1, 0.0).number
    ledger.beat(number, b'{"page":1}', 0.5)
    ledger.newly_overdue(2.0)
    done = msgspec.json.encode(Outcome("completed", msgspec.Raw(b"7")))
    ledger.end(number, done)
    assert ledger.take(1)[0].body == done


def test_a_heartbeat_of_what_has_ended_is_ignored(ledger: Ledger):
    ledger.beat(99, b"", 0.0)
    assert ledger.is_idle


def test_an_attempt_that_the_store_gave_up_is_overdue_and_then_lost(ledger: Ledger):
    number = ledger.begin(task(timeout_ms=60_000), 1, 0.0).number
    ledger.held[number].is_void = True
    assert len(ledger.newly_overdue(0.1)) == 1
    ledger.lose(1)
    assert ledger.take(1)[0].lost


def test_what_nobody_can_run_never_began(ledger: Ledger):
    ledger.unplaced.append(task())
    ledger.refuse_unplaced()
    outcome = outcome_in(ledger.take(1)[0])
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("failed", "no_effect")


def test_a_message_that_cannot_be_read_still_ends(ledger: Ledger):
    broken = msgspec.structs.replace(task(), message=b"{")
    number = ledger.begin(broken, 1, 0.0).number
    assert ledger.held[number].deadline_s == 10.0
    ledger.newly_overdue(11.0)
    ledger.lose(1)
    assert outcome_in(ledger.take(1)[0]).outcome == "unknown"


def test_completions_are_taken_in_order_and_in_part(ledger: Ledger):
    for path in "abc":
        ledger.end(ledger.begin(task(path), 1, 0.0).number, b"")
    assert [each.path for each in ledger.take(2)] == ["a", "b"]
    assert ledger.has_completions
    assert ledger.settle(["recorded", "recorded"]) == []
    assert [each.path for each in ledger.take(2)] == ["c"]


def test_what_is_in_flight_is_not_idle(ledger: Ledger):
    ledger.end(ledger.begin(task(), 1, 0.0).number, b"")
    ledger.take(10)
    assert not ledger.is_idle
    ledger.settle(["recorded"])
    assert ledger.is_idle


def test_what_was_not_recorded_is_told(ledger: Ledger):
    for path in "ab":
        ledger.end(ledger.begin(task(path), 1, 0.0).number, b"")
    ledger.take(10)
    refused = ledger.settle(["stale", "recorded"])
    assert [(completion.path, answer) for completion, answer in refused] == [("a", "stale")]
    assert (ledger.counts.recorded, ledger.counts.discarded) == (1, 1)


def test_an_answer_for_another_number_of_completions_is_a_bug(ledger: Ledger):
    ledger.end(ledger.begin(task(), 1, 0.0).number, b"")
    ledger.take(10)
    with pytest.raises(ValueError, match="zip"):
        ledger.settle([])


def test_leases_go_on_for_everything_that_is_not_handed_in(ledger: Ledger):
    running = ledger.begin(task("a"), 1, 0.0).number
    for path in "bc":
        ledger.end(ledger.begin(task(path), 1, 0.0).number, b"")
    ledger.take(1)
    ledger.unplaced.append(task("d"))
    found = {key[1]: number for key, number in ledger.leases()}
    assert found == {"a": running, "b": 0, "c": 0, "d": 0}


def test_a_reaped_process_forgets_everything(ledger: Ledger):
    for path in "abc":
        ledger.begin(task(path), 1, 0.0)
    ledger.end(1, b"")
    ledger.end(2, b"")
    ledger.take(1)
    ledger.unplaced.append(task("d"))
    ledger.forget()
    assert ledger.is_idle
    assert ledger.leases() == []
