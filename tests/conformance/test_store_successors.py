"""What every store promises about successors: tasks that it dispatches by itself. See ports.Commit."""

from __future__ import annotations

from typing import Any

import pytest

from runner.store.limits import REPAIR_MS
from runner.store.ports import (
    OUTPUT,
    ClaimedTask,
    Completion,
    ExchangeAnswer,
    Quota,
    Request,
    StoredRun,
)
from runner.store.successor import LOOK_MS, MAX_RELAYED_BYTES, RELAY_MS, Successor
from tests.conformance.store_world import LEASE_MS, StoreWorld

A_TO_B = Successor("a", "b", "q", b"message b", "in b", ('{"a":', "payload", "}"))
B_TO_C = Successor("b", "c", "r", b"message c", "in c", ("[", "in b", ",", "payload", "]"), 2_000)


def started(world: StoreWorld, **fields: Any) -> ClaimedTask:
    """A run whose one task `a` this process holds, and the store knows what comes next."""
    world.running("r1", "a", **{"successors": (A_TO_B, B_TO_C), **fields})
    world.process()
    (task,) = world.claim()
    return task


def hand_in(world: StoreWorld, task: ClaimedTask, output: bytes = b"1", **options: Any) -> ExchangeAnswer:
    done = Completion(task.run_id, task.path, task.token, b"outcome", output=output)
    answer = world.exchange(completions=[done], **options)
    assert answer.completions == ("recorded",)
    return answer


def stored(world: StoreWorld) -> StoredRun:
    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    return run


def open_tasks(world: StoreWorld) -> dict[str, str]:
    return {path: task.state for path, task in stored(world).tasks.items()}


# -- going on ---------------------------------------------------------------------------------------
def test_an_output_dispatches_the_successor_with_that_output_in_its_input(world: StoreWorld):
    first = started(world)
    world.clock.advance(5)
    hand_in(world, first, b'{"x":"\xc3\xa4"}')
    (task,) = world.claim()
    assert (task.path, task.queue, task.message) == ("b", "q", b"message b")
    assert task.payload == b'{"a":{"x":"\xc3\xa4"}}'
    assert stored(world).fields["in b"] == task.payload
    assert task.fence > first.fence
    assert task.queued_at_ms == world.clock.now_ms


def test_whoever_has_room_has_the_successor_at_once_and_ahead_of_what_waits(world: StoreWorld):
    first = started(world)
    world.running("r2", "x")
    (task,) = hand_in(world, first, queues=["q"], capacity=1).claimed
    assert (task.run_id, task.path, task.payload, task.message) == ("r1", "b", b'{"a":1}', b"message b")
    assert open_tasks(world) == {"b": "R"}
    assert world.beat("worker", task) == ["held"]
    assert [waiting.path for waiting in world.claim()] == ["x"]


def test_a_repeated_exchange_has_the_same_successor(world: StoreWorld):
    first = started(world)
    done = Completion("r1", "a", first.token, b"outcome", output=b"1")
    answers = [
        world.store.exchange("worker", "same", completions=[done], queues=["q"], capacity=1, lease_ms=LEASE_MS)
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert [task.path for task in answers[0].claimed] == ["b"]
    assert [entry.next for entry in stored(world).entries] == ["b"]


def test_a_successor_whose_queue_has_a_quota_waits_in_it(world: StoreWorld):
    first = started(world)
    quotas = {"q": Quota(max_concurrency=5)}
    (task,) = hand_in(world, first, queues=["q"], capacity=1, quotas=quotas).claimed
    assert task.path == "b"
    answer = hand_in(world, task, queues=["r"], capacity=1, quotas={"r": Quota(max_concurrency=1)})
    assert [task.path for task in answer.claimed] == ["c"]


def test_a_successor_of_another_queue_waits_in_it(world: StoreWorld):
    hand_in(world, started(world), queues=["other"], capacity=1)
    assert open_tasks(world) == {"b": "Q"}
    assert world.store.queue_depths()["q"] == 1
    assert world.store.wait_for_tasks(["q"], 0.5)


def test_successors_follow_one_another_and_read_what_came_before(world: StoreWorld):
    hand_in(world, started(world), b"1")
    (second,) = world.claim()
    hand_in(world, second, b"2")
    (third,) = world.claim(queues=["r"])
    assert third.payload == b"[2,1]"
    assert [(entry.path, entry.output, entry.next) for entry in stored(world).entries] == [
        ("a", b"1", "b"), ("b", b"2", "c")
    ]  # fmt: skip


def test_a_run_that_goes_on_is_not_handed_out_until_nothing_follows(world: StoreWorld):
    hand_in(world, started(world))
    assert world.take() == []
    hand_in(world, *world.claim())
    assert world.take() == []
    hand_in(world, *world.claim(queues=["r"]))
    (taken,) = world.take()
    assert [(entry.path, entry.next) for entry in taken.entries] == [("a", "b"), ("b", "c"), ("c", "")]
    assert [entry.output for entry in taken.entries] == [b"1", b"1", b"1"]


def test_somebody_looks_after_a_run_that_goes_on_by_itself(world: StoreWorld):
    hand_in(world, started(world))
    world.pass_time(RELAY_MS, "worker")
    assert [run.run_id for run in world.take()] == ["r1"]


# -- not going on -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "done",
    [{"output": b""}, {"output": b"1", "lost": True}, {"output": b"x" * MAX_RELAYED_BYTES}],
    ids=["no output", "lost", "too large"],
)
def test_only_an_output_of_some_size_dispatches_a_successor(world: StoreWorld, done: dict[str, Any]):
    task = started(world)
    world.exchange(completions=[Completion("r1", "a", task.token, b"outcome", **done)])
    assert open_tasks(world) == {}
    (taken,) = world.take()
    assert [entry.next for entry in taken.entries] == [""]


