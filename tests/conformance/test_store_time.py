"""What every store promises about time: timers, leases, queue timeouts, repair, grace, the clock. See ports.Store."""

from __future__ import annotations

from runner.store.limits import MAX_BATCH, REPAIR_MS, TICK_MS, WATCH_MS
from runner.store.memory.store import MemoryStore
from runner.store.ports import Ticked
from tests.conformance.store_world import LEASE_MS, StoreWorld

OUTAGE_MS = 20_000  # more than half a lease, and than four ticks


def kinds(world: StoreWorld, run_id: str) -> list[str]:
    return [entry.kind for entry in world.entries(run_id)]


def lose_queue_entries(world: StoreWorld, queue: str = "q", count: int = 1) -> None:
    """As if the first refs had been popped by nobody."""
    if isinstance(world.store, MemoryStore):
        for _ in range(count):
            world.store._tables.queues[queue].popleft()
    else:
        assert world.redis is not None
        world.redis.lpop(f"{world.prefix}q:{queue}", count)


# -- timers -----------------------------------------------------------------------------------------
def test_a_timer_fires_once_when_it_is_due(world: StoreWorld):
    world.running("r1", timers=(("retry:a", world.clock.now_ms + 50),))
    world.clock.advance(49)
    assert world.store.tick() == Ticked(next_due_ms=1, now_ms=world.clock.now_ms)
    world.clock.advance(1)
    assert world.store.tick().timers == 1
    (entry,) = world.take()[0].entries
    assert (entry.kind, entry.path, entry.at_ms) == ("timer", "retry:a", world.clock.now_ms)
    assert world.store.tick().timers == 0


def test_a_cleared_timer_does_not_fire(world: StoreWorld):
    world.running("r1", timers=(("x", world.clock.now_ms + 50),))
    world.commit("r1", timers_cleared=("x", "never set"))
    world.pass_time(60)
    assert kinds(world, "r1") == []


def test_a_timer_may_be_moved(world: StoreWorld):
    world.running("r1", timers=(("x", world.clock.now_ms + 50),))
    world.commit("r1", timers=(("x", world.clock.now_ms + 500),))
    world.pass_time(499)
    assert kinds(world, "r1") == []
    world.pass_time(1)
    assert kinds(world, "r1") == ["timer"]


def test_a_timer_of_the_past_fires_with_the_next_tick(world: StoreWorld):
    world.running("r1", timers=(("x", 0),))
    assert world.store.tick().timers == 1


def test_timers_of_an_ended_run_do_not_fire(world: StoreWorld):
    world.running("r1", timers=(("x", world.clock.now_ms + 50),))
    world.end("r1")
    world.pass_time(60)
    assert world.take() == []


def test_a_tick_is_bounded_and_says_that_more_is_due(world: StoreWorld):
    world.start("r1")
    world.commit("r1", timers=tuple((f"t{number}", 1) for number in range(MAX_BATCH + 1)))
    assert (first := world.store.tick()).timers == MAX_BATCH
    assert first.next_due_ms == 0
    assert world.store.tick().timers == 1


def test_a_tick_says_when_the_next_is_due(world: StoreWorld):
    assert world.store.tick().next_due_ms == TICK_MS
    world.running("r1", timers=(("x", world.clock.now_ms + 300),))
    assert world.store.tick().next_due_ms == 300


# -- leases -----------------------------------------------------------------------------------------
def test_an_attempt_is_over_when_its_lease_and_one_more_have_passed(world: StoreWorld):
    task = world.claimed("r1")
    world.pass_time(2 * LEASE_MS - 1)
    assert kinds(world, "r1") == []
    world.pass_time(1)
    (entry,) = world.entries("r1")
    assert (entry.kind, entry.path, entry.process, entry.claimed_at_ms) == ("lost", "a", "worker", task.claimed_at_ms)


def test_an_outcome_before_the_end_of_the_attempt_counts(world: StoreWorld):
    task = world.claimed("r1")
    world.pass_time(2 * LEASE_MS - 1)
    assert world.complete(task) == "recorded"


def test_an_outcome_after_the_attempt_was_lost_is_stale(world: StoreWorld):
    task = world.claimed("r1")
    world.pass_time(2 * LEASE_MS, "worker")
    assert world.complete(task) == "stale"
    assert kinds(world, "r1") == ["lost"]


def test_a_process_whose_lease_and_one_more_passed_is_reaped(world: StoreWorld):
    world.process("engine", "engine")
    world.claimed("r1")
    world.pass_time(2 * LEASE_MS, "engine")
    assert [process.id for process in world.store.processes()] == ["engine"]
    assert world.beat("worker") is None


