"""Who tells of an alert: one of all who see it, once in its cool-down, and once that it is over."""

from __future__ import annotations

from runner.store.observations import AlertRow
from tests.conformance.store_world import StoreWorld

COOL_DOWN_MS = 60_000


def note(world: StoreWorld, *, firing: bool = True, nonce: str = "", name: str = "late") -> bool:
    return world.store.note_alert(
        name, nonce or world.nonce(), firing=firing, cool_down_ms=COOL_DOWN_MS, body=b"queue|mail"
    )


def test_one_of_all_who_see_it_tells(world: StoreWorld):
    assert [note(world) for _ in range(3)] == [True, False, False]


def test_a_repeat_gets_the_same_answer(world: StoreWorld):
    assert [note(world, nonce="mine"), note(world, nonce="mine"), note(world, nonce="other")] == [True, True, False]


def test_it_is_told_again_after_its_cool_down(world: StoreWorld):
    note(world)
    world.clock.advance(COOL_DOWN_MS - 1)
    assert not note(world)
    world.clock.advance(1)
    assert [note(world), note(world)] == [True, False]


def test_its_end_is_told_once(world: StoreWorld):
    assert not note(world, firing=False)
    note(world)
    assert [note(world, firing=False), note(world, firing=False)] == [True, False]


def test_one_that_comes_and_goes_is_not_told_each_time(world: StoreWorld):
    note(world)
    note(world, firing=False)
    world.clock.advance(1_000)
    assert not note(world)
    assert not note(world, firing=False), "nobody was told that it came back"
    world.clock.advance(COOL_DOWN_MS)
    assert note(world)


def test_alerts_are_listed_with_since_when_they_fire(world: StoreWorld):
    began_ms = world.clock.now_ms
    note(world)
    note(world, name="big")
    world.clock.advance(10)
    note(world, name="big", firing=False)
    assert world.store.alerts() == [
        AlertRow("big", False, began_ms + 10, began_ms, b"queue|mail"),
        AlertRow("late", True, began_ms, began_ms, b"queue|mail"),
    ]
