"""One attempt: how its end becomes an outcome."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import Any

import msgspec
import pytest

from runner.errors import AlreadyUndone, BusinessError, NoEffectError, RetryLater
from runner.wire import Outcome, TaskMessage
from runner.worker.attempt import Attempt, encode_outcome, overrun, split_outcome
from runner.worker.context import Context, StopSignal, current
from runner.worker.payload import MAX_PAYLOAD_BYTES, MAX_TEXT_BYTES, MAX_TRACEBACK_BYTES
from runner.worker.registry import Registry
from runner.worker.uptime import uptime_s
from runner.worker.verdict import Landed, NotLanded, Pending


def message(**fields: Any) -> TaskMessage:
    known = {"worker": "shop.work", "run_id": "r", "workflow": "order", "version": "1", "path": "step", "step": "step"}
    known |= {"phase": "action", "attempt": 3, "max_attempts": 5, "timeout_ms": 1000, "step_ref": "r/step"}
    known |= {"idempotency_key": "r/step:action"}
    return TaskMessage(**(known | fields))


def outcome_of(
    function: Any, payload: bytes = b"{}", *, stop: str = "", raises: tuple[str, ...] = (), **fields: Any
) -> Outcome:
    registry = Registry()
    registry.worker("shop.work", raises=raises)(function)
    signal = StopSignal()
    signal.reason = stop
    attempt = Attempt(registry, message(**fields), payload, deadline_s=uptime_s() + 1, stop=signal, fence=9)
    outcome = asyncio.run(attempt.run_async()) if attempt.is_async else attempt.run()
    return msgspec.json.decode(encode_outcome(outcome), type=Outcome)


def raising(error: BaseException) -> Any:
    def work() -> None:
        raise error

    return work


def test_a_return_completes_with_the_result():
    outcome = outcome_of(lambda a: {"twice": 2 * a}, b'{"a": 21}')
    assert (outcome.outcome, bytes(outcome.output), outcome.error) == ("completed", b'{"twice":42}', None)


@pytest.mark.parametrize(("phase", "outcome", "beside"), [
    ("action", Outcome("completed", msgspec.Raw(b"[1]")), b"[1]"),
    ("action", Outcome("completed"), b""),
    ("action", Outcome("failed", msgspec.Raw(b"[1]")), b""),
    ("verify", Outcome("completed", msgspec.Raw(b"[1]"), verdict="landed"), b""),
    ("compensate", Outcome("completed", msgspec.Raw(b"[1]")), b""),
])
def test_only_what_an_action_gave_is_handed_in_beside_its_outcome(phase: str, outcome: Outcome, beside: bytes):
    body, output = split_outcome(outcome, phase)
    assert output == beside
    assert bytes(msgspec.json.decode(body, type=Outcome).output) == (b"null" if beside else bytes(outcome.output))


def test_an_outcome_says_when_it_began_and_how_long_it_took():
    outcome = outcome_of(lambda: None)
    assert outcome.started_at_ms > 1_700_000_000_000
    assert 0 <= outcome.duration_ms < 1000


def test_the_context_is_handed_in_where_it_is_annotated():
    def work(a: int, ctx: Context) -> list[Any]:
        assert current() is ctx
        return [a, ctx.fence, ctx.attempt]

    assert bytes(outcome_of(work, b'{"a": 1}').output) == b"[1,9,3]"


def test_the_context_is_gone_after_the_attempt():
    outcome_of(lambda: None)
    assert outcome_of(lambda: None).outcome == "completed"
    with pytest.raises(Exception, match="no worker is running"):
        current()


def test_a_coroutine_function_is_awaited():
    async def work(ctx: Context) -> int:
        await asyncio.sleep(0)
        assert current() is ctx
        return 1

    assert bytes(outcome_of(work).output) == b"1"


def test_a_worker_that_is_not_known_is_a_definite_failure():
    outcome = outcome_of(lambda: None, worker="shop.other")
    assert (outcome.outcome, outcome.error and outcome.error.code) == ("failed", "unknown_worker")


def test_arguments_that_do_not_fit_are_a_definite_failure_with_all_problems():
    def work(a: int, b: int) -> None: ...

    outcome = outcome_of(work, b'{"a": "x"}')
    assert outcome.outcome == "failed"
    assert outcome.error is not None
    assert outcome.error.code == "invalid_input"
    assert [each["path"] for each in outcome.error.details["problems"]] == ["a", "b"]
    assert (outcome.error.step, outcome.error.attempt) == ("step", 3)


def test_an_input_that_is_too_large_is_refused():
    outcome = outcome_of(lambda a: a, b'{"a":"' + b"x" * MAX_PAYLOAD_BYTES + b'"}')
    assert outcome.error is not None
    assert outcome.error.code == "invalid_input"


def test_a_business_error_is_definite_and_keeps_its_details():
    outcome = outcome_of(raising(BusinessError("no_stock", "3 left", details={"sku": "a"})), raises=("no_stock",))
    error = outcome.error
    assert error is not None
    assert (outcome.outcome, error.code, error.kind) == ("failed", "no_stock", "business")
    assert (error.message, error.details) == ("3 left", {"sku": "a"})


def test_an_undeclared_business_error_is_definite_and_warned_about(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        assert outcome_of(raising(BusinessError("odd"))).outcome == "failed"
    assert "raised 'odd', a code that it does not declare" in caplog.text


@pytest.mark.parametrize("declared", [{"raises": ("odd",)}, {}])
def test_a_code_that_worker_or_definition_declare_is_no_cause_for_a_warning(
    caplog: pytest.LogCaptureFixture, declared: Any
):
    registry = Registry()
    registry.worker("shop.work", **declared)(raising(BusinessError("odd")))
    with caplog.at_level(logging.WARNING):
        Attempt(registry, message(raises=("odd",)), b"{}", deadline_s=0).run()
    assert caplog.text == ""


def test_a_business_error_whose_details_are_no_json_stays_definite():
    outcome = outcome_of(raising(BusinessError("no", details=object())))
    assert outcome.outcome == "failed"
    assert outcome.error is not None
    assert "details are not JSON" in outcome.error.details["omitted"]


def test_no_effect_is_definite():
    outcome = outcome_of(raising(NoEffectError("connection refused")))
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code, outcome.error.message, outcome.after_ms) == (
        "failed", "no_effect", "connection refused", 0,
    )


def test_retry_later_brings_its_own_delay():
    outcome = outcome_of(raising(RetryLater("busy", after="5s")))
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code, outcome.after_ms) == ("failed", "no_effect", 5000)


def test_already_undone_is_definite():
    outcome = outcome_of(raising(AlreadyUndone("r/step was undone")))
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("failed", "already_undone")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("boom"), "RuntimeError: boom"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (MemoryError(), "MemoryError: "),
        (ExceptionGroup("two", [ValueError("a"), OSError("b")]), "ExceptionGroup: two (2 sub-exceptions)"),
        (asyncio.CancelledError(), "CancelledError: "),
    ],
)
def test_any_other_exception_is_unknown(error: BaseException, text: str):
    outcome = outcome_of(raising(error))
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code, outcome.error.message) == ("unknown", "exception", text)


def test_the_traceback_shows_the_users_code_only():
    error = outcome_of(raising(RuntimeError("boom"))).error
    assert error is not None
    trace = error.details["traceback"]
    assert "test_attempt.py" in trace
    assert "attempt.py\", line" not in trace.replace("test_attempt.py", "")
    assert trace.endswith("RuntimeError: boom\n")


def test_endless_recursion_is_an_ordinary_failure():
    def work() -> Any:
        return work()

    error = outcome_of(work).error
    assert error is not None
    assert error.message.startswith("RecursionError: ")


def test_texts_are_cut_where_they_grow_too_long():
    error = outcome_of(raising(RuntimeError("ä" * 100_000))).error
    assert error is not None
    assert len(error.message.encode()) <= MAX_TEXT_BYTES
    assert len(error.details["traceback"].encode()) <= MAX_TRACEBACK_BYTES


def test_an_exception_without_a_text_does_not_break_the_report():
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    error = outcome_of(raising(Broken())).error
    assert error is not None
    assert "its text cannot be made" in error.message


def test_an_exception_can_be_let_through():
    registry = Registry()
    registry.worker("shop.work")(raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        Attempt(registry, message(), b"{}", deadline_s=0, passing=(KeyboardInterrupt,)).run()


@pytest.mark.parametrize("result", [float("nan"), {1}, b"x", object(), "x" * MAX_PAYLOAD_BYTES, Landed(1), NotLanded()])
def test_a_result_that_cannot_be_recorded_is_unknown(result: Any):
    outcome = outcome_of(lambda: result)
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("unknown", "invalid_output")


def test_a_result_of_another_type_than_promised_is_unknown():
    def work() -> int:
        return "many"  # type: ignore[return-value]

    error = outcome_of(work).error
    assert error is not None
    assert error.code == "invalid_output"
    assert "valid integer" in error.message


def test_a_forgotten_async_is_told():
    async def later() -> None: ...

    error = outcome_of(lambda: later()).error
    assert error is not None
    assert "declare the worker `async def`" in error.message


@pytest.mark.parametrize(
    ("reason", "code"), [("timeout", "timeout"), ("cancelled", "cancelled"), ("lost", "cancelled")]
)
def test_an_attempt_that_stops_when_asked_is_unknown(reason: str, code: str):
    def work(ctx: Context) -> None:
        ctx.raise_if_cancelled()

    outcome = outcome_of(work, stop=reason)
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("unknown", code)


def test_a_coroutine_that_is_cancelled_when_asked_is_unknown():
    async def work() -> None:
        raise asyncio.CancelledError

    error = outcome_of(work, stop="timeout").error
    assert error is not None
    assert error.code == "timeout"


def test_what_an_attempt_returns_after_it_was_asked_to_stop_still_counts():
    assert outcome_of(lambda: 1, stop="timeout").outcome == "completed"


def test_landed_brings_the_output():
    outcome = outcome_of(lambda: Landed({"id": 1}), phase="verify")
    assert (outcome.outcome, outcome.verdict, bytes(outcome.output)) == ("completed", "landed", b'{"id":1}')


def test_not_landed_is_not_fenced_by_itself():
    outcome = outcome_of(lambda: NotLanded(), phase="verify", fencing=True)
    assert (outcome.outcome, outcome.verdict, outcome.fenced) == ("completed", "not_landed", False)


def test_not_landed_is_fenced_where_the_service_sealed_the_key():
    assert outcome_of(lambda: NotLanded(fenced=True), phase="verify").fenced


@pytest.mark.parametrize("fencing", [True, False])
def test_not_landed_is_fenced_by_the_barrier_of_the_last_verification(fencing: bool):
    def work(ctx: Context) -> NotLanded:
        connection = sqlite3.connect(":memory:")
        with connection, ctx.barrier(connection) as once:
            assert not once.done
        connection.close()
        return NotLanded()

    assert outcome_of(work, phase="verify", fencing=fencing).fenced is fencing


def test_pending_says_when_to_ask_again():
    outcome = outcome_of(lambda: Pending(after="5s"), phase="verify")
    assert (outcome.outcome, outcome.verdict, outcome.after_ms) == ("completed", "pending", 5000)


def test_a_verification_without_a_verdict_is_unknown():
    error = outcome_of(lambda: {"id": 1}, phase="verify").error
    assert error is not None
    assert error.code == "invalid_output"
    assert "returns Landed, NotLanded or Pending, not dict" in error.message


def test_what_landed_must_fit_its_annotation():
    def work() -> Landed[int]:
        return Landed("x")  # type: ignore[arg-type]

    error = outcome_of(work, phase="verify").error
    assert error is not None
    assert error.code == "invalid_output"


def test_an_attempt_that_overran_is_unknown():
    outcome = overrun(message(), {"traceback": "…"})
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("unknown", "timeout")
    assert "longer than its timeout of 1000 ms" in outcome.error.message
