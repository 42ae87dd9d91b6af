"""A run's steps as a tree of lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.screen import plain
from runner.cli.story.narrator import Narrator
from runner.cli.story.reading import read_events, read_view
from runner.cli.story.report import run_json
from runner.cli.story.tree import live_lines, step_lines
from runner.monitor.shapes import RunView
from tests.desk import EVERYTHING, ORDER, Desk, desk_of_a_parent


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def wide(tmp_path: Path) -> Desk:
    """A run of every construct may be started here."""
    return Desk(tmp_path, EVERYTHING)


def view(desk: Desk, **given: object) -> RunView:
    return read_view(desk.client, desk.run(**given))


def everything(wide: Desk, **given: object) -> RunView:
    """A run of it, as far as it gets without a signal."""
    run_id = wide.client.start(wide.definition, given).id
    wide.work()
    return read_view(wide.client, run_id)


def told(seen: RunView, **how: int | bool) -> list[str]:
    return [plain(line).rstrip() for line in step_lines(seen, **how)]  # type: ignore[arg-type]


def test_steps_have_their_undo_below_them(desk: Desk):
    lines = [plain(line) for line in step_lines(view(desk, fail="declined"))]
    assert [line.split()[:2] for line in lines] == [
        ["✓", "reserve"], ["↩", "undo"], ["-", "gift"], ["✗", "charge"],
    ]  # fmt: skip


def test_what_a_person_said_of_an_undo_stands_at_the_undo(desk: Desk):
    run_id = desk.run(fail="undo")
    desk.client.resolve(run_id, "reserve", "skipped", timeout=0)
    desk.work()
    step, undo, *_ = told(read_view(desk.client, run_id))
    assert "hand" not in step
    assert "not undone: skipped by hand" in undo


def test_what_an_abandoned_run_left_under_way_is_not_shown_as_going_on(desk: Desk):
    desk.start(fail="broken")
    desk.work()
    (run_id,) = [row.run_id for row in desk.client.list()]
    assert "waits to be asked again" in told(read_view(desk.client, run_id))[-1]
    desk.client.abandon(run_id, timeout=0)
    desk.take_up()
    charge = told(read_view(desk.client, run_id))[-1]
    assert charge.startswith("  ? charge")
    assert "left under way" in charge
    assert "asked again" not in charge


def test_an_undo_that_an_abandoned_run_left_under_way_is_told(desk: Desk):
    run_id = desk.run(fail="undo")
    desk.client.resume(run_id, timeout=0)
    desk.take_up()
    assert "undoing" in told(read_view(desk.client, run_id))[1]
    desk.client.abandon(run_id, timeout=0)
    desk.take_up()
    undo = told(read_view(desk.client, run_id))[1]
    assert "undo" in undo
    assert "left under way" in undo


def test_a_step_that_took_effect_and_broke_all_the_same_is_not_ticked_off(tmp_path: Path):
    """Its output could not be made, or nobody knew whether it took effect; both were undone."""
    output = """output: {wrong: "{{ 1 < 'a' }}"}"""
    desk = Desk(tmp_path, ORDER.replace("    with: {id: gift}", f"    {output}\n    with: {{id: gift}}"))
    lines = [plain(line) for line in step_lines(view(desk, amount=200))]
    assert [line.split()[:2] for line in lines[2:4]] == [["✗", "gift"], ["↩", "undo"]]
    lines = [plain(line) for line in step_lines(view(Desk(tmp_path), fail="broken"))]
    assert [line.split()[:2] for line in lines[3:]] == [["✗", "charge"], ["↩", "undo"]]


def test_a_step_under_way_is_timed_and_a_pause_counts_down(desk: Desk):
    handle = desk.start(fail="broken")
    desk.work()
    lines = [plain(line) for line in step_lines(read_view(desk.client, handle.id), now_ms=desk.clock() + 400)]
    assert "▸ charge" in lines[2]
    assert "400 ms" in lines[2]
    assert "again in 600 ms" in lines[2]


def test_a_task_that_nobody_took_is_waiting_for_a_worker(desk: Desk):
    handle = desk.start()
    desk._engine.step()
    lines = [plain(line) for line in step_lines(read_view(desk.client, handle.id))]
    assert "waits for a worker" in lines[0]


def test_branches_items_rounds_and_cases_stand_below_their_step(wide: Desk):
    assert told(everything(wide, items=["a", "b"])) == [
        "  ✓ checks         parallel           0 ms  2 branches",
        "    ✓ fraud score  stock.reserve      0 ms",
        "    ✓ stock lines  for_each           0 ms  2 items",
        "      #0",
        "        ✓ hold     stock.reserve      0 ms",
        "        ✓ tag      set                0 ms",
        "      #1",
        "        ✓ hold     stock.reserve      0 ms",
        "        ✓ tag      set                0 ms",
        "  ✓ again          repeat             0 ms  2 rounds",
        "    ✓ #0 count     set                0 ms",
        "    ✓ #1 count     set                0 ms",
        "  ▸ risk           switch                   case 0 · {{ input.risk > 5 }}",
        "    ▸ review       wait_for                 waits for signal review until 2023-11-15 00:13",
        "  · pause          wait",
        "  · charge         card.charge",
    ]


def test_a_wait_says_how_long_it_still_is(wide: Desk):
    seen = everything(wide, risk=0)
    (line,) = [line for line in told(seen, now_ms=wide.clock() + 86_400_000) if " pause " in line]
    assert line.endswith("24 h  waits until 2023-11-17 22:13 (in 2 d)")


def test_a_confirmation_stands_below_its_step(wide: Desk):
    run_id = everything(wide, risk=0).run_id
    wide.wait(3 * 86_400_000)
    assert told(read_view(wide.client, run_id))[-1] == "    ⇧ confirm      card.refund              confirmed"


ITEMS = [str(number) for number in range(1_000)]


def test_a_run_of_a_thousand_items_is_as_long_as_one_of_a_few(wide: Desk):
    seen = everything(wide, items=ITEMS)
    lines = told(seen)
    assert len(lines) < 15
    assert "    ✓ stock lines  for_each           0 ms  1000 items" in lines
    assert f"      … 1000 items: sagarun show {seen.run_id} --all" in lines
    assert len(told(seen, whole=True)) > 3_000


def test_of_many_items_those_that_went_wrong_are_shown(tmp_path: Path):
    text = EVERYTHING.replace("as: line", "as: line\n              on_item_failure: collect")
    odd = """{id: tag, when: "{{ line == '777' }}", fail: {error: odd}}"""
    text = text.replace("""{id: tag, set: {last: "{{ line }}"}}""", odd)
    lines = told(everything(Desk(tmp_path, text), items=ITEMS))
    at = next(number for number, line in enumerate(lines) if " lines " in line)
    assert lines[at].endswith("1000 items, 1 failed")
    shown = [line.split()[0] for line in lines[at + 1 : at + 6]]
    assert shown == ["#777", "✓", "↩", "✗", "…"]
    assert lines[at + 5].startswith("      … 999 more items: sagarun show ")


def test_of_items_under_way_no_more_are_shown_than_a_screen_holds(tmp_path: Path):
    desk = Desk(tmp_path, EVERYTHING.replace("max_parallel: 2", "max_parallel: 500"))
    run_id = desk.client.start(desk.definition, {"items": ITEMS}).id
    for _ in range(8):
        desk._engine.step()
    lines = told(read_view(desk.client, run_id))
    at = next(number for number, line in enumerate(lines) if " lines " in line)
    assert lines[at].endswith("0/1000 items, 500 running")
    assert len([line for line in lines if line.strip().startswith("#")]) == 10
    assert any("… 490 more items" in line for line in lines)


def test_a_small_screen_shows_what_moves(wide: Desk):
    seen = everything(wide)
    lines = [plain(line) for line in live_lines(seen, now_ms=wide.clock(), height=8)]
    assert len(lines) <= 8
    assert lines[0].endswith("lines above")
    assert any("review" in line for line in lines)


def test_a_large_screen_shows_everything(wide: Desk):
    seen = everything(wide)
    assert live_lines(seen, now_ms=wide.clock(), height=50) == step_lines(seen, now_ms=wide.clock())


ANY = """
workflow: race
version: 1.0.0
steps:
  - id: race
    parallel:
      join: any
      branches:
        left:
          - {id: a, worker: stock.reserve, with: {id: a}, compensate: {worker: card.refund}}
        right:
          - {id: b, worker: stock.reserve, with: {id: b}, compensate: {worker: card.refund}}
