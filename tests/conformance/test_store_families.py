"""Runs that start others and tell them things: part of their commit, whole or not at all, once."""

from __future__ import annotations

import pytest

from runner.errors import StoreError
from runner.store.limits import FRESH_MS, MAX_STARTS, MAX_VALUE_BYTES, MAX_WAITING
from runner.store.ports import NewRun
from tests.conformance.store_world import StoreWorld


def child(run_id: str = "child", body: bytes = b"in") -> NewRun:
    return NewRun(run_id, f"n-{run_id}", "d", b"{}", body)


# -- starts -----------------------------------------------------------------------------------------
def test_a_commit_starts_runs(world: StoreWorld):
    world.start("parent")
    world.take()
    world.commit("parent", starts=(child("c1", b"one"), child("c2", b"two")))
    taken = {run.run_id: run for run in world.take()}
    assert {run_id: [(entry.kind, entry.body) for entry in run.entries] for run_id, run in taken.items()} == {
        "c1": [("started", b"one")], "c2": [("started", b"two")],
    }
    assert {run.etag for run in taken.values()} == {""}
    assert set(world.store.find_runs("")) == {"parent", "c1", "c2"}
    assert world.store.count_live() == 3


def test_a_started_child_does_not_queue_behind_new_runs(world: StoreWorld):
    """It is part of what has begun."""
    world.start("parent")
    world.take()
    world.start("new")
    world.clock.advance(FRESH_MS - 1)
    world.commit("parent", starts=(child(),))
    assert [run.run_id for run in world.take()] == ["child", "new"]


def test_a_repeated_commit_starts_nothing_twice(world: StoreWorld):
    world.start("parent")
    commit = world.commit("parent", starts=(child(),), tells=(("child", b"hello"),))
    world.commit("child")
    assert world.store.commit([commit]) == ["ok"]
    assert world.store.history("child") == [b"event"]
    assert world.entries("child") == []


def test_of_two_engines_that_start_one_child_only_the_first_does(world: StoreWorld):
    world.start("parent")
    first, second = (world.next_commit("parent", starts=(child(body=body),)) for body in (b"first", b"second"))
    assert world.store.commit([first, second]) == ["ok", "stale"]
    assert [entry.body for entry in world.entries("child")] == [b"first"]


def test_a_commit_that_is_refused_starts_and_tells_nothing(world: StoreWorld):
    world.start("parent", "other")
    refused = world.next_commit("parent", etag_read="wrong", starts=(child(),), tells=(("other", b"x"),))
    assert world.store.commit([refused]) == ["stale"]
    assert world.store.find_runs("child") == []
    assert [entry.kind for entry in world.entries("other")] == ["started"]


def test_a_start_of_a_run_that_is_there_refuses_the_whole_commit(world: StoreWorld):
    """Ids of children come from their parents; what is there under one is none of this parent's."""
    world.start("parent", "child")
    before = world.snapshot()
    refused = world.next_commit("parent", "a", starts=(child("c1"), child()), timers=(("t", 5),))
    assert world.store.commit([refused]) == ["tampered"]
    assert world.snapshot() == before
    assert world.store.history("parent") == []


def test_a_commit_may_end_its_run_and_start_another(world: StoreWorld):
    world.start("parent")
    world.end("parent", starts=(child(),))
    assert [run.run_id for run in world.take()] == ["child"]
    assert world.store.count_live() == 1


def test_a_full_commit_of_starts_is_taken(world: StoreWorld):
    world.start("parent")
    world.take()
    world.commit("parent", starts=tuple(child(f"c{number}") for number in range(MAX_STARTS)))
    assert len(world.take()) == MAX_STARTS


def test_a_child_whose_engine_died_is_handed_out_again(world: StoreWorld):
    world.start("parent")
    world.take()
    world.commit("parent", starts=(child(),))
    assert len(world.take()) == 1
    world.pass_time(15_000)
    assert [run.run_id for run in world.take(engine="another")] == ["child"]


def test_an_ended_child_expires_like_any_run(world: StoreWorld):
    world.start("parent")
    world.commit("parent", starts=(child(),))
    world.end("child", retention_ms=1)
    world.pass_time(1)
    assert world.store.find_runs("child") == []
    world.commit("parent", starts=(child(),))  # and then its id is free again