def test_one_exchange_goes_on_with_so_many_bytes_and_leaves_the_rest_to_an_engine(world: StoreWorld):
    """The input of what comes next may have many outputs in it, so it is not bounded by what is handed in."""
    large = Successor("a", "b", "elsewhere", b"message b", "in b", ("[", *["payload", ","] * 7, "payload", "]"))
    for number in range(8):
        world.running(f"r{number}", "a", successors=(large,))
    world.process()
    tasks = world.claim(capacity=8)
    done = [Completion(task.run_id, task.path, task.token, b"", output=b"1" * 50_000) for task in tasks]
    assert world.exchange(completions=done).completions == ("recorded",) * 8
    assert [world.store.queue_depths().get("elsewhere"), len(world.take())] == [3, 5]


def test_a_run_whose_last_commit_is_old_is_left_to_an_engine(world: StoreWorld):
    task = started(world)
    world.clock.advance(RELAY_MS - 1)
    task = next(iter(hand_in(world, task, queues=("q",), capacity=1).claimed))
    world.clock.advance(1)
    hand_in(world, task)
    assert open_tasks(world) == {}
    (taken,) = world.take()
    assert [entry.next for entry in taken.entries] == ["b", ""]


def test_an_engine_looks_at_a_run_soon_after_it_went_on_by_itself(world: StoreWorld):
    task = started(world)
    world.clock.advance(5_000)
    (task,) = hand_in(world, task, queues=("q",), capacity=1).claimed
    world.clock.advance(LOOK_MS - 1)
    hand_in(world, task)  # what comes later does not put it off
    world.store.tick()
    assert world.take() == []
    world.clock.advance(1)
    world.store.tick()
    (taken,) = world.take()
    assert [entry.next for entry in taken.entries] == ["b", "c"]


def test_a_request_that_waits_keeps_the_run_from_going_on(world: StoreWorld):
    task = started(world)
    world.store.post([Request("r1", "n", b"cancel")])
    hand_in(world, task)
    assert open_tasks(world) == {}
    (taken,) = world.take()
    assert [entry.kind for entry in taken.entries] == ["request", "outcome"]


def test_a_commit_ends_what_was_said_to_come_next(world: StoreWorld):
    task = started(world)
    world.commit("r1")
    hand_in(world, task)
    assert open_tasks(world) == {}


def test_a_commit_that_leaves_something_in_the_inbox_names_successors_in_vain(world: StoreWorld):
    world.start("r1")
    world.commit("r1", "a", entries_seen=0, successors=(A_TO_B,))
    world.take()
    world.process()
    hand_in(world, *world.claim())
    assert open_tasks(world) == {}


def test_a_run_that_is_set_aside_does_not_go_on(world: StoreWorld):
    task = started(world)
    world.store.park("r1", stored(world).etag, delay_ms=1_000, stuck=False, error=b"why")
    hand_in(world, task)
    assert open_tasks(world) == {}


def test_a_task_that_a_commit_dispatches_is_no_successor_in_it(world: StoreWorld):
    with pytest.raises(ValueError, match="b is dispatched, and said to come later"):
        world.running("r1", "a", "b", successors=(A_TO_B,))


def test_a_stale_outcome_dispatches_nothing(world: StoreWorld):
    task = started(world)
    done = Completion("r1", "a", task.token, b"outcome", output=b"1")
    answer = world.exchange(completions=[done, done])
    assert answer.completions == ("recorded", "duplicate")
    assert [waiting.path for waiting in world.claim(capacity=5)] == ["b"]


# -- commits meanwhile --------------------------------------------------------------------------------
def test_a_commit_that_has_not_seen_that_the_run_went_on_is_stale(world: StoreWorld):
    task = started(world)
    late = world.next_commit("r1", revokes=(("a", True),))
    hand_in(world, task)
    assert world.store.commit([late]) == ["stale"]
    assert open_tasks(world) == {"b": "Q"}
    (taken,) = world.take()
    assert [entry.next for entry in taken.entries] == ["b"]
    world.commit("r1", revokes=(("b", True),))
    assert open_tasks(world) == {}