"""


def test_the_branch_that_was_first_is_named(tmp_path: Path):
    desk = Desk(tmp_path, ANY)
    seen = everything(desk)
    assert told(seen)[0] == "  ✓ race       parallel           0 ms  2 branches, left was first, 1 undone"
    assert run_json(seen)["steps"][0]["parts"] == {"count": 2, "first": "left", "completed": 1, "compensated": 1}
    narrator = Narrator(desk.client.catalogue.plan(desk.definition.digest))
    lines = [plain(line) for event in read_events(desk.client, seen.run_id) for line in narrator.tell(event)]
    assert "  · race          parallel                  left is first" in lines


def test_without_its_definition_the_steps_are_shown_below_each_other_all_the_same(wide: Desk):
    from runner.monitor.views import view_run

    stored = wide.client.stored(everything(wide).run_id)
    lines = told(view_run(stored, wide.client.state(stored), None))
    assert any(line.split()[:2] == ["✓", "hold"] for line in lines)
    assert any("review" in line for line in lines)


def test_a_child_is_named_with_what_its_parent_knows_of_it(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    seen = view(desk, fail="undo")
    assert seen.steps[0].child is not None
    assert told(seen)[0].split() == ["▸", "sub", "subworkflow", "run", f"{seen.steps[0].child.run_id},", "stuck"]
    lines = told(view(desk, id="A-2", last="declined"))
    assert lines[0].split()[-2:-1] != ["stuck"]
    assert lines[1].split()[:2] == ["↩", "undo"]
