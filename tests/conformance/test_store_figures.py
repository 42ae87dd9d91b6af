"""Figures: what commits count, once each, by the minute, by ten minutes and since ever."""

from __future__ import annotations

import msgspec
import pytest

from runner.store import limits
from runner.store.observations import Figures
from runner.store.ports import NewRun
from tests.conformance.store_world import StoreWorld
from tests.conformance.test_redis_tampering import commit_calls, error_of

MINUTE = 60_000


def figures(world: StoreWorld, window_ms: int = 0) -> Figures:
    return world.store.figures(window_ms)


def test_nothing_counted_is_nothing_from_now_on(world: StoreWorld):
    assert figures(world) == Figures({}, {}, world.clock.now_ms, world.clock.now_ms)


def test_a_commit_counts_what_it_names(world: StoreWorld):
    world.running("r1", counts=(("done|a", 2), ("done|b", 1), ("done|a", 3)))
    began_ms = world.clock.now_ms
    world.clock.advance(5_000)
    world.commit("r1", counts=(("done|b", 10),))
    assert figures(world) == Figures({"done|a": 5, "done|b": 11}, {}, began_ms, world.clock.now_ms)


def test_a_repeated_a_stale_and_a_refused_commit_count_nothing(world: StoreWorld):
    world.start("r1", "r2")
    first = world.next_commit("r1", counts=(("a", 1),))
    late = world.next_commit("r1", counts=(("a", 100),))
    refused = world.next_commit("r2", counts=(("a", 1_000),), starts=(NewRun("r1", "n", "d", b"{}", b"in"),))
    assert world.store.commit([first, first, late, refused]) == ["ok", "ok", "stale", "tampered"]
    assert world.store.commit([first]) == ["ok"]
    assert figures(world).counts == {"a": 1}


def test_every_commit_of_a_batch_counts(world: StoreWorld):
    world.start("r1", "r2", "r3")
    commits = [world.next_commit(run, counts=((f"of|{run}", 1), ("all|of|them", 2))) for run in ("r1", "r2", "r3")]
    assert world.store.commit(commits) == ["ok"] * 3
    assert figures(world).counts == {"of|r1": 1, "of|r2": 1, "of|r3": 1, "all|of|them": 6}


def test_a_window_holds_whole_minutes_and_the_one_under_way(world: StoreWorld):
    world.clock.now_ms += MINUTE - world.clock.now_ms % MINUTE  # a minute begins
    began_ms = world.clock.now_ms
    world.start("r1")
    for _ in range(4):
        world.commit("r1", counts=(("a", 1),))
        world.clock.advance(MINUTE)
    world.clock.advance(-30_000)
    assert figures(world, MINUTE) == Figures({"a": 2}, {}, began_ms + 2 * MINUTE, began_ms + 3 * MINUTE + 30_000)
    assert figures(world, 3 * MINUTE).counts == {"a": 4}


def test_a_day_is_kept_by_ten_minutes_and_more_is_not_kept_apart(world: StoreWorld):
    world.clock.now_ms += 10 * MINUTE - world.clock.now_ms % (10 * MINUTE)
    began_ms = world.clock.now_ms
    world.start("r1")
    world.commit("r1", counts=(("a", 1),))
    world.clock.advance(2 * 3_600_000)
    world.commit("r1", counts=(("a", 10),))
    assert figures(world, 3_600_000).counts == {"a": 10}
    assert figures(world, 2 * 3_600_000) == Figures({"a": 11}, {}, began_ms, world.clock.now_ms)
    world.clock.advance(86_400_000)
    world.commit("r1", counts=(("a", 100),))
    assert figures(world, 86_400_000).counts == {"a": 110}
    assert figures(world).counts == {"a": 111}
    with pytest.raises(ValueError, match="86,400,000"):
        figures(world, 86_400_001)


def test_the_beginning_of_a_name_says_where_it_is_kept(world: StoreWorld):
    world.start("r1")
    world.commit("r1", counts=(("~process", 1), ("=live", 2), ("@seen", 1)))
    seen_ms = world.clock.now_ms
    world.clock.advance(10)
    world.commit("r1", counts=(("=live", -1),))
    assert figures(world).counts == {"=live": 1}
    assert figures(world).last == {"@seen": seen_ms}
    assert figures(world, MINUTE).counts == {"~process": 1}
    world.commit("r1", counts=(("=live", -1),))
    assert figures(world).counts == {}


