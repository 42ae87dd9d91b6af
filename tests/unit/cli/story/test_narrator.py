"""A run told line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.screen import plain
from runner.cli.story.narrator import Narrator
from runner.cli.story.reading import plan_of, read_events, read_view
from tests.desk import EVERYTHING, Desk, desk_of_a_parent


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def told(desk: Desk, run_id: str, *, verbose: bool = False) -> list[str]:
    narrator = Narrator(plan_of(desk.client, desk.client.stored(run_id)), verbose=verbose)
    return [plain(line) for event in read_events(desk.client, run_id) for line in narrator.tell(event)]


def test_a_completed_run_is_a_line_a_step(desk: Desk):
    assert told(desk, desk.run()) == [
        "  ✓ reserve  stock.reserve      0 ms",
        "  - gift     stock.reserve             skipped",
        "  ✓ charge   card.charge        0 ms",
    ]


def test_a_failed_run_says_why_and_what_was_undone(desk: Desk):
    assert told(desk, desk.run(fail="declined"))[2:] == [
        "  ✗ charge   card.charge        0 ms   declined: insufficient funds",
        "  ↩ undoing 1 step",
        "  ✓ reserve  stock.release      0 ms",
    ]


def test_a_retry_after_a_short_pause_is_told_with_the_end_only(desk: Desk):
    lines = told(desk, desk.run(fail="flaky"))
    assert lines[-1] == "  ✓ charge   card.charge      1.00 s   2 attempts (exception, then ok)"
    assert len(lines) == 3


def test_every_pause_is_told_to_who_wants_to_know(desk: Desk):
    assert any("again in 1.00 s" in line for line in told(desk, desk.run(fail="flaky"), verbose=True))


def test_attempts_that_all_ended_alike_are_only_counted(desk: Desk):
    (line,) = [line for line in told(desk, desk.run(fail="broken")) if "✗" in line]
    assert "3 attempts" in line
    assert "it is not known whether it took effect" in line


def test_a_stuck_undo_is_told(desk: Desk):
    assert told(desk, desk.run(fail="undo"))[-1] == (
        "  ‼ reserve  stock.release             the undo is stuck · 1 attempt · locked: the shelf is locked"
    )


def test_a_cancel_is_told_with_who_asked_and_why(desk: Desk):
    handle = desk.start()
    desk.client.cancel(handle.id, reason="no longer\nwanted", timeout=0)
    desk.work()
    assert any(line.startswith("  · cancel asked for by ") and line.endswith(": no longer wanted")
               for line in told(desk, handle.id))  # fmt: skip


def test_a_message_of_many_lines_stays_on_one(desk: Desk):
    narrator = Narrator(None)
    line = narrator.step_line(("✗", "red"), "pay", "card.charge", 3, "first\nsecond\tthird")
    assert plain(line).endswith("first second third")


def test_a_run_is_told_also_when_its_definition_is_gone(desk: Desk):
    run_id = desk.run(fail="declined")
    narrator = Narrator(None)
    lines = [plain(line) for event in read_events(desk.client, run_id) for line in narrator.tell(event)]
    assert any("declined: insufficient funds" in line for line in lines)


OWN = """
workflow: own
version: 1.0.0
vars: {n: 0}
steps:
  - {id: count, set: {n: 1}}
  - id: block
    steps:
      - {id: compare, set: {n: "{{ input.how == 'step' and 1 < 'a' }}"}}
    output: {wrong: "{{ input.how == 'block' and 1 < 'a' }}"}