def test_a_process_that_beats_again_in_time_lives_on(world: StoreWorld):
    task = world.claimed("r1")
    world.pass_time(2 * LEASE_MS - 1)
    assert world.beat("worker", task) == ["held"]
    world.pass_time(LEASE_MS)
    assert world.complete(task) == "recorded"


def test_a_process_that_only_exchanges_lives_on(world: StoreWorld):
    world.process()
    for _ in range(5):
        world.pass_time(LEASE_MS)
        world.claim()


def test_the_runs_of_an_engine_that_died_are_handed_out_after_its_lease(world: StoreWorld):
    world.process("engine", "engine")
    world.start("r1")
    world.take()
    world.store.tick()
    world.clock.advance(5_000)
    world.store.tick()
    world.clock.advance(5_000)
    world.store.tick()
    world.clock.advance(5_000)
    assert world.store.tick().rearmed == 1
    assert [run.run_id for run in world.take(engine="another")] == ["r1"]


def test_an_idle_run_is_looked_after_and_not_handed_out(world: StoreWorld):
    world.running("r1", timers=(("x", world.clock.now_ms + 10 * WATCH_MS),))
    world.pass_time(3 * WATCH_MS)
    assert world.take() == []


# -- queued tasks -------------------------------------------------------------------------------------
def test_a_task_that_nobody_claimed_in_time_is_taken_back(world: StoreWorld):
    world.running("r1", "a", queue_timeout_ms=40_000)
    world.pass_time(39_999)
    assert kinds(world, "r1") == []
    world.pass_time(1)
    (entry,) = world.take()[0].entries
    assert (entry.kind, entry.path) == ("queue_timeout", "a")
    world.process()
    assert world.claim() == []
    assert world.store.queue_depths() == {"q": 0}


def test_the_queue_timeout_ends_with_the_claim(world: StoreWorld):
    world.running("r1", "a", queue_timeout_ms=5_000)
    world.pass_time(4_999)
    world.process()
    (task,) = world.claim()
    world.pass_time(5_000)
    assert world.complete(task) == "recorded"


def test_a_task_lost_from_its_queue_is_pushed_again(world: StoreWorld):
    world.running("r1", "a")
    lose_queue_entries(world)
    world.pass_time(REPAIR_MS)
    world.process()
    assert [task.path for task in world.claim()] == ["a"]