def test_names_on_lines_of_their_own_grow_alike(world: StoreWorld):
    world.start("r1")
    world.commit("r1", counts=(("a\n~b\n@c", 2), ("a", 1)))
    seen_ms = world.clock.now_ms
    assert (figures(world).counts, figures(world).last) == ({"a": 3}, {"@c": seen_ms})
    assert figures(world, MINUTE).counts == {"a": 3, "~b": 2}


def test_what_comes_to_nothing_in_a_call_was_not_named(world: StoreWorld):
    world.running("r1")
    world.commit("r1", counts=(("@seen", 1), ("@seen", -1)))
    assert figures(world).last == {}


def test_names_beyond_the_bound_are_summed_up(world: StoreWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MAX_SERIES", 3)
    world.start("r1")
    world.commit("r1", counts=tuple((f"name{number}", 1) for number in range(6)))
    world.commit("r1", counts=(("name0", 1), ("new", 5)))
    expected = {"name0": 2, "name1": 1, "name2": 1, "other": 8}
    assert figures(world).counts == figures(world, MINUTE).counts == figures(world, 86_400_000).counts == expected


def test_names_beyond_what_one_call_takes_are_summed_up(on_redis: StoreWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MAX_COUNTED", 3)
    on_redis.start("r1")
    on_redis.commit("r1", counts=tuple((f"name{number}", 1) for number in range(6)))
    assert figures(on_redis).counts == {"name0": 1, "name1": 1, "other": 4}


def test_hashes_of_windows_expire_and_the_sum_stays(on_redis: StoreWorld):
    on_redis.start("r1")
    on_redis.commit("r1", counts=(("a", 1), ("@b", 1)))
    assert on_redis.redis is not None
    prefix = f"{on_redis.prefix}figures:"
    found = {key.decode().removeprefix(prefix)[0]: on_redis.redis.ttl(key) for key in on_redis.redis.keys("*figures:*")
             if key.decode().startswith(prefix)}
    ttl = {"all": -1, "last": -1}
    assert (found["a"], found["l"]) == (ttl["all"], ttl["last"])
    assert 4_190 < found["m"] <= 4_200
    assert 89_990 < found["t"] <= 90_000


@pytest.mark.parametrize("value", [b"a string", {"a": b"no number", "b": b"1"}])
def test_broken_figures_hold_no_run_up(on_redis: StoreWorld, value: object):
    """A hash of another type, a field that is no number: the run goes on, and what can be read is."""
    on_redis.is_tampered = True
    on_redis.start("r1")
    assert on_redis.redis is not None
    minute = on_redis.clock.now_ms // 60_000
    for span in ("all", f"m:{minute}", f"t:{minute // 10}", "last"):
        key = f"{on_redis.prefix}figures:{span}"
        if isinstance(value, dict):
            on_redis.redis.hset(key, mapping=value)
        else:
            on_redis.redis.set(key, value)  # type: ignore[arg-type]
    on_redis.commit("r1", counts=(("a", 1), ("b", 1), ("@c", 1)))
    assert figures(on_redis).counts == ({"b": 2} if isinstance(value, dict) else {})


@pytest.mark.parametrize("counts", [
    [["a"], []], [["a"], [[1, 1]]], [["a"], [[0]]], [["a"], [[0, 1.5]]], [["a"], [[0, "1"]]], [[1], [[0, 1]]], "x", [],
    [["a"], [[-1, 1]]], [["a"], 5], [["a"], [[0, float("nan")]]],
])
def test_mangled_counts_are_refused_before_the_first_write(on_redis: StoreWorld, counts: object):
    on_redis.is_tampered = True
    on_redis.running("r1", "a")
    on_redis.start("r2", "r3")
    ((keys, args),) = commit_calls(on_redis)
    before = on_redis.dump()
    packed = msgspec.msgpack.encode(counts)
    error = error_of(on_redis, "commit_runs", keys, [*args[:-2], packed, args[-1]])
    assert error == "ARGUMENTS counts are not as they have to be"
    assert on_redis.dump() == before

