"""What every store promises to worker processes: exchange, beat, register, retire, reap. See ports.Store."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from runner.errors import StoreError
from runner.store.limits import MAX_BATCH, REAPED_MS
from runner.store.memory.store import MemoryStore
from runner.store.ports import OUTPUT, ClaimedTask, Completion, Dispatch, ProcessInfo, StoredRun
from runner.store.vitals import Vitals
from tests.conformance.store_world import LEASE_MS, StoreWorld


def double_first_ref(world: StoreWorld) -> None:
    """As a repair does that was not needed."""
    if isinstance(world.store, MemoryStore):
        waiting = world.store._tables.queues["q"]
        waiting.append(waiting[0])
    else:
        assert world.redis is not None
        key = f"{world.prefix}q:q"
        (ref,) = world.redis.lrange(key, 0, 0)
        world.redis.rpush(key, ref)


def completion(task: ClaimedTask, body: bytes = b"outcome", token: str = "") -> Completion:
    return Completion(task.run_id, task.path, token or task.token, body)


def _stored(world: StoreWorld) -> StoredRun:
    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    return run


# -- claiming ---------------------------------------------------------------------------------------
def test_a_claimed_task_is_what_was_dispatched(world: StoreWorld):
    world.running("r1", "a")
    world.clock.advance(7)
    world.process()
    (task,) = world.claim()
    assert (task.run_id, task.path, task.queue) == ("r1", "a", "q")
    assert (task.message, task.payload) == (b"message a", b'{"a":1}')
    assert task.claimed_at_ms - task.queued_at_ms == 7
    assert task.token.startswith(f"{task.fence}-")

    run = world.store.load_runs(["r1"])[0]
    assert run is not None
    record = run.tasks["a"]
    assert (record.state, record.process, record.token, record.cancelled) == ("R", "worker", task.token, False)
    assert (record.claimed_at_ms, record.queued_at_ms) == (task.claimed_at_ms, task.queued_at_ms)


def test_a_task_is_claimed_once(world: StoreWorld):
    world.claimed("r1")
    world.process("other")
    assert world.claim("other") == []


def test_a_process_takes_no_more_than_its_capacity_in_the_order_of_the_queues(world: StoreWorld):
    world.running("r1", "a1", "a2", queue="a")
    world.running("r2", "b1", queue="b")
    world.process()
    assert world.claim(queues=["b", "a"], capacity=0) == []
    assert [task.path for task in world.claim(queues=["b", "a"], capacity=2)] == ["b1", "a1"]
    assert [task.path for task in world.claim(queues=["b", "a"], capacity=9)] == ["a2"]


def test_fences_of_a_run_strictly_increase(world: StoreWorld):
    world.running("r1", "a", "b")
    world.process()
    tasks = world.claim(capacity=2)
    for task in tasks:
        world.complete(task)
    world.commit("r1", "c")
    fences = [task.fence for task in [*tasks, *world.claim()]]
    assert fences == sorted(set(fences))


def test_the_payload_may_have_been_written_by_an_earlier_commit(world: StoreWorld):
    world.start("r1")
    world.commit("r1", writes={"payload": b"earlier"})
    world.commit("r1", "a", writes={})
    world.process()
    assert world.claim()[0].payload == b"earlier"


def test_a_repeated_exchange_hands_out_the_same_tasks(world: StoreWorld):
    world.running("r1", "a", "b", "c")
    world.process()
    first = world.store.exchange("worker", "n", queues=["q"], capacity=2)
    assert world.store.exchange("worker", "n", queues=["q"], capacity=2) == first
    assert world.store.queue_depths() == {"q": 1}


def test_a_repeated_exchange_leaves_out_what_is_not_held_any_more(world: StoreWorld):
    world.running("r1", "a", "b")
    world.process()
    first = world.store.exchange("worker", "n", queues=["q"], capacity=2)
    world.end("r1")
    assert len(first.claimed) == 2
    assert world.store.exchange("worker", "n", queues=["q"], capacity=2).claimed == ()


def test_a_repeated_idle_exchange_claims_nothing(world: StoreWorld):
    world.process()
    assert world.store.exchange("worker", "n", queues=["q"], capacity=1).claimed == ()
    world.running("r1", "a")
    assert world.store.exchange("worker", "n", queues=["q"], capacity=1).claimed == ()
    assert len(world.claim()) == 1


def test_a_process_that_never_registered_gets_nothing(world: StoreWorld):
    world.running("r1", "a")
    answer = world.store.exchange("stranger", "n", queues=["q"], capacity=1)
    assert (answer.alive, answer.claimed) == (False, ())
    assert world.store.queue_depths() == {"q": 1}


def test_waiting_for_tasks_ends_when_one_is_dispatched(world: StoreWorld):
    assert world.store.wait_for_tasks(["other", "q"], 0.01) is False
    world.running("r1", "a")
    assert world.store.wait_for_tasks(["other", "q"], 5) is True


def test_what_one_process_leaves_wakes_the_next(world: StoreWorld):
    world.running("r1", "a", "b")
    world.process()
    assert world.store.wait_for_tasks(["q"], 5) is True
    world.claim(capacity=1)
    assert world.store.wait_for_tasks(["q"], 5) is True
    world.claim(capacity=1)
    assert world.store.wait_for_tasks(["q"], 0.01) is False


def test_tasks_that_were_taken_wake_nobody(world: StoreWorld):
    world.running("r1", "a")
    world.process()
    world.claim()
    assert world.store.wait_for_tasks(["q"], 0.01) is False


def test_a_ref_that_is_there_twice_is_claimed_once(world: StoreWorld):
    world.running("r1", "a")
    double_first_ref(world)
    world.process()
    assert len(world.claim(capacity=5)) == 1
    assert world.store.queue_depths() == {"q": 0}


def test_a_ref_of_a_former_token_is_dropped(world: StoreWorld):
    world.running("r1", "a")
    double_first_ref(world)
    world.commit("r1", revokes=(("a", True),))
    world.commit("r1", dispatches=(Dispatch("a", "q", b"second", "second"),), writes={"second": b"2"})
    world.process()
    assert [(task.message, task.payload) for task in world.claim(capacity=5)] == [(b"second", b"2")]


def test_a_queue_that_a_full_process_did_not_look_at_still_wakes_another(world: StoreWorld):
    world.running("r1", "a", queue="one")
    world.running("r2", "b", queue="two")
    world.process()
    assert world.store.wait_for_tasks(["two"], 5) is True
    world.claim(queues=["one", "two"], capacity=1)
    assert world.store.wait_for_tasks(["two"], 5) is True


# -- completing -------------------------------------------------------------------------------------
def test_an_outcome_reaches_the_inbox_of_its_run(world: StoreWorld):
    task = world.claimed("r1")
    world.clock.advance(3)
    assert world.complete(task, body=b'{"outcome":"completed"}') == "recorded"
    (entry,) = world.take()[0].entries
    assert (entry.kind, entry.path, entry.body) == ("outcome", "a", b'{"outcome":"completed"}')
    assert (entry.process, entry.claimed_at_ms, entry.at_ms) == ("worker", task.claimed_at_ms, world.clock.now_ms)
    assert world.store.load_runs(["r1"])[0].tasks == {}  # type: ignore[union-attr]


def test_a_child_that_is_known_dead_is_reported_lost(world: StoreWorld):
    assert world.complete(world.claimed("r1"), lost=True) == "recorded"
    (entry,) = world.take()[0].entries
    assert (entry.kind, entry.path, entry.process, entry.body) == ("lost", "a", "worker", b"outcome")


def test_the_same_outcome_again_is_a_duplicate(world: StoreWorld):
    task = world.claimed("r1")
    world.complete(task)
    assert world.complete(task) == "duplicate"
    assert [entry.kind for entry in world.entries("r1")] == ["outcome"]


def test_a_repeated_exchange_answers_recorded_again(world: StoreWorld):
    task = world.claimed("r1")
    for _ in range(2):
        answer = world.store.exchange("worker", "n", completions=[completion(task)])
        assert answer.completions == ("recorded",)
    assert len(world.entries("r1")) == 1


@pytest.mark.parametrize("token", ["", "1-forged", "nonsense", "0-"])
def test_a_forged_token_changes_nothing(world: StoreWorld, token: str):
    task = world.claimed("r1")
    answer = world.store.exchange("worker", "n", completions=[completion(task, token=token or task.token + "x")])
    assert answer.completions == ("stale",)
    assert world.entries("r1") == []
    assert world.complete(task) == "recorded"


def test_another_process_cannot_complete_a_task(world: StoreWorld):
    task = world.claimed("r1")
    world.process("other")
    assert world.complete(task, process="other") == "stale"
    assert world.complete(task) == "recorded"


def test_a_task_that_is_only_queued_cannot_be_completed(world: StoreWorld):
    world.running("r1", "a")
    token = world.store.load_runs(["r1"])[0].tasks["a"].token  # type: ignore[union-attr]
    world.process()
    done = Completion("r1", "a", token, b"outcome")
    assert world.store.exchange("worker", "n", completions=[done]).completions == ("stale",)
    assert len(world.claim()) == 1


def test_an_attempt_of_before_is_stale_once_the_next_one_is_dispatched(world: StoreWorld):
    task = world.claimed("r1")
    world.complete(task)
    world.commit("r1", "a")
    assert world.complete(task) == "stale"
    (retry,) = world.claim()
    assert retry.fence > task.fence
    assert world.complete(retry) == "recorded"


def test_an_output_is_kept_in_a_field_of_its_own_and_comes_with_its_entry(world: StoreWorld):
    world.start("r1")
    world.commit("r1", dispatches=tuple(Dispatch(path, "q", b"", f"given {path}") for path in "abc"))
    world.take()
    world.process()
    first, second, third = world.claim(capacity=3)
    done = [
        replace(completion(first, body=b"A"), output=b"1"),
        completion(second, body=b"B"),
        replace(completion(third, body=b"C"), output=b"3"),
    ]
    assert world.store.exchange("worker", "n", completions=done).completions == ("recorded",) * 3
    (taken,) = world.take()
    assert [(entry.path, entry.body, entry.output) for entry in taken.entries] == [
        ("a", b"A", b"1"), ("b", b"B", b""), ("c", b"C", b"3"),
    ]
    run = _stored(world)
    assert run.entries == taken.entries
    assert (run.fields[f"given a{OUTPUT}"], run.fields[f"given c{OUTPUT}"]) == (b"1", b"3")
    assert f"given b{OUTPUT}" not in run.fields


def test_an_output_is_kept_when_its_run_ends(world: StoreWorld):
    task = world.claimed("r1")
    world.store.exchange("worker", "n", completions=[replace(completion(task), output=b"1")])
    world.end("r1")
    assert b"1" in _stored(world).fields.values()


@pytest.mark.parametrize("token", ["1-forged", ""])
def test_an_output_that_does_not_count_is_not_kept(world: StoreWorld, token: str):
    task = world.claimed("r1")
    late = completion(task, token=token) if token else replace(completion(task), lost=True)
    world.store.exchange("worker", "n", completions=[replace(late, output=b"late")])
    assert b"late" not in _stored(world).fields.values()
    assert [entry.output for entry in _stored(world).entries] == ([] if token else [b""])


def test_an_outcome_for_an_ended_or_unknown_run_is_stale(world: StoreWorld):
    task = world.claimed("r1")
    world.end("r1")
    nobody = Completion("nobody", "a", task.token, b"")
    answer = world.store.exchange("worker", "n", completions=[completion(task), nobody])
    assert answer.completions == ("stale", "stale")


def test_a_batch_of_outcomes_is_answered_item_by_item(world: StoreWorld):
    world.running("r1", "a", "b")
    world.process()
    first, second = world.claim(capacity=2)
    done = [completion(first, token="1-forged"), completion(first), completion(first), completion(second)]
    answer = world.store.exchange("worker", "n", completions=done)
    assert answer.completions == ("stale", "recorded", "duplicate", "recorded")
    assert [entry.path for entry in world.entries("r1")] == ["a", "b"]


def test_outcomes_are_handed_in_and_tasks_taken_in_one_exchange(world: StoreWorld):
    task = world.claimed("r1")
    world.running("r2", "b")
    answer = world.store.exchange("worker", "n", completions=[completion(task)], queues=["q"], capacity=1)
    assert (answer.completions, [claimed.run_id for claimed in answer.claimed]) == (("recorded",), ["r2"])


def test_more_outcomes_than_a_batch_are_split(world: StoreWorld):
    run_ids = [f"r{number}" for number in range(MAX_BATCH + 1)]
    world.start(*run_ids)
    world.store.commit([world.next_commit(run_id, "a") for run_id in run_ids])
    world.process()
    tasks = [*world.claim(capacity=MAX_BATCH), *world.claim(capacity=MAX_BATCH)]
    answer = world.store.exchange("worker", "n", completions=[completion(task) for task in tasks])
    assert answer.completions == ("recorded",) * len(run_ids)


# -- revoking ---------------------------------------------------------------------------------------
def test_a_queued_task_is_taken_back(world: StoreWorld):
    world.running("r1", "a")
    world.commit("r1", revokes=(("a", True),))
    assert [(entry.kind, entry.path) for entry in world.take()[0].entries] == [("revoked", "a")]
    assert world.store.queue_depths() == {"q": 0}
    world.process()
    assert world.claim() == []


def test_a_claimed_task_is_only_marked_and_its_outcome_still_comes(world: StoreWorld):
    task = world.claimed("r1")
    world.commit("r1", revokes=(("a", True),))
    assert world.entries("r1") == []
    assert world.store.load_runs(["r1"])[0].tasks["a"].cancelled  # type: ignore[union-attr]
    assert world.beat("worker", task) == ["cancelled"]
    assert world.complete(task) == "recorded"


@pytest.mark.parametrize("kill", [True, False])
def test_a_queued_task_is_taken_back_whether_or_not_a_claimed_one_would_be_killed(world: StoreWorld, kill: bool):
    world.running("r1", "a")
    world.commit("r1", revokes=(("a", kill),))
    assert [(entry.kind, entry.path) for entry in world.entries("r1")] == [("revoked", "a")]
    assert world.store.queue_depths() == {"q": 0}


def test_a_claimed_task_that_is_not_to_be_killed_runs_on_undisturbed(world: StoreWorld):
    task = world.claimed("r1")
    world.commit("r1", revokes=(("a", False),))
    assert world.entries("r1") == []
    assert not world.store.load_runs(["r1"])[0].tasks["a"].cancelled  # type: ignore[union-attr]
    assert world.beat("worker", task) == ["held"]
    assert world.complete(task) == "recorded"


def test_a_claimed_task_that_was_left_alone_can_still_be_killed(world: StoreWorld):
    """First a sibling failed and the branch drains, then somebody cancels the run; both may be in one commit."""
    task = world.claimed("r1")
    world.commit("r1", revokes=(("a", False), ("a", True)))
    assert world.beat("worker", task) == ["cancelled"]


def test_a_task_that_one_commit_takes_back_twice_is_told_of_once(world: StoreWorld):
    world.running("r1", "a")
    world.commit("r1", revokes=(("a", False), ("a", True)))
    assert [entry.kind for entry in world.entries("r1")] == ["revoked"]


def test_revoking_what_is_not_open_does_nothing(world: StoreWorld):
    task = world.claimed("r1")
    world.complete(task)
    world.commit("r1", revokes=(("a", True), ("never", True)))
    assert world.entries("r1") == []


# -- heartbeats -------------------------------------------------------------------------------------
def test_a_beat_keeps_a_task(world: StoreWorld):
    task = world.claimed("r1")
    for _ in range(20):
        world.pass_time(3_000)
        assert world.beat("worker", task) == ["held"]
    assert world.complete(task) == "recorded"


def test_what_a_beat_says_of_its_process_is_listed_with_it(world: StoreWorld):
    world.process("worker")
    assert world.store.processes()[0].vitals is None
    world.store.beat("worker", [], vitals=Vitals(5_000_000, 1.5, 0.25, children=1, slots=64))
    assert world.store.processes()[0].vitals == Vitals(5_000_000, 1.5, 0.25, children=1, slots=64)
    world.store.beat("worker", [])
    assert world.store.processes()[0].vitals is None


def test_a_beat_says_what_is_held_no_longer(world: StoreWorld):
    task = world.claimed("r1")
    world.complete(task)
    assert world.beat("worker", task) == ["lost"]
    assert world.store.beat("worker", [("nobody", "a", "1-x")]) == ["lost"]


def test_a_beat_of_a_dead_process_says_so(world: StoreWorld):
    task = world.claimed("r1")
    world.store.reap("worker")
    assert world.beat("worker", task) is None
    assert world.beat("never registered") is None


def test_a_beat_does_not_touch_what_another_process_holds(world: StoreWorld):
    task = world.claimed("r1")
    world.process("other")
    assert world.beat("other", task) == ["lost"]
    world.pass_time(2 * LEASE_MS, "other")
    assert [entry.kind for entry in world.entries("r1")] == ["lost"]


# -- the life of a process ----------------------------------------------------------------------------
def test_processes_are_listed_with_what_they_hold(world: StoreWorld):
    info = ProcessInfo("worker", "worker", "host", 42, started_at_ms=5, queues=("q",), lock="/run/lock")
    world.store.register(info)
    world.process("engine", "engine")
    world.running("r1", "a", "b")
    world.claim(capacity=2)
    world.clock.advance(9)
    world.beat("worker")
    engine, worker = world.store.processes()
    assert (engine.id, engine.kind, engine.held) == ("engine", "engine", 0)
    assert worker == msgspec.structs.replace(info, held=2, seen_at_ms=world.clock.now_ms)


def test_the_tasks_of_a_reaped_process_are_lost_at_once(world: StoreWorld):
    task = world.claimed("r1")
    assert world.store.reap("worker") == 1
    (entry,) = world.take()[0].entries
    assert (entry.kind, entry.path, entry.process, entry.claimed_at_ms) == ("lost", "a", "worker", task.claimed_at_ms)
    assert world.store.processes() == []


def test_a_late_outcome_of_a_reaped_process_is_not_recorded(world: StoreWorld):
    task = world.claimed("r1")
    world.store.reap("worker")
    answer = world.store.exchange("worker", "n", completions=[completion(task)], queues=["q"], capacity=1)
    assert (answer.alive, answer.completions) == (False, ())
    assert [entry.kind for entry in world.entries("r1")] == ["lost"]


def test_a_reaped_id_never_comes_back(world: StoreWorld):
    world.process()
    world.store.reap("worker")
    with pytest.raises(StoreError, match="must take a new id"):
        world.process()
    world.process("worker2")


def test_a_reaped_id_is_remembered_for_a_day(world: StoreWorld):
    world.process()
    world.store.reap("worker")
    world.store.tick()
    world.clock.advance(REAPED_MS)
    world.store.tick()
    world.process()


def test_registering_again_changes_nothing_but_the_lease(world: StoreWorld):
    task = world.claimed("r1")
    world.process()
    assert world.store.processes()[0].held == 1
    assert world.complete(task) == "recorded"


def test_reaping_twice_finds_nothing_more(world: StoreWorld):
    world.claimed("r1")
    assert [world.store.reap("worker"), world.store.reap("worker"), world.store.reap("never")] == [1, 0, 0]


def test_a_process_with_many_tasks_is_reaped_whole(world: StoreWorld):
    run_ids = [f"r{number}" for number in range(MAX_BATCH + 5)]
    world.start(*run_ids)
    world.store.commit([world.next_commit(run_id, "a") for run_id in run_ids])
    world.process()
    for _ in range(2):
        world.claim(capacity=MAX_BATCH)
    assert world.store.reap("worker") == len(run_ids)
    assert not world.snapshot().running


def test_retiring_loses_what_is_still_held(world: StoreWorld):
    world.claimed("r1")
    world.store.retire("worker")
    world.store.retire("worker")
    assert [entry.kind for entry in world.entries("r1")] == ["lost"]
    assert world.store.processes() == []


def test_the_runs_of_a_reaped_engine_are_ready_at_once(world: StoreWorld):
    world.process("engine", "engine")
    world.start("r1", "r2", "r3")
    assert len(world.take(limit=2)) == 2
    assert len(world.take(limit=1, loop=1)) == 1
    world.commit("r1")
    assert world.store.reap("engine") == 2
    assert sorted(run.run_id for run in world.take(engine="another")) == ["r2", "r3"]


def test_what_a_slow_loop_of_a_reaped_engine_has_taken_is_ready_however_often_the_others_took(world: StoreWorld):
    world.process("engine", "engine")
    world.start("slow")
    world.take()
    for number in range(12):
        world.start(f"r{number}")
        world.take(loop=1 + number % 3)
        world.commit(f"r{number}")
    assert world.store.reap("engine") == 1
    assert [run.run_id for run in world.take(engine="another")] == ["slow"]