"""


@pytest.mark.parametrize(
    ("how", "line"),
    [("step", "    ✗ compare                    0 ms   expression_error: set: < needs two numbers or two strings, "),
     ("block", "  ✗ block                      0 ms   expression_error: output: /wrong: < needs two numbers ")],
)  # fmt: skip
def test_what_fails_by_itself_says_why(tmp_path: Path, how: str, line: str):
    desk = Desk(tmp_path, OWN)
    (failed,) = [each for each in told(desk, _own_run(desk, how)) if "✗" in each]
    assert failed.startswith(line)


def _own_run(desk: Desk, how: str) -> str:
    run = desk.client.start(desk.definition, {"how": how})
    desk.work()
    return run.id


@pytest.mark.parametrize("verbose", [False, True])
def test_a_step_that_asks_nobody_has_its_line(tmp_path: Path, verbose: bool):
    desk = Desk(tmp_path, OWN)
    assert told(desk, _own_run(desk, ""), verbose=verbose)[0] == "  ✓ count                      0 ms"


def test_no_line_is_about_what_is_no_step(desk: Desk):
    """Also for who wants to know everything: the whole of the run has no name, nor has its `finally`."""
    for run_id in (desk.run(), desk.run(id="A-2", fail="declined")):
        assert told(desk, run_id, verbose=True) == told(desk, run_id)


@pytest.fixture
def wide(tmp_path: Path) -> Desk:
    """A run of every construct may be started here."""
    return Desk(tmp_path, EVERYTHING)


def everything(wide: Desk, **given: object) -> str:
    """A run of it, as far as it gets without a signal."""
    run_id = wide.client.start(wide.definition, given).id
    wide.work()
    return run_id


def test_steps_side_by_side_are_told_by_their_paths(wide: Desk):
    run_id = everything(wide, items=["a", "b"])
    assert told(wide, run_id) == [
        "  · checks                      parallel                  2 branches",
        "  · checks.stock/lines          for_each                  2 items",
        "  ✓ checks.fraud/score          stock.reserve      0 ms",
        "  ✓ checks.stock/lines#0/hold   stock.reserve      0 ms",
        "  ✓ checks.stock/lines#0/tag                       0 ms",
        "  ✓ checks.stock/lines#1/hold   stock.reserve      0 ms",
        "  ✓ checks.stock/lines#1/tag                       0 ms",
        "  · again                       repeat                    at most 5 rounds",
        "  ✓ again#0/count                                  0 ms",
        "  ✓ again#1/count                                  0 ms",
        "  · risk                        switch                    case 0 · {{ input.risk > 5 }}",
        "  · risk.0/review               wait_for                  waits for signal review until "
        f"2023-11-15 00:13 (in 2 h); sagarun signal {run_id} review --data '{{\"approved\":true}}'",
    ]


def test_a_signal_a_wait_and_a_confirmation_are_told(wide: Desk):
    run_id = everything(wide)
    known = len(told(wide, run_id))
    wide.client.signal(run_id, "review", {"approved": True}, timeout=0)
    wide.work()
    wide.wait(3 * 86_400_000)
    assert told(wide, run_id)[known:] == [
        "  · signal review came",
        "  ✓ risk.0/review               wait_for           0 ms",
        "  · pause                       wait                      waits until 2023-11-17 22:13 (in 3 d)",
        "  ✓ pause                       wait                3 d",
        "  ✓ charge                      card.charge        0 ms",
        "  ✓ charge                      card.refund        0 ms   confirmed",
    ]


def test_a_signal_that_does_not_come_is_told(wide: Desk):
    run_id = everything(wide)
    wide.wait(2 * 3_600_000)
    (line,) = [line for line in told(wide, run_id) if "✗" in line]
    assert line.startswith("  ✗ risk.0/review               wait_for            2 h   signal_timeout: no signal")


NUMBERS = [str(number) for number in range(1_000)]


def test_a_thousand_items_are_told_in_tenths(wide: Desk):
    lines = told(wide, everything(wide, items=NUMBERS, risk=0))
    about = [line for line in lines if "lines" in line]
    assert len(about) == 11
    assert about[0].endswith("1000 items")
    assert about[1].endswith("100/1000 items")
    assert about[-1].split() == ["✓", "checks.stock/lines", "for_each", "0", "ms", "1000", "items"]


def test_a_thousand_items_are_undone_in_tenths(wide: Desk):
    run_id = everything(wide, items=NUMBERS, risk=0, fail="declined")
    wide.wait(3 * 86_400_000)
    lines = told(wide, run_id)
    at = lines.index("  ↩ undoing 1000 steps")
    assert [line.split()[3:] for line in lines[at + 1 :]] == [
        [str(count), "steps", "undone"] for count in range(100, 1_001, 100)
    ]


def test_every_item_is_told_to_who_wants_to_know(wide: Desk):
    run_id = everything(wide, items=NUMBERS[:20], risk=0)
    assert len([line for line in told(wide, run_id, verbose=True) if "/hold" in line]) == 20


def test_a_child_is_told_by_its_id_and_then_by_its_end(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    run_id = desk.run(last="declined")
    child = read_view(desk.client, run_id).steps[0].child
    assert child is not None
    assert [" ".join(line.split()) for line in told(desk, run_id)] == [
        f"· sub subworkflow run {child.run_id}, order 1.2.0",
        "✓ sub subworkflow 0 ms",
        "✗ last card.charge 0 ms declined: insufficient funds",
        "↩ undoing 1 step",
        "✓ sub subworkflow 0 ms",
    ]


def test_a_parent_tells_that_it_waits_for_a_stuck_child(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    run_id = desk.run(fail="undo")
    assert "which is stuck (locked: the shelf is locked)" in told(desk, run_id)[-1]
