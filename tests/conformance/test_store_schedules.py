"""What every store promises about schedules: they are kept, and each fire time is noted once. See ports.ScheduleRow."""

from __future__ import annotations

import pytest

from runner.errors import StoreError
from runner.store.limits import MAX_VALUE_BYTES
from runner.store.ports import ScheduleRow
from tests.conformance.store_world import StoreWorld


def test_schedules_are_kept_by_workflow(world: StoreWorld):
    world.store.put_schedule("order", b"daily")
    world.store.put_schedule("billing", b"monthly")
    assert world.store.schedules() == [ScheduleRow("billing", b"monthly"), ScheduleRow("order", b"daily")]


def test_a_schedule_that_is_put_again_keeps_what_was_noted(world: StoreWorld):
    world.store.put_schedule("order", b"daily")
    world.store.note_fire("order", 1_000, b"started|r1")
    world.store.put_schedule("order", b"hourly")
    assert world.store.schedules() == [ScheduleRow("order", b"hourly", 1_000, b"started|r1")]


def test_only_a_later_fire_time_is_noted(world: StoreWorld):
    world.store.put_schedule("order", b"daily")
    noted = [world.store.note_fire("order", at_ms, b"note") for at_ms in (2_000, 1_000, 3_000)]
    assert noted == [True, False, True]
    assert world.store.schedules()[0].fired_at_ms == 3_000


def test_what_was_noted_first_stays_and_may_be_repeated(world: StoreWorld):
    world.store.put_schedule("order", b"daily")
    assert [world.store.note_fire("order", 1_000, note) for note in (b"a", b"b", b"a")] == [True, False, True]
    assert world.store.schedules()[0].note == b"a"


def test_a_removed_schedule_leaves_nothing_behind(world: StoreWorld):
    world.store.put_schedule("order", b"daily")
    world.store.note_fire("order", 1_000, b"note")
    assert world.store.remove_schedule("order") is True
    assert world.store.remove_schedule("order") is False
    assert world.store.note_fire("order", 2_000, b"note") is False
    world.store.put_schedule("order", b"daily")
    assert world.store.schedules() == [ScheduleRow("order", b"daily")]


@pytest.mark.parametrize("workflow", ["", "a|b", "x" * 513])
def test_a_workflow_needs_a_name_that_a_record_can_have(world: StoreWorld, workflow: str):
    with pytest.raises(ValueError, match="printable characters"):
        world.store.put_schedule(workflow, b"daily")


def test_an_oversized_schedule_is_refused(world: StoreWorld):
    with pytest.raises(StoreError, match="the schedule of order"):
        world.store.put_schedule("order", b"x" * (MAX_VALUE_BYTES + 1))


def test_a_tick_says_what_time_it_was(world: StoreWorld):
    world.clock.advance(5)
    assert world.store.tick().now_ms == world.clock.now_ms
