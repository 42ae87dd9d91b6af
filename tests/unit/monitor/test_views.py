"""A run as people look at it: made from the stored state, with attempts from the history."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runner.cli.story.reading import read_view
from runner.monitor.shapes import RunView
from runner.monitor.views import PARKED_FOR_GOOD, live_runs, view_run
from runner.store.ports import SlotInfo
from tests.desk import ORDER, Desk, desk_of_a_parent


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def view(desk: Desk, **given: object) -> RunView:
    return read_view(desk.client, desk.run(**given))


def test_every_step_is_there_in_the_order_of_the_definition(desk: Desk):
    seen = view(desk)
    assert [(step.id, step.worker, step.status) for step in seen.steps] == [
        ("reserve", "stock.reserve", "completed"),
        ("gift", "stock.reserve", "skipped"),
        ("charge", "card.charge", "completed"),
    ]
    assert seen.status == "completed"
    assert seen.output == {"charged": 5}
    assert seen.input == {"id": "A-1", "amount": 5, "fail": ""}
    assert seen.standing == ()


def test_a_run_that_no_engine_took_up_is_pending(desk: Desk):
    seen = read_view(desk.client, desk.start().id)
    assert seen.status == "pending"
    assert (seen.workflow, seen.version, seen.key) == ("order", "1.2.0", "A-1")
    assert seen.steps == ()
    assert seen.waiting == 1


def test_a_run_that_waits_for_others_says_for_whom_and_how_many_are_before_it(tmp_path: Path):
    desk = Desk(tmp_path, ORDER.replace("steps:", "concurrency: {limit: 1}\nsteps:", 1))
    first, second, third = (desk.start(id=str(number)) for number in range(3))
    assert read_view(desk.client, first.id).line is None
    line = read_view(desk.client, third.id).line
    assert line == SlotInfo("order", 1, 1, 2, (first.id,), 1)
    assert read_view(desk.client, third.id).input == {"id": "2", "amount": 5, "fail": ""}
    desk.work()
    assert read_view(desk.client, second.id).line is None


def test_a_step_that_was_not_reached_is_pending(desk: Desk):
    handle = desk.start(fail="declined", amount=200)
    seen = read_view(desk.client, handle.id)
    desk.work()
    seen = read_view(desk.client, handle.id)
    assert {step.id: step.status for step in seen.steps} == {
        "reserve": "compensated", "gift": "compensated", "charge": "failed",
    }  # fmt: skip


def test_an_undo_is_told_with_its_step_and_the_failed_step_is_known(desk: Desk):
    seen = view(desk, fail="declined")
    reserve = seen.steps[0]
    assert reserve.compensation is not None
    assert (reserve.compensation.worker, reserve.compensation.status, reserve.compensation.attempts) == (
        "stock.release", "completed", 1,
    )  # fmt: skip
    assert seen.failed_step is not None
    assert seen.failed_step.id == "charge"
    assert seen.steps[2].compensation is None


def test_attempts_come_from_the_history(desk: Desk):
    charge = view(desk, fail="flaky").steps[2]
    assert charge.attempts == 2
    assert [attempt.outcome for attempt in charge.tries] == ["unknown", "completed"]


def test_without_its_history_a_run_is_shown_all_the_same(desk: Desk):
    run_id = desk.run(fail="flaky")
    seen = read_view(desk.client, run_id, [])
    assert seen.steps[2].attempts == 2
    assert seen.steps[2].tries == ()


def test_a_pause_is_told_with_its_end(desk: Desk):
    handle = desk.start(fail="broken")
    desk.work()
    charge = read_view(desk.client, handle.id).steps[2]
    assert charge.retry_at_ms == desk.clock() + 1_000
    assert charge.status == "running"


def test_a_stuck_run_says_what_is_stuck_and_what_stands(desk: Desk):
    seen = view(desk, fail="undo")
    assert seen.status == "stuck"
    assert [(stuck.step, stuck.undoing, stuck.error and stuck.error.code) for stuck in seen.stuck] == [
        ("reserve", True, "locked")
    ]
    assert [entry.step for entry in seen.standing] == ["reserve"]
    assert seen.steps[0].compensation is not None
    assert seen.steps[0].compensation.status == "stuck"


def test_a_run_whose_definition_is_gone_is_shown_by_its_nodes(desk: Desk):
    stored = desk.client.stored(desk.run(fail="declined"))
    seen = view_run(stored, desk.client.state(stored), None)
    assert {step.id: step.status for step in seen.steps} == {
        "reserve": "compensated", "gift": "skipped", "charge": "failed",
    }  # fmt: skip


def test_a_run_that_sagarun_cannot_interpret_is_stuck_for_people(desk: Desk):
    stored = desk.client.stored(desk.run())
    trace = b"Traceback\nKeyError: 'x'"
    broken = msgspec.structs.replace(stored, broken=trace, parked=PARKED_FOR_GOOD, status="running")
    seen = view_run(broken, desk.client.state(stored), None)
    assert seen.status == "stuck"
    assert "KeyError" in seen.broken


def test_live_runs_are_all_that_are_not_over(desk: Desk):
    desk.run()
    stuck = desk.run(id="B", fail="undo")
    started = desk.start(id="C").id
    assert [row.run_id for row in live_runs(desk.store)] == [started, stuck]


def test_nested_steps_are_told_below_their_block(tmp_path: Path):
    text = """
