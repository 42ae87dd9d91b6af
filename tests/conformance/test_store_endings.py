"""What is over can be held until somebody has copied it, and expires no sooner."""

from __future__ import annotations

from runner.store.ports import HELD_MS
from tests.conformance.store_world import StoreWorld

LONG_MS = 40 * 365 * 86_400_000


def ended(world: StoreWorld, run_id: str, retention_ms: int) -> int:
    world.running(run_id, "a")
    world.end(run_id, retention_ms=retention_ms)
    return world.clock.now_ms


def is_there(world: StoreWorld, run_id: str) -> bool:
    return world.store.load_runs([run_id])[0] is not None


def test_a_held_run_does_not_expire(world: StoreWorld):
    at_ms = ended(world, "r1", HELD_MS)
    world.clock.advance(LONG_MS)
    world.store.tick()
    assert is_there(world, "r1")
    assert world.store.ended_runs() == [("r1", at_ms)]


def test_held_runs_come_by_when_they_ended(world: StoreWorld):
    for run_id in ("b", "a", "c"):
        world.clock.advance(10)
        ended(world, run_id, HELD_MS)
    assert [run_id for run_id, _ in world.store.ended_runs(limit=2)] == ["b", "a"]


def test_a_released_run_expires_when_it_is_said(world: StoreWorld):
    at_ms = ended(world, "r1", HELD_MS)
    world.store.release_runs({"r1": at_ms + 5_000})
    assert world.store.ended_runs() == []
    world.store.tick()
    assert is_there(world, "r1")
    world.clock.advance(5_001)
    world.store.tick()
    assert not is_there(world, "r1")


def test_a_run_that_is_released_for_ever_stays(world: StoreWorld):
    ended(world, "r1", HELD_MS)
    world.store.release_runs({"r1": 0})
    world.clock.advance(LONG_MS)
    world.store.tick()
    assert is_there(world, "r1")
    assert world.store.ended_runs() == []


def test_what_ended_with_another_retention_is_held_from_now_on(world: StoreWorld):
    at_ms = ended(world, "r1", 1_000)
    ended(world, "forever", 0)
    assert world.store.hold_ended() == 1
    world.clock.advance(1_001)
    world.store.tick()
    assert is_there(world, "r1")
    assert world.store.ended_runs() == [("r1", at_ms)]
    assert world.store.hold_ended() == 0


def test_what_was_released_is_not_held_again(world: StoreWorld):
    at_ms = ended(world, "r1", HELD_MS)
    world.store.release_runs({"r1": at_ms + 1})
    assert world.store.hold_ended() == 0
    assert world.store.ended_runs() == []


def test_runs_that_are_not_over_or_not_there_are_not_released(world: StoreWorld):
    world.running("r1", "a")
    world.store.release_runs({"r1": 1, "nobody": 1})
    world.clock.advance(5)
    world.store.tick()
    assert is_there(world, "r1")
    assert not is_there(world, "nobody")
    world.store.release_runs({})


def test_many_are_held_and_released(world: StoreWorld):
    ids = [f"r{number:04}" for number in range(600)]
    world.start(*ids)
    for begin in range(0, 600, 100):
        commits = [
            world.next_commit(run_id, terminal=True, retention_ms=1_000 + begin) for run_id in ids[begin : begin + 100]
        ]
        world.store.commit(commits)
    world.store.release_runs(dict.fromkeys(ids[:300], 10**15))
    assert world.store.hold_ended() == 300
    assert {run_id for run_id, _ in world.store.ended_runs(limit=1_000)} == set(ids[300:])
    world.store.release_runs(dict.fromkeys(ids, 10**15))
    assert world.store.ended_runs() == []
