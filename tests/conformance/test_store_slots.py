"""What every store promises about slots: who may be under way, who waits, and that no place is lost. See ports.Slot."""

from __future__ import annotations

import pytest

from runner.store.limits import FRESH_MS, MAX_WAITING, WATCH_MS
from runner.store.ports import MAX_HOLDERS, NewRun, Request, Slot, SlotInfo, StartAnswer
from tests.conformance.store_world import StoreWorld

ONE = Slot("order:EU", 1)
ONLY_ONE = Slot("order:EU", 1, "reject")
TWO = Slot("order:EU", 2)


def new_run(run_id: str, slot: Slot | None = ONE, nonce: str = "nonce", digest: str = "digest") -> NewRun:
    return NewRun(run_id, nonce, digest, b"{}", b'{"order":1}', slot)


def start(world: StoreWorld, *run_ids: str, slot: Slot | None = ONE) -> list[str]:
    return [answer.answer for answer in world.store.start([new_run(run_id, slot) for run_id in run_ids])]


def taken(world: StoreWorld) -> list[str]:
    return [run.run_id for run in world.take()]


def in_line(world: StoreWorld, run_id: str) -> bool:
    run = world.store.load_runs([run_id])[0]
    assert run is not None
    assert run.slot == "order:EU"
    return run.in_line


# -- starting ---------------------------------------------------------------------------------------
def test_as_many_runs_as_the_limit_says_are_under_way_and_the_others_wait(world: StoreWorld):
    assert start(world, "r1", "r2", "r3", slot=TWO) == ["created"] * 3
    assert taken(world) == ["r1", "r2"]
    assert in_line(world, "r3")
    assert world.store.slot("order:EU", run_id="r3") == SlotInfo("order:EU", 2, 2, 1, ("r1", "r2"))


def test_slots_of_other_names_have_room_of_their_own(world: StoreWorld):
    start(world, "r1", "r2")
    start(world, "r3", slot=Slot("order:US", 1))
    start(world, "r4", slot=None)
    assert taken(world) == ["r1", "r3", "r4"]


def test_a_full_slot_that_rejects_starts_nothing_and_names_who_holds_it(world: StoreWorld):
    start(world, "r1", slot=ONLY_ONE)
    assert world.store.start([new_run("r2", ONLY_ONE)]) == [StartAnswer("limited", holders=("r1",))]
    assert world.store.load_runs(["r2"]) == [None]
    assert world.store.count_live() == 1


def test_a_refused_start_may_be_tried_again_with_the_same_nonce(world: StoreWorld):
    start(world, "r1", slot=ONLY_ONE)
    assert start(world, "r2", slot=ONLY_ONE) == ["limited"]
    world.end("r1")
    assert start(world, "r2", slot=ONLY_ONE) == ["created"]


@pytest.mark.parametrize("slot", [ONE, ONLY_ONE])
def test_a_repeated_start_takes_one_place(world: StoreWorld, slot: Slot):
    assert start(world, "r1", "r1", "r1", slot=slot) == ["created"] * 3
    info = world.store.slot("order:EU")
    assert info is not None
    assert (info.held, info.waiting) == (1, 0)


def test_a_start_of_a_run_that_is_there_takes_no_place(world: StoreWorld):
    start(world, "r1")
    answers = world.store.start([new_run("r1", nonce="other"), new_run("r1", nonce="other", digest="other")])
    assert [answer.answer for answer in answers] == ["existing", "conflict"]
    world.end("r1")
    assert world.store.slot("order:EU") is None


def test_a_repeated_start_of_one_that_waits_is_that_one(world: StoreWorld):
    start(world, "r1", "r2")
    assert start(world, "r2") == ["created"]
    info = world.store.slot("order:EU")
    assert info is not None
    assert (info.held, info.waiting) == (1, 1)


def test_nobody_overtakes_those_who_wait(world: StoreWorld):
    """A definition whose new version rejects: while older runs wait, there is no room for it."""
    start(world, "r1", "r2")
    assert start(world, "r3", slot=Slot("order:EU", 1, "reject")) == ["limited"]


# -- giving a place back ----------------------------------------------------------------------------
def test_those_who_wait_begin_in_the_order_of_their_starts(world: StoreWorld):
    start(world, "r9", "r5", "r7", "r1")
    begun = []
    for _ in range(4):
        (run_id,) = taken(world)
        begun.append(run_id)
        world.end(run_id)
        world.clock.advance(1)
    assert begun == ["r9", "r5", "r7", "r1"]
    assert world.store.slot("order:EU") is None


def test_a_run_that_goes_on_keeps_its_place(world: StoreWorld):
    start(world, "r1", "r2")
    world.commit("r1", "a", timers=(("t", world.clock.now_ms + 10**7),))
    world.pass_time(2 * WATCH_MS)
    assert in_line(world, "r2")