workflow: nested
version: 1.0.0
steps:
  - id: outer
    steps:
      - {id: inner, worker: stock.reserve, with: {id: x}, kind: readonly}
    catch:
      - errors: [any]
        steps: [{id: mend, worker: stock.reserve, with: {id: y}, kind: readonly}]
finally:
  - {id: record, worker: stock.reserve, with: {id: z}, kind: readonly}
"""
    desk = Desk(tmp_path, text)
    seen = read_view(desk.client, desk.run())
    assert [(step.id, step.path) for step in seen.steps] == [
        ("outer", "outer"), ("inner", "outer/inner"), ("record", "~finally/record"),
    ]  # fmt: skip


# -- children -----------------------------------------------------------------------------------------
def test_a_child_is_seen_from_its_parent_and_its_parent_from_it(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    seen = view(desk)
    step = seen.steps[0]
    assert (step.kind, step.status, step.output) == ("subworkflow", "completed", {"charged": 5})
    assert step.child is not None
    assert step.child.status == "completed"
    below = read_view(desk.client, step.child.run_id)
    assert (below.workflow, below.parent, below.parent_step) == ("order", seen.run_id, "sub")
    assert seen.rests
    assert seen.children_under_way == []


def test_a_parent_whose_child_is_stuck_rests_and_says_where(tmp_path: Path):
    seen = view(desk_of_a_parent(tmp_path), fail="undo")
    child = seen.steps[0].child
    assert child is not None
    assert (seen.status, seen.stuck_run, seen.rests) == ("running", child.run_id, True)
    assert (child.status, child.stuck_run) == ("running", child.run_id)
    assert seen.children_under_way == []


def test_a_parent_that_waits_for_its_child_only_waits(tmp_path: Path):
    desk = desk_of_a_parent(tmp_path)
    run_id = desk.start().id
    desk.take_up()
    seen = read_view(desk.client, run_id)
    assert len(seen.children_under_way) == 1
    assert not seen.rests
    assert seen.only_waits(desk.clock(), 1_000)  # whether the child does is for who asks to see


def test_the_undo_of_a_child_is_its_own(tmp_path: Path):
    seen = view(desk_of_a_parent(tmp_path), last="declined")
    step = seen.steps[0]
    assert step.compensation is not None
    assert step.child is not None
    assert (step.status, step.compensation.worker) == ("compensated", f"run {step.child.run_id}")
