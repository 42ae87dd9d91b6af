"""A run drawn over time: bars where something happened, notes of who did it, and never wider than it may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.screen import Screen, plain
from runner.cli.story.family import read_family
from runner.cli.story.timeline import show_timeline, timeline_lines
from runner.interpreter import event as ev
from runner.monitor.story import Attempt
from runner.monitor.timeline import Row, Span, timeline
from tests.desk import Desk, desk_of_a_parent


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def drawn(rows: list[Row], width: int = 100, **given: object) -> list[str]:
    view = read_family(given["desk"].client, given["run"])  # type: ignore[attr-defined, arg-type]
    return [plain(line) for line in timeline_lines(view, rows, width)]


def rows_of(desk: Desk, run_id: str) -> list[Row]:
    return timeline(read_family(desk.client, run_id), desk.clock())


def attempt(start: int, claim: int, end: int, outcome: str = "completed", process: str = "h:1:a") -> Attempt:
    return Attempt("action", 1, "w", start, outcome, process=process, claimed_at_ms=claim, settled_at_ms=end)


def row(path: str, *tries: Attempt) -> Row:
    spans = []
    for each in tries:
        spans += [Span("queue", each.asked_at_ms, each.claimed_at_ms, each),
                  Span("work", each.claimed_at_ms, each.settled_at_ms, each)]
    return Row(path, 0, "forward", "none", "w", tuple(spans))


def test_steps_undos_and_pauses_have_rows(desk: Desk):
    rows = rows_of(desk, desk.run(fail="broken"))
    assert [(each.path, each.role) for each in rows] == [
        ("reserve", "forward"), ("charge", "forward"), ("charge", "undo"), ("reserve", "undo")]
    once = ["queue", "work"]
    assert [span.kind for span in rows[1].spans] == [*once, "pause", *once, "pause", *once]
    assert rows[1].error == "RuntimeError"


def test_the_time_for_which_an_undo_was_stuck_is_drawn_and_not_counted(desk: Desk):
    run_id = desk.run(fail="undo")
    desk.wait(3_600_000)
    desk.client.resolve(run_id, "reserve", "skipped", reason="by hand", timeout=0)
    desk.work()
    rows = rows_of(desk, run_id)
    (undo,) = (row for row in rows if row.role == "undo" and row.path == "reserve")
    assert [span.kind for span in undo.spans][-1] == "stuck"
    assert undo.took_ms < 60_000 < undo.end_ms - undo.start_ms
    lines = drawn(rows, 120, desk=desk, run=run_id)
    assert any("settled by hand: skipped" in line for line in lines)
    assert "! stuck, waiting for a person" in "".join(lines)


def test_a_child_stands_below_the_step_that_started_it(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    rows = rows_of(desk, desk.run())
    (child,) = (number for number, each in enumerate(rows) if each.kind == "subworkflow")
    assert rows[child + 1].depth == rows[child].depth + 1


def test_no_line_is_wider_than_the_terminal(desk: Desk):
    run = desk.run(fail="broken")
    for width in (60, 80, 100, 200):
        lines = drawn(rows_of(desk, run), width, desk=desk, run=run)
        assert max(map(len, lines[2:-2])) <= width


def test_bars_are_where_things_happened(desk: Desk):
    run = desk.run()
    rows = [row("first", attempt(0, 0, 500)), row("second", attempt(500, 750, 1_000, "failed"))]
    lines = drawn(rows, 70, desk=desk, run=run)
    bars = [line[10 : 10 + 50] for line in lines[3:5]]
    first, second = (bar.rstrip() for bar in bars)
    assert set(first.strip()) >= {"█"}
    assert "█" in first[:5]
    assert len(first.split(" ")[0]) <= second.index("░") + 1
    assert second.index("░") < second.index("█") < second.index("✗")


def test_a_wait_of_days_is_folded(desk: Desk):
    run, day = desk.run(), 86_400_000
    rows = [row("first", attempt(0, 10, 500)), row("second", attempt(3 * day, 3 * day + 10, 3 * day + 500))]
    lines = drawn(rows, 80, desk=desk, run=run)
    assert "≈ 3 d 0 h" in "\n".join(lines).replace("3 d in", "3 d 0 h in")
    assert lines[3].count("█") > 10


def test_who_did_it_is_numbered_and_named(desk: Desk):
    run = desk.run()
    again = attempt(9, 10, 12, process="h:2:b")
    rows = [row("first", attempt(0, 1, 5)), row("second", attempt(5, 6, 9, "unknown"), again)]
    lines = drawn(rows, 100, desk=desk, run=run)
    assert "w @1,2 ×2" in lines[4]
    assert lines[-2:] == ["  @1 h:1:a, 2 attempts", "  @2 h:2:b, 1 attempt"]


def test_of_a_long_loop_the_first_rows_are_drawn(desk: Desk):
    run = desk.run()
    rows = [row(f"lines#{number}/ship", attempt(number, number, number + 1)) for number in range(100)]
    text = "\n".join(drawn(rows, 100, desk=desk, run=run))
    assert text.count("lines#") == 20
    assert "80 more rows" in text


def test_nothing_that_ran_is_said(desk: Desk):
    run = desk.start().id
    assert "nothing has run yet" in "\n".join(drawn(rows_of(desk, run), desk=desk, run=run))


def test_json_has_the_spans(desk: Desk, capsys: pytest.CaptureFixture[str]):
    import msgspec

    view = read_family(desk.client, desk.run())
    show_timeline(view, Screen(format="json"), desk.clock())
    told = msgspec.json.decode(capsys.readouterr().out)
    assert [each["path"] for each in told["rows"]] == ["reserve", "charge"]
    assert told["rows"][0]["spans"][0].keys() == {"kind", "start_ms", "end_ms", "attempt", "phase", "process", "ended"}


def test_what_is_under_way_reaches_to_now(desk: Desk):
    handle = desk.start()
    desk.take_up()
    desk.clock.advance(5_000)
    (only,) = rows_of(desk, handle.id)
    assert (only.spans[-1].kind, only.end_ms - only.start_ms, only.is_open) == ("queue", 5_000, True)
    assert isinstance(handle.events()[0], ev.RunStarted)