def test_a_run_that_begins_after_a_wait_is_handed_out_at_once_and_its_time_counts_from_then(world: StoreWorld):
    start(world, "r1", "r2")
    world.commit("r1")
    world.take()
    world.clock.advance(FRESH_MS)
    world.end("r1")
    (run,) = world.take()
    assert [(entry.kind, entry.at_ms, entry.body) for entry in run.entries] == [
        ("started", world.clock.now_ms, b'{"order":1}')
    ]


def test_a_stuck_run_gives_its_place_back(world: StoreWorld):
    start(world, "r1", "r2")
    world.commit("r1", status="stuck")
    assert taken(world) == ["r2"]


def test_a_stuck_run_that_goes_on_has_its_place_again_and_nobody_asks_whether_there_is_room(world: StoreWorld):
    start(world, "r1", "r2", "r3")
    world.commit("r1", status="stuck")
    world.commit("r1", status="running")
    info = world.store.slot("order:EU")
    assert info is not None
    assert (info.held, info.holders) == (2, ("r1", "r2"))
    world.end("r2")
    assert in_line(world, "r3")
    world.end("r1")
    assert taken(world) == ["r3"]


def test_a_stuck_run_that_is_ended_gives_no_second_place(world: StoreWorld):
    start(world, "r1", "r2", "r3")
    world.commit("r1", status="stuck")
    world.end("r1")
    assert in_line(world, "r3")


def test_a_run_that_is_set_aside_until_a_person_acts_gives_its_place_back(world: StoreWorld):
    start(world, "r1", "r2")
    world.take()
    world.store.park("r1", "", delay_ms=1, stuck=False, error=b"trace")
    assert in_line(world, "r2")
    world.store.park("r1", "", delay_ms=0, stuck=True, error=b"trace")
    assert taken(world) == ["r2"]
    world.commit("r1")
    info = world.store.slot("order:EU")
    assert info is not None
    assert info.holders == ("r1", "r2")


def test_a_commit_that_is_refused_gives_no_place_back(world: StoreWorld):
    start(world, "r1", "r2")
    commit = world.next_commit("r1", etag_read="old", terminal=True, status="completed")
    assert world.store.commit([commit]) == ["stale"]
    assert in_line(world, "r2")


def test_a_repeated_commit_gives_one_place_back(world: StoreWorld):
    start(world, "r1", "r2", "r3")
    commit = world.end("r1")
    assert world.store.commit([commit]) == ["ok"]
    assert in_line(world, "r3")


def test_several_that_end_in_one_batch_let_as_many_begin(world: StoreWorld):
    start(world, "r1", "r2", "r3", "r4", "r5", slot=TWO)
    world.take()
    ends = [world.next_commit(run_id, terminal=True, status="completed") for run_id in ("r1", "r2")]
    assert world.store.commit(ends) == ["ok", "ok"]
    assert taken(world) == ["r3", "r4"]


# -- another limit ----------------------------------------------------------------------------------
def test_a_start_with_a_higher_limit_lets_those_who_wait_begin(world: StoreWorld):
    start(world, "r1", "r2", "r3", "r4")
    assert taken(world) == ["r1"]
    start(world, "r5", slot=Slot("order:EU", 3))
    assert taken(world) == ["r2", "r3"]
    assert in_line(world, "r5")


def test_with_a_lower_limit_nobody_is_stopped_and_nobody_begins_until_there_is_room(world: StoreWorld):
    start(world, "r1", "r2", "r3", slot=TWO)
    start(world, "r4")
    world.end("r1")
    assert in_line(world, "r3")
    world.end("r2")
    assert not in_line(world, "r3")


# -- while a run waits ------------------------------------------------------------------------------
def test_a_request_waits_with_its_run(world: StoreWorld):
    start(world, "r1", "r2")
    assert taken(world) == ["r1"]
    assert world.store.post([Request("r2", "n", b"signal")]) == ["ok"]
    world.pass_time(2 * WATCH_MS)
    world.end("r1")
    (run,) = world.take()
    assert [(entry.kind, entry.body) for entry in run.entries] == [("started", b'{"order":1}'), ("request", b"signal")]


def test_a_request_that_may_not_wait_comes_right_behind_the_start_and_leaves_the_line(world: StoreWorld):
    """With nothing between the two, and in one batch, so that no engine begins what is not meant to be begun."""
    start(world, "r1", "r2", "r3")
    assert taken(world) == ["r1"]
    world.store.post([Request("r2", f"n{number}", b"signal") for number in range(150)])
    assert world.store.post([Request("r2", "n", b"cancel", at_once=True)]) == ["ok"]
    (run,) = world.take()
    assert [(entry.kind, entry.body) for entry in run.entries] == [("started", b'{"order":1}'), ("request", b"cancel")]
    world.end("r2")
    assert in_line(world, "r3")
    world.end("r1")
    assert taken(world) == ["r3"]