def test_a_task_lost_from_a_queue_with_younger_ones_is_pushed_to_the_front(world: StoreWorld):
    world.running("r1", "old")
    world.clock.advance(1)
    world.running("r2", "young")
    lose_queue_entries(world)
    world.store.tick()
    for _ in range(4):
        world.clock.advance(REPAIR_MS // 4)
        ticked = world.store.tick()
    assert ticked.requeued == 1
    world.process()
    assert [task.path for task in world.claim(capacity=5)] == ["old", "young"]


def test_tasks_behind_a_backlog_are_not_doubled(world: StoreWorld):
    for number in range(5):
        world.running(f"r{number}", "a")
        world.clock.advance(1)
    world.pass_time(10 * REPAIR_MS)
    assert world.store.queue_depths() == {"q": 5}
    world.process()
    assert len(world.claim(capacity=10)) == 5


def test_tasks_of_runs_committed_together_are_not_doubled(world: StoreWorld):
    """Their fences begin at the same number: the second task of one run is not younger than the first of the next."""
    world.start("r1", "r2")
    assert world.store.commit([world.next_commit("r1", "a", "b"), world.next_commit("r2", "a", "b")]) == ["ok", "ok"]
    world.process()
    world.claim()
    world.pass_time(10 * REPAIR_MS, "worker")
    assert world.store.queue_depths() == {"q": 3}
    assert [(task.run_id, task.path) for task in world.claim(capacity=5)] == [("r1", "b"), ("r2", "a"), ("r2", "b")]


def test_a_queue_that_is_lost_is_whole_again_after_one_look(world: StoreWorld):
    world.start("r1", "r2")
    assert world.store.commit([world.next_commit("r1", "a", "b"), world.next_commit("r2", "a", "b")]) == ["ok", "ok"]
    world.clock.advance(20_000)
    world.running("r3", "a", "b")
    lose_queue_entries(world, count=5)
    world.pass_time(REPAIR_MS - 20_000)
    assert world.store.queue_depths() == {"q": 5}
    world.pass_time(20_000)
    world.process()
    found = [(task.run_id, task.path) for task in world.claim(capacity=9)]
    assert sorted(found[:4]) == [("r1", "a"), ("r1", "b"), ("r2", "a"), ("r2", "b")]
    assert found[4:] == [("r3", "a"), ("r3", "b")]


def test_tasks_behind_a_backlog_of_hundreds_are_not_doubled(world: StoreWorld):
    world.start(*[f"r{number}" for number in range(6)])
    for number in range(6):
        world.clock.advance(1)
        world.commit(f"r{number}", *[f"a{path}" for path in range(50)])
    lose_queue_entries(world, count=10)
    world.pass_time(10 * REPAIR_MS)
    assert world.store.queue_depths() == {"q": 300}
    world.process()
    refs = [(task.run_id, task.path) for task in [*world.claim(capacity=200), *world.claim(capacity=200)]]
    assert refs == [(f"r{number}", f"a{path}") for number in range(6) for path in range(50)]


def test_repairing_twice_does_not_let_a_task_run_twice(world: StoreWorld):
    """A ref that is there twice is claimed once: its token is not queued any more when the second is popped."""
    world.running("r1", "a")
    lose_queue_entries(world)
    world.pass_time(REPAIR_MS)
    lose_queue_entries(world)
    world.pass_time(3 * REPAIR_MS)
    world.process()
    assert len(world.claim(capacity=5)) == 1
    assert world.store.queue_depths() == {"q": 0}


# -- grace --------------------------------------------------------------------------------------------
def test_live_workers_keep_their_tasks_after_an_outage(world: StoreWorld):
    task = world.claimed("r1")
    world.store.tick()
    world.clock.advance(10 * LEASE_MS)
    assert world.store.tick().grace is True
    assert world.beat("worker", task) == ["held"]
    world.pass_time(LEASE_MS - 1)
    assert world.complete(task) == "recorded"


def test_a_grace_ends_after_a_lease(world: StoreWorld):
    world.claimed("r1")
    world.store.tick()
    world.clock.advance(10 * LEASE_MS)
    world.store.tick()
    world.pass_time(LEASE_MS - 1)
    assert kinds(world, "r1") == []
    world.pass_time(1)
    assert kinds(world, "r1") == ["lost"]
    assert world.store.processes() == []


def test_a_grace_delays_neither_timers_nor_the_repair_of_queues(world: StoreWorld):
    world.running("r1", "a", timers=(("x", world.clock.now_ms + 100),))
    lose_queue_entries(world)
    world.store.tick()
    world.clock.advance(10 * LEASE_MS)
    ticked = world.store.tick()
    assert (ticked.grace, ticked.timers, ticked.requeued) == (True, 1, 1)


def test_a_grace_delays_queue_timeouts(world: StoreWorld):
    """Nobody could claim while Redis was away."""
    world.running("r1", "a", queue_timeout_ms=5_000)
    world.store.tick()
    world.clock.advance(10 * LEASE_MS)
    world.store.tick()
    world.pass_time(LEASE_MS - 1)
    assert kinds(world, "r1") == []
    world.pass_time(1)
    assert kinds(world, "r1") == ["queue_timeout"]


def test_a_chain_of_graces_ends_after_two_leases(world: StoreWorld):
    """A server that flaps must not keep the tasks of a dead worker for ever."""
    world.claimed("r1")
    world.store.tick()
    graces = []
    for _ in range(4):
        world.clock.advance(8_000)
        graces.append(world.store.tick().grace)
    assert graces == [True, True, True, True]
    world.clock.advance(8_000)
    assert world.store.tick().grace is False
    assert kinds(world, "r1") == ["lost"]


def test_a_grace_long_after_another_is_a_new_one(world: StoreWorld):
    for _ in range(3):
        world.store.tick()
        world.clock.advance(OUTAGE_MS)
        assert world.store.tick().grace is True
        world.pass_time(2 * LEASE_MS)


def test_ordinary_ticks_open_no_grace(world: StoreWorld):
    world.store.tick()
    world.clock.advance(LEASE_MS // 2)
    assert world.store.tick().grace is False


# -- the clock ----------------------------------------------------------------------------------------
def test_time_neither_steps_back_nor_stands_still(world: StoreWorld):
    before = world.store.now_ms()
    world.clock.advance(-3_600_000)
    assert world.store.now_ms() == before
    world.clock.advance(1_000)
    assert world.store.now_ms() == before + 1_000


def test_what_was_due_before_the_clock_stepped_back_is_due_when_it_was_meant_to_be(world: StoreWorld):
    world.running("r1", timers=(("x", world.clock.now_ms + 100),))
    world.clock.advance(-3_600_000)
    world.pass_time(100)
    assert kinds(world, "r1") == ["timer"]


def test_fences_increase_when_the_clock_steps_back(world: StoreWorld):
    first = world.claimed("r1")
    world.complete(first)
    world.clock.advance(-3_600_000)
    world.commit("r1", "a")
    assert world.claim()[0].fence > first.fence
