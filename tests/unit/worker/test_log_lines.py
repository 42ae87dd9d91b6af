"""Lines of an attempt: bounded, marked with what it is, and never a reason for anything else to fail."""

from __future__ import annotations

import logging

from runner.trace import run_span
from runner.wire import LOG_BYTES, LOG_LINES
from runner.worker.context import Context, enter, fake_context, leave
from runner.worker.log_lines import AttemptMarks, LineKeeper, LogLines


def record(text: str = "hello", **extra: object) -> logging.LogRecord:
    return logging.getLogger("shop").makeRecord("shop", logging.INFO, __file__, 1, text, (), None, extra=extra)


def within(context: Context, act) -> None:
    token = enter(context)
    try:
        act()
    finally:
        leave(token)


def test_the_oldest_lines_are_forgotten():
    lines = LogLines()
    for number in range(1_000):
        lines.add(f"line {number}")
    kept = lines.text().split("\n")
    assert (len(kept), kept[-1]) == (LOG_LINES, "line 999")


def test_no_more_is_held_than_is_kept():
    lines = LogLines()
    for _ in range(20):
        lines.add("x" * LOG_BYTES * 2)
    assert len(lines.text()) == LOG_BYTES
    assert len(lines._lines) == 1


def test_a_record_goes_to_the_attempt_that_runs():
    keeper, first, second = LineKeeper(), fake_context(), fake_context()
    within(first, lambda: keeper.handle(record("first")))
    within(second, lambda: keeper.handle(record("second")))
    keeper.handle(record("nobody's"))
    assert first.lines is not None
    assert second.lines is not None
    assert first.lines.text().endswith("INFO shop: first")
    assert second.lines.text().endswith("INFO shop: second")


def test_a_record_that_cannot_be_formatted_does_no_harm(capsys):
    bad = record("%d")
    bad.args = ("no number",)
    within(fake_context(), lambda: LineKeeper().handle(bad))
    assert "Logging error" in capsys.readouterr().err


def test_a_record_says_what_was_running():
    context = fake_context(path="lines#3/ship", step="ship", worker="shop.ship", attempt=2,
                           traceparent=run_span("r1").traceparent)  # fmt: skip
    marked = record()
    within(context, lambda: AttemptMarks("host:1:a").filter(marked))
    assert vars(marked).items() >= {
        "process_id": "host:1:a", "run_id": "testrun", "workflow": "test", "step": "lines#3/ship", "phase": "action",
        "attempt": 2, "worker": "shop.ship", "trace_id": run_span("r1").trace_id, "span_id": run_span("r1").span_id,
    }.items()


def test_what_the_record_says_of_itself_stays():
    marked = record(run_id="another", step="mine")
    within(fake_context(), lambda: AttemptMarks("p").filter(marked))
    assert (marked.run_id, marked.step) == ("another", "mine")  # type: ignore[attr-defined]


def test_outside_of_attempts_only_the_process_is_said():
    marked = record()
    assert AttemptMarks("p").filter(marked)
    assert marked.process_id == "p"  # type: ignore[attr-defined]
    assert not hasattr(marked, "run_id")