def test_a_request_that_may_not_wait_is_taken_though_the_inbox_is_full(world: StoreWorld):
    start(world, "r1", "r2")
    world.store.post([Request("r2", f"n{number}", b"signal") for number in range(MAX_WAITING - 1)])
    assert world.store.post([Request("r2", "n", b"cancel", at_once=True)]) == ["ok"]
    assert [entry.body for entry in world.entries("r2")] == [b'{"order":1}', b"cancel"]


def test_a_run_that_left_the_line_and_undoes_something_holds_a_place_meanwhile(world: StoreWorld):
    start(world, "r1", "r2")
    world.store.post([Request("r2", "n", b"cancel", at_once=True)])
    world.commit("r2", "~finally/record", status="compensating")
    info = world.store.slot("order:EU")
    assert info is not None
    assert info.holders == ("r1", "r2")


def test_at_once_is_nothing_special_for_a_run_that_has_begun(world: StoreWorld):
    start(world, "r1")
    world.store.post([Request("r1", "n1", b"signal"), Request("r1", "n2", b"cancel", at_once=True)])
    assert [entry.body for entry in world.entries("r1")] == [b'{"order":1}', b"signal", b"cancel"]


def test_who_waits_is_listed_with_what_it_waits_for(world: StoreWorld):
    start(world, "r1")
    world.clock.advance(1)
    start(world, "r2")
    assert [(row.run_id, row.status, row.waits_for) for row in world.store.list_runs()] == [
        ("r2", "", "order:EU"), ("r1", "", ""),
    ]


def test_a_slot_is_described(world: StoreWorld):
    ids = [f"r{number:02}" for number in range(30)]
    start(world, *ids, slot=Slot("order:EU", 25))
    info = world.store.slot("order:EU", run_id="r27")
    assert info is not None
    assert (info.limit, info.held, info.waiting, info.ahead, len(info.holders)) == (25, 25, 5, 2, MAX_HOLDERS)
    assert world.store.slot("nobody's") is None


# -- losses -----------------------------------------------------------------------------------------
def test_an_engine_that_dies_costs_no_place(world: StoreWorld):
    world.process("engine", "engine")
    start(world, "r1", "r2")
    assert taken(world) == ["r1"]
    world.store.reap("engine")
    assert taken(world) == ["r1"]
    world.end("r1")
    assert taken(world) == ["r2"]


@pytest.mark.parametrize("slot", [ONE, ONLY_ONE])
def test_the_place_of_a_run_that_somebody_deleted_is_found_by_the_next_start(on_redis: StoreWorld, slot: Slot):
    assert on_redis.redis is not None
    start(on_redis, "r1", slot=slot)
    on_redis.redis.delete(on_redis.prefix + "run:r1")
    assert start(on_redis, "r2", slot=ONLY_ONE) == ["limited"]  # it was seen a moment ago
    on_redis.pass_time(WATCH_MS)
    assert start(on_redis, "r3", slot=slot) == ["created"]
    assert taken(on_redis) == ["r3"]


def test_who_waits_for_a_run_that_somebody_deleted_is_not_forgotten(on_redis: StoreWorld):
    assert on_redis.redis is not None
    start(on_redis, "r1", "r2", "r3")
    on_redis.redis.delete(on_redis.prefix + "run:r1", on_redis.prefix + "run:r2")
    on_redis.pass_time(2 * WATCH_MS)
    assert taken(on_redis) == ["r3"]


@pytest.mark.parametrize("key", ["holders:order:EU", "line:order:EU", "slot:order:EU"])
def test_a_deleted_key_of_a_slot_is_restored_from_the_records(on_redis: StoreWorld, key: str):
    assert on_redis.redis is not None
    start(on_redis, "r1", "r2")
    on_redis.commit("r1")
    on_redis.redis.delete(on_redis.prefix + key)
    on_redis.pass_time(2 * WATCH_MS)
    assert on_redis.store.slot("order:EU") == SlotInfo("order:EU", 1, 1, 1, ("r1",))
    on_redis.end("r1")
    assert taken(on_redis) == ["r2"]


@pytest.mark.parametrize("key", ["holders:order:EU", "line:order:EU", "slot:order:EU"])
def test_a_broken_slot_keeps_nobody_else_back(on_redis: StoreWorld, key: str):
    assert on_redis.redis is not None
    on_redis.is_tampered = True
    start(on_redis, "r1")
    on_redis.redis.delete(on_redis.prefix + key)
    on_redis.redis.set(on_redis.prefix + key, "tampered")
    assert start(on_redis, "r2") == ["tampered"]
    assert start(on_redis, "r3", slot=None) == ["created"]
    on_redis.commit("r1", status="stuck")
    on_redis.commit("r1")
    on_redis.end("r1")
    assert taken(on_redis) == ["r3"]
    on_redis.pass_time(2 * WATCH_MS, "engine")
