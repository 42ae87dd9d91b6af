"""What a history tells of each step."""

from __future__ import annotations

from runner.interpreter import event as ev
from runner.monitor.story import Story
from runner.wire import ErrorRecord


def dispatched(at_ms: int, attempt: int, phase: str = "action") -> ev.TaskDispatched:
    return ev.TaskDispatched(at_ms, "pay", phase, "card.charge", attempt, 3, 1_000)  # type: ignore[arg-type]


def test_attempts_are_told_in_order_with_how_each_ended():
    story = Story(
        [
            ev.StepStarted(10, "pay"),
            dispatched(10, 1),
            ev.TaskSettled(30, "pay", "unknown", error=ErrorRecord("timeout"), claimed_at_ms=12, process="p1"),
            ev.RetryScheduled(30, "pay", "action", "pay@1", 230),
            dispatched(230, 2),
            ev.TaskSettled(250, "pay", "completed", duration_ms=7.5, claimed_at_ms=231, process="p2"),
            ev.StepCompleted(250, "pay"),
        ]
    )
    chapter = story.chapters["pay"]
    assert [(each.number, each.outcome, each.process) for each in chapter.attempts] == [
        (1, "unknown", "p1"),
        (2, "completed", "p2"),
    ]
    assert (chapter.started_at_ms, chapter.ended_at_ms) == (10, 250)


def test_the_worker_measures_an_attempt_and_the_store_one_that_was_lost():
    story = Story([dispatched(0, 1), ev.TaskSettled(500, "pay", "unknown", claimed_at_ms=100)])
    assert story.chapters["pay"].attempts[0].duration_ms == 400
    story.tell(dispatched(600, 2))
    story.tell(ev.TaskSettled(900, "pay", "completed", claimed_at_ms=610, duration_ms=3.0))
    assert story.chapters["pay"].attempts[1].duration_ms == 3.0


def test_a_task_that_was_taken_back_was_no_attempt():
    story = Story([dispatched(0, 1), ev.TaskSettled(5, "pay", "revoked")])
    assert story.chapters["pay"].of_phase("action") == []


def test_a_pause_before_a_retry_ends_with_the_next_attempt():
    story = Story([ev.RetryScheduled(0, "pay", "action", "t", 900)])
    assert story.chapter("pay").retry_at_ms == 900
    story.tell(dispatched(900, 2))
    assert story.chapter("pay").retry_at_ms == 0


def test_the_time_that_an_undo_waited_for_a_person_is_not_its_own():
    stuck = ev.StepStuck(200, "pay", ErrorRecord("x"))
    chapter = Story([ev.UndoStarted(100, "pay"), stuck, ev.StepResumed(9_000, "pay")]).chapters["pay"]
    assert (chapter.stuck_ms("undo"), chapter.stuck_ms("forward")) == (8_800, 0)


def test_what_a_person_settled_is_told_of_that_alone():
    stuck = ev.StepStuck(200, "pay", ErrorRecord("x"))
    asked = ev.RequestAccepted(300, "resolve", "ann", "the bank says no")
    story = Story([ev.UndoStarted(100, "pay"), stuck, asked, ev.StepUndone(300, "pay", skipped=True, resolved=True)])
    chapter = story.chapters["pay"]
    assert (chapter.settled("undo"), chapter.settled("forward")) == ("skipped", "")
    assert story.asked[-1].what == "pay as skipped"


def test_attempts_are_numbered_on_when_a_step_is_asked_again():
    """The worker is told numbers from 1 on, because its budget is a fresh one."""
    failed = ev.TaskSettled(5, "pay", "failed", ErrorRecord("x"))
    story = Story([dispatched(0, 1), failed, ev.StepResumed(9, "pay"), dispatched(10, 1)])
    assert [(attempt.number, attempt.told) for attempt in story.chapters["pay"].attempts] == [(1, 1), (2, 1)]


def test_a_history_whose_beginning_was_compacted_away_can_be_read():
    story = Story([ev.TaskSettled(5, "pay", "completed"), ev.StepCompleted(5, "pay")])
    assert story.chapters["pay"].attempts == []
    assert story.chapters["pay"].ended_at_ms == 5
