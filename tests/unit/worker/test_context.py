"""What a worker learns about its attempt."""

from __future__ import annotations

import asyncio
import datetime
import logging
import threading

import pytest

from runner.errors import AttemptCancelled, SagarunError
from runner.wire import ErrorRecord, TaskMessage
from runner.worker.context import Context, current, enter, fake_context, leave


def test_a_fake_context_needs_nothing():
    context = fake_context()
    assert (context.run_id, context.step_id, context.phase, context.attempt) == ("testrun", "step", "action", 1)
    assert (context.step_ref, context.idempotency_key) == ("testrun/step", "testrun/step:action")


def test_a_fake_context_takes_any_field():
    cause = ErrorRecord("declined", kind="business")
    context = fake_context(
        step_id="refund", phase="compensate", attempt=2, max_attempts=5, cause=cause, fence=7, item_path=(1, 2),
        workflow="order", version="1.0.0", worker="payments.refund", last_details={"page": 3}, fencing=True,
    )
    assert (context.attempt, context.max_attempts, context.cause, context.fence) == (2, 5, cause, 7)
    assert (context.item_path, context.workflow, context.version) == ((1, 2), "order", "1.0.0")
    assert (context.worker, context.last_details, context.fencing) == ("payments.refund", {"page": 3}, True)
    assert context.idempotency_key == "testrun/refund:compensate"


def test_a_field_that_does_not_exist_is_a_mistake():
    with pytest.raises(TypeError, match="atempt"):
        fake_context(atempt=2)


def test_remaining_counts_down_to_zero_and_no_further():
    now = [100.0]
    message = TaskMessage("w", "r", "f", "1", "s", "s", "action", 1, 1, 1000, "r/s", "r/s:action")
    context = Context(message, deadline_s=130.0, clock=lambda: now[0])
    assert context.remaining() == 30.0
    now[0] = 200.0
    assert context.remaining() == 0.0


def test_the_deadline_is_a_time_with_its_zone():
    left = fake_context(remaining_s=60).deadline - datetime.datetime.now(datetime.UTC)
    assert 55 < left.total_seconds() <= 60


def test_a_heartbeat_carries_its_details_as_json():
    said: list[bytes] = []
    context = fake_context(heartbeat=said.append)
    context.heartbeat()
    context.heartbeat({"page": 3})
    assert said == [b"", b'{"page":3}']


def test_a_heartbeat_whose_details_are_no_json_is_a_mistake():
    with pytest.raises(TypeError, match="object is not JSON"):
        fake_context().heartbeat(object())


def test_a_heartbeat_whose_details_are_too_large_is_a_mistake():
    with pytest.raises(ValueError, match="at most 65,536 are kept"):
        fake_context().heartbeat("x" * 65_536)


def test_an_attempt_that_may_go_on_is_not_cancelled():
    context = fake_context()
    context.raise_if_cancelled()
    assert not context.is_cancelled


def test_an_attempt_that_was_asked_to_stop_is_cancelled_with_the_reason():
    context = fake_context(stop="timeout")
    assert context.is_cancelled
    with pytest.raises(AttemptCancelled, match="timeout"):
        context.raise_if_cancelled()


def test_a_cancellation_is_not_caught_by_accident():
    assert not issubclass(AttemptCancelled, Exception)


def test_current_is_the_context_that_was_entered():
    context = fake_context()
    token = enter(context)
    try:
        assert current() is context
        assert asyncio.run(_current_in_coroutine()) is context
    finally:
        leave(token)


async def _current_in_coroutine() -> Context:
    return current()


def test_current_outside_of_a_worker_says_so():
    with pytest.raises(SagarunError, match="no worker is running here"):
        current()


def test_current_does_not_cross_into_another_thread():
    token = enter(fake_context())
    found: list[str] = []

    def look() -> None:
        try:
            current()
        except SagarunError as error:
            found.append(str(error))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    leave(token)
    assert len(found) == 1


def test_log_records_say_whose_they_are(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, logger="sagarun.worker"):
        fake_context(attempt=2, worker="shop.charge").log.info("asking for %s", "money")
    record = caplog.records[0]
    assert record.getMessage() == "asking for money"
    assert (record.run_id, record.step_id, record.attempt, record.worker) == ("testrun", "step", "2", "shop.charge")


def test_a_context_shows_what_it_is_for():
    assert repr(fake_context()) == "<Context testrun/step:action attempt 1 of 1>"
