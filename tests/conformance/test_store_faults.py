"""Faults are counted with the commit that tells of them: once, by group, in a bounded space."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from runner.store.faults import MAX_FAULT_GROUPS, MAX_FAULT_MARKS, MAX_FAULT_SAMPLES, Fault, FaultGroup
from runner.store.ports import Commit
from tests.conformance.store_world import StoreWorld

HOUR_MS = 3_600_000
FAULT = Fault("v1:a", b"about", ("step=charge",))


def group(world: StoreWorld, name: str = "v1:a") -> FaultGroup:
    (found,) = [each for each in world.store.fault_groups() if each.group == name]
    return found


def fail(world: StoreWorld, run_id: str, *faults: Fault) -> Commit:
    """A run that was not there before has these faults."""
    world.start(run_id)
    commit = world.next_commit(run_id, faults=faults)
    assert world.store.commit([commit]) == ["ok"]
    return commit


def test_a_fault_is_counted_in_its_group(world: StoreWorld):
    fail(world, "r1", FAULT)
    found = group(world)
    now_ms = world.clock.now_ms
    assert (found.about, found.count, found.marks, found.state) == (b"about", 1, {"step=charge": 1}, "open")
    assert (found.first_at_ms, found.last_at_ms, found.hours) == (now_ms, now_ms, {now_ms // HOUR_MS: 1})
    assert found.samples == (("r1", now_ms),)


def test_a_repeated_commit_counts_nothing(world: StoreWorld):
    commit = fail(world, "r1", FAULT)
    assert world.store.commit([commit]) == ["ok"]
    assert group(world).count == 1


def test_a_stale_commit_counts_nothing(world: StoreWorld):
    commit = fail(world, "r1", FAULT)
    assert world.store.commit([replace(commit, etag="another")]) == ["stale"]
    assert group(world).count == 1


def test_a_commit_that_ends_its_run_counts_too(world: StoreWorld):
    world.start("r1")
    assert world.store.commit([world.next_commit("r1", faults=(FAULT, FAULT), terminal=True)]) == ["ok"]
    assert group(world).count == 2
    assert len(group(world).samples) == 1


def test_faults_of_one_batch_come_together(world: StoreWorld):
    world.start("r1", "r2")
    later = Fault("v1:a", b"later", ("step=ship",), 3)
    commits = [world.next_commit("r1", faults=(FAULT,)), world.next_commit("r2", faults=(later, Fault("v1:b", b"")))]
    assert world.store.commit(commits) == ["ok", "ok"]
    found = group(world)
    assert (found.count, found.about, found.marks) == (4, b"later", {"step=charge": 1, "step=ship": 3})
    assert list(found.hours.values()) == [4]
    assert [run_id for run_id, _ in found.samples] == ["r1", "r2"]
    assert group(world, "v1:b").count == 1


def test_hours_are_counted_apart_for_a_week(world: StoreWorld):
    first = world.clock.now_ms // HOUR_MS
    fail(world, "r1", FAULT)
    world.clock.advance(HOUR_MS)
    fail(world, "r2", FAULT, FAULT)
    assert group(world).hours == {first: 1, first + 1: 2}
    world.clock.advance(168 * HOUR_MS)
    fail(world, "r3", FAULT)
    found = group(world)
    assert (found.hours, found.count) == ({first + 169: 1}, 4)


def test_a_resolved_group_that_is_seen_again_has_regressed(world: StoreWorld):
    fail(world, "r1", FAULT)
    assert world.store.note_fault("v1:a", "resolved", b"by me")
    found = group(world)
    assert (found.state, found.note, found.regressed_at_ms) == ("resolved", b"by me", 0)
    world.clock.advance(5)
    fail(world, "r2", FAULT)
    found = group(world)
    assert (found.state, found.note, found.regressed_at_ms) == ("open", b"by me", world.clock.now_ms)
    assert world.store.note_fault("v1:a", "resolved", b"again")
    assert group(world).regressed_at_ms == 0


def test_an_ignored_group_stays_ignored(world: StoreWorld):
    fail(world, "r1", FAULT)
    assert world.store.note_fault("v1:a", "ignored", b"")
    fail(world, "r2", FAULT)
    found = group(world)
    assert (found.state, found.count, found.regressed_at_ms) == ("ignored", 2, 0)


def test_a_group_that_is_not_there_has_no_state(world: StoreWorld):
    assert not world.store.note_fault("v1:nothing", "resolved", b"")
    assert world.store.fault_groups() == []


def test_the_latest_runs_are_samples(world: StoreWorld):
    for number in range(MAX_FAULT_SAMPLES + 5):
        world.clock.advance(1)
        fail(world, f"r{number}", FAULT)
    samples = [run_id for run_id, _ in group(world).samples]
    assert samples == [f"r{number}" for number in reversed(range(5, MAX_FAULT_SAMPLES + 5))]


def test_a_batch_of_many_runs_leaves_its_last_ones_as_samples(world: StoreWorld):
    ids = [f"r{number:02}" for number in range(50)]
    world.start(*ids)
    world.store.commit([world.next_commit(run_id, faults=(FAULT,)) for run_id in ids])
    assert [run_id for run_id, _ in group(world).samples] == ids[-MAX_FAULT_SAMPLES:]
    assert group(world).count == 50


def test_marks_are_bounded(world: StoreWorld):
    world.start("r1")
    for begin in range(0, 130, 10):
        faults = tuple(Fault("v1:a", b"", (f"m{number}",)) for number in range(begin, begin + 10))
        assert world.store.commit([world.next_commit("r1", faults=faults)]) == ["ok"]
    fail(world, "r2", Fault("v1:a", b"", ("m0", "m129")))
    found = group(world)
    assert len(found.marks) == MAX_FAULT_MARKS
    assert (found.marks["m0"], "m129" in found.marks) == (2, False)


def test_the_groups_that_were_seen_last_are_kept(world: StoreWorld):
    world.start("r1")
    for begin in range(0, MAX_FAULT_GROUPS + 100, 100):
        world.clock.advance(1)
        faults = tuple(Fault(f"g{number}", b"") for number in range(begin, begin + 100))
        assert world.store.commit([world.next_commit("r1", faults=faults)]) == ["ok"]
    found = world.store.fault_groups()
    assert len(found) == MAX_FAULT_GROUPS
    assert {each.group for each in found} == {f"g{number}" for number in range(100, MAX_FAULT_GROUPS + 100)}


def test_groups_are_listed_by_when_they_were_seen(world: StoreWorld):
    fail(world, "r1", Fault("old", b""))
    world.clock.advance(100)
    fail(world, "r2", Fault("new", b""))
    assert [each.group for each in world.store.fault_groups()] == ["new", "old"]
    assert [each.group for each in world.store.fault_groups(since_ms=world.clock.now_ms)] == ["new"]


@pytest.mark.parametrize("fault", [Fault("a|b", b""), Fault("a", b"", ("m\n",)), Fault("a", b"", ("m",) * 11)])
def test_a_fault_that_could_not_be_counted_is_refused(world: StoreWorld, fault: Fault):
    world.start("r1")
    with pytest.raises(ValueError, match=r"printable|marks"):
        world.store.commit([world.next_commit("r1", faults=(fault,))])


def test_a_group_of_the_wrong_type_does_not_hold_a_run_up(on_redis: StoreWorld):
    on_redis.is_tampered = True
    assert on_redis.redis is not None
    on_redis.redis.set(f"{on_redis.prefix}fault:v1:a", "x")
    fail(on_redis, "r1", FAULT)
    assert on_redis.store.fault_groups() == []