def test_a_commit_that_has_seen_only_the_first_of_two_steps_that_the_run_went_on_is_stale(world: StoreWorld):
    """It would take back what is not out any more, and leave what is."""
    hand_in(world, started(world))
    late = world.next_commit("r1", revokes=(("b", True),))
    hand_in(world, *world.claim())
    assert late.entries_seen == 1
    assert world.store.commit([late]) == ["stale"]
    assert open_tasks(world) == {"c": "Q"}
    world.commit("r1", revokes=(("c", True),))
    assert open_tasks(world) == {}


def test_a_run_that_went_on_and_was_set_aside_is_not_woken_by_a_commit_that_has_not_seen_it(world: StoreWorld):
    task = started(world)
    late = world.next_commit("r1")
    hand_in(world, task)
    world.store.park("r1", stored(world).etag, delay_ms=1_000, stuck=False, error=b"why")
    assert world.store.commit([late]) == ["stale"]
    assert world.take() == []


def test_a_commit_that_has_seen_it_may_leave_what_came_behind_it(world: StoreWorld):
    hand_in(world, started(world, successors=(A_TO_B,)))
    commit = world.next_commit("r1")
    hand_in(world, *world.claim())
    assert world.store.commit([commit]) == ["ok"]
    (taken,) = world.take()
    assert [entry.path for entry in taken.entries] == ["b"]


def test_after_a_commit_the_run_goes_on_as_that_one_says(world: StoreWorld):
    hand_in(world, started(world))
    world.commit("r1", successors=(Successor("b", "d", "q", b"message d", "in d", ("0",)),))
    hand_in(world, *world.claim())
    (task,) = world.claim()
    assert (task.path, task.payload) == ("d", b"0")


# -- its end ------------------------------------------------------------------------------------------
def test_a_successor_is_repaired_and_times_out_in_its_queue_like_any_task(world: StoreWorld):
    hand_in(world, started(world))
    hand_in(world, *world.claim())
    world.pass_time(2_100, "worker")
    (taken,) = world.take()
    assert [(entry.kind, entry.path) for entry in taken.entries][-1] == ("queue_timeout", "c")


def test_a_lost_process_loses_the_successor_that_it_had_at_once(world: StoreWorld):
    hand_in(world, started(world), queues=["q"], capacity=1)
    assert world.store.reap("worker") == 1
    (taken,) = world.take()
    assert [(entry.kind, entry.path) for entry in taken.entries] == [("outcome", "a"), ("lost", "b")]


def test_the_end_of_a_run_leaves_no_successors(world: StoreWorld):
    hand_in(world, started(world))
    world.end("r1")
    assert open_tasks(world) == {}
    if world.redis is not None:
        names = world.redis.hkeys(f"{world.prefix}run:r1")
        assert not [name for name in names if name.startswith((b"c:", b"t:", b"i:"))]


@pytest.mark.parametrize("timers", [(), (("t", 9),)], ids=["", "with a timer"])
def test_the_end_that_says_where_the_tasks_were_leaves_nothing_of_them(world: StoreWorld, timers: Any):
    """One queued, one claimed, one closed, one only named, and an inbox that was longer once."""
    world.running("r1", "x", "y")
    for _ in range(6):
        world.store.post([Request("r1", world.nonce(), b"signal")])
    world.commit("r1", "a", timers=timers)
    world.commit("r1", successors=(Successor("a", "b", "q", b"message b", "in b", ("0",)), B_TO_C))
    world.process()
    first, claimed = world.claim(capacity=3)[:2]
    world.exchange(completions=[Completion("r1", first.path, first.token, b"outcome")])
    world.end("r1", paths=("x", "y", "a", "b"))
    assert world.beat("worker", claimed) == ["lost"]
    if world.redis is not None:
        names = world.redis.hkeys(f"{world.prefix}run:r1")
        assert not [name for name in names if name.startswith((b"c:", b"t:", b"i:", b"z:"))]


def test_only_the_end_of_a_run_says_where_its_tasks_were(world: StoreWorld):
    world.start("r1")
    with pytest.raises(ValueError, match="where it had tasks is said when it ends"):
        world.commit("r1", paths=("a",))


def test_the_input_of_a_successor_is_kept_once_whatever_is_written_there_later(world: StoreWorld):
    hand_in(world, started(world), queues=["q"], capacity=1)
    assert stored(world).fields["in b"] == b'{"a":1}'
    if world.redis is not None:
        assert b'"' in (kept := world.redis.hget(f"{world.prefix}run:r1", "w:in b") or b"")
        assert b"1" not in kept
    world.commit("r1", writes={"in b": b"\x93 no list", "payload>": b"other"})
    assert stored(world).fields["in b"] == b"\x93 no list"


def test_a_queued_successor_has_a_deadline_and_a_claimed_one_a_lease(world: StoreWorld):
    first = started(world)
    hand_in(world, first)
    ref = ("r1", "b", stored(world).tasks["b"].token)
    assert world.snapshot().deadlines[ref] == world.clock.now_ms + REPAIR_MS
    world.claim()
    assert world.snapshot().deadlines[ref] == world.clock.now_ms + 2 * LEASE_MS


def test_the_outputs_are_where_every_output_is(world: StoreWorld):
    hand_in(world, started(world))
    assert stored(world).fields["payload" + OUTPUT] == b"1"