# -- tells ------------------------------------------------------------------------------------------
def test_what_a_commit_tells_another_run_wakes_it(world: StoreWorld):
    world.start("parent")
    world.take()
    world.running("child")
    world.clock.advance(7)
    world.commit("child", tells=(("parent", b"done"), ("parent", b"and more")))
    (run,) = world.take()
    assert run.run_id == "parent"
    assert [(entry.kind, entry.body, entry.path) for entry in run.entries[1:]] == [
        ("told", b"done", ""), ("told", b"and more", ""),
    ]
    assert run.entries[1].at_ms == world.store.now_ms()


@pytest.mark.parametrize("fate", ["gone", "ended"])
def test_a_tell_that_nobody_hears_does_not_fail_the_commit(world: StoreWorld, fate: str):
    world.start("child")
    if fate == "ended":
        world.start("parent")
        world.end("parent")
    commit = world.commit("child", tells=(("parent", b"done"),))
    run = world.store.load_runs(["child"])[0]
    assert run is not None
    assert run.etag == commit.etag
    assert world.snapshot().waiting.get("parent", 0) == 0


def test_a_run_tells_others_with_its_last_commit(world: StoreWorld):
    world.start("parent")
    world.running("child", "a")
    world.end("child", tells=(("parent", b"over"),))
    assert [entry.body for entry in world.entries("parent")] == [b"input", b"over"]


def test_a_started_run_may_be_told_something_in_the_same_commit(world: StoreWorld):
    world.start("parent")
    world.take()
    world.commit("parent", starts=(child(),), tells=(("child", b"stop"),))
    assert [entry.kind for entry in world.take()[0].entries] == ["started", "told"]


def test_what_is_told_to_a_run_of_the_same_batch_is_not_lost(world: StoreWorld):
    """Whichever of the two comes first, and although the other's commit was decided before it was told anything."""
    world.start("first", "teller", "last")
    world.take()
    commits = [world.next_commit("first"), world.next_commit("teller", tells=(("first", b"1"), ("last", b"2"))),
               world.next_commit("last")]
    assert world.store.commit(commits) == ["ok"] * 3
    taken = {run.run_id: [entry.body for entry in run.entries] for run in world.take()}
    assert taken == {"first": [b"1"], "last": [b"2"]}


def test_a_run_that_ends_in_the_same_batch_hears_nothing_more(world: StoreWorld):
    world.start("before", "teller", "after")
    ends = [world.next_commit(run_id, terminal=True, status="completed") for run_id in ("before", "after")]
    teller = world.next_commit("teller", tells=(("before", b"1"), ("after", b"2")))
    assert world.store.commit([ends[0], teller, ends[1]]) == ["ok"] * 3
    assert world.snapshot().waiting == {"before": 0, "teller": 0, "after": 0}


def test_what_is_told_to_a_parked_run_waits_with_it(world: StoreWorld):
    world.start("parent", "child")
    world.take()
    world.store.park("parent", "", delay_ms=1_000, stuck=False, error=b"trace")
    world.commit("child", tells=(("parent", b"done"),))
    assert world.take() == []
    world.pass_time(1_000)
    assert [entry.kind for entry in world.take()[0].entries] == ["started", "told"]


def test_tells_are_not_refused_where_requests_would_be(world: StoreWorld):
    """They are facts, like outcomes: a full inbox of a parent must not stop its children."""
    world.start("parent", "child")
    world.commit("child", tells=tuple(("parent", b"%d" % number) for number in range(MAX_WAITING + 1)))
    assert world.snapshot().waiting["parent"] == MAX_WAITING + 2


def test_oversized_parts_are_refused_before_anything_is_written(world: StoreWorld):
    world.start("parent")
    big = b"x" * (MAX_VALUE_BYTES + 1)
    with pytest.raises(StoreError, match="the input of run child"):
        world.commit("parent", starts=(child(body=big),))
    with pytest.raises(StoreError, match="what run parent tells run other"):
        world.commit("parent", tells=(("other", big),))
    assert world.store.history("parent") == []


def test_bytes_that_are_no_text_are_told_as_they_are(world: StoreWorld):
    world.start("parent", "other")
    world.commit("parent", starts=(child(body=b"\xff\n|"),), tells=(("other", bytes(range(256))),))
    assert world.entries("child")[0].body == b"\xff\n|"
    assert world.entries("other")[1].body == bytes(range(256))
