"""Records that somebody broke: RedisStore refuses or steps over them, and never writes half of anything.

Every key of every script is given a wrong type in turn; every argument is replaced by nonsense. Where a script
could do the rest of a batch it does, and where it refuses not one key may have changed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from redis.exceptions import ResponseError

from runner.errors import RecordTampered
from runner.store.faults import Fault
from runner.store.limits import REPAIR_MS
from runner.store.ports import OUTPUT, Commit, Completion, Dispatch, NewRun, Quota, Request
from runner.store.scripts import Scripts, load_script
from tests.conformance.scenario import tell
from tests.conformance.store_world import LEASE_MS, StoreWorld
from tests.lua import read_script, script_names

Verb = Callable[[StoreWorld], Any]
CHILD = NewRun("child", "n", "d", b"{}", b"in")


def scripts_of(world: StoreWorld) -> Scripts:
    return world.store._scripts  # type: ignore[attr-defined,no-any-return]


def rich(world: StoreWorld) -> None:
    """A state in which every script has something to do."""
    world.process("engine", "engine")
    world.process("worker")
    world.process("dead")
    world.store.put_schedule("order", b"body")
    world.start("done", "held", "held2", "waiting", "fresh")
    world.store.take_runs("engine", "t1", limit=9, lease_ms=LEASE_MS)
    world.end("done", retention_ms=1, faults=(Fault("v1:a", b"about"),))
    world.commit("held", "a")
    world.claim("worker", capacity=1)
    world.commit("held2", "a")
    world.claim("dead", capacity=1)
    world.commit("waiting", "a", queue_timeout_ms=5_000, timers=(("t", world.clock.now_ms + 10),))
    world.store.tick()
    for _ in range(2):
        world.clock.advance(5_000)
        scripts_of(world).begin_tick(lease_ms=LEASE_MS, tick_ms=1_000)
    world.clock.advance(5_000)
    world.beat("worker")


def token_of(world: StoreWorld, run_id: str, path: str = "a") -> str:
    return world.store.load_runs([run_id])[0].tasks[path].token  # type: ignore[union-attr]


def hand_in(world: StoreWorld) -> Any:
    done = [Completion("held", "a", token_of(world, "held"), b"outcome")]
    return world.store.exchange("worker", "x", completions=done, queues=["q"], capacity=1)


VERBS: dict[str, Verb] = {
    "start_runs": lambda world: world.store.start([NewRun("new", "n", "d", b"{}", b"in")]),
    "take_runs": lambda world: world.store.take_runs("engine", "t2", limit=9, lease_ms=LEASE_MS),
    "commit_runs": lambda world: world.store.commit([
        world.next_commit("fresh", "a", "b", timers=(("t", 5),), starts=(CHILD,), tells=(("waiting", b"told"),),
                          faults=(Fault("v1:b", b"about", ("step=a",)),))]),
    "park_run": lambda world: world.store.park("fresh", "", delay_ms=5, stuck=False, error=b"trace"),
    "post_requests": lambda world: world.store.post([Request("fresh", "n", b"signal")]),
    "exchange_tasks": hand_in,
    "beat_process": lambda world: world.store.beat("worker", [("held", "a", token_of(world, "held"))], lease_ms=99_000),
    "register_process": lambda world: world.process("worker"),
    "reap_process": lambda world: world.store.reap("worker"),
    "begin_tick": lambda world: world.store.tick(),
    "fire_timers": lambda world: scripts_of(world).fire_timers(),
    "expire_tasks": lambda world: scripts_of(world).expire_tasks(),
    "rearm_runs": lambda world: scripts_of(world).rearm_runs(),
    "forget_runs": lambda world: scripts_of(world).forget_runs(),
    "release_runs": lambda world: world.store.release_runs({"done": 0}),
    "note_fire": lambda world: world.store.note_fire("order", world.clock.now_ms, b"note"),
    "note_alert": lambda world: world.store.note_alert("late", "n", firing=True, cool_down_ms=5, body=b"what"),
    "note_fault": lambda world: world.store.note_fault("v1:a", "resolved", b"note"),
    "read_clock": lambda world: world.store.now_ms(),
}
WHOM = {"<engine>": "engine", "<process>": "worker"}


def keys_of(name: str) -> list[str]:
    keys = [key for key, _ in read_script(name).keys]
    for placeholder, value in WHOM.items():
        keys = [key.replace(placeholder, value) for key in keys]
    return keys


def test_every_script_has_a_verb_here():
    assert sorted(VERBS) == script_names()


@pytest.mark.parametrize("name", sorted(VERBS))
def test_a_key_of_the_wrong_type_is_refused_and_nothing_is_written(on_redis: StoreWorld, name: str):
    assert on_redis.redis is not None
    rich(on_redis)
    for key in keys_of(name):
        full = on_redis.prefix + key
        saved = on_redis.redis.dump(full)
        on_redis.redis.set(full, "tampered")
        before, ticked = on_redis.dump(), on_redis.redis.type(on_redis.prefix + "clock")
        with pytest.raises(RecordTampered, match=key.replace(":", ".") + " is a string"):
            VERBS[name](on_redis)
        assert (on_redis.dump(), on_redis.redis.type(on_redis.prefix + "clock")) == (before, ticked)
        on_redis.redis.delete(full)
        if saved is not None:
            on_redis.redis.restore(full, 0, saved)
    before = on_redis.dump(), on_redis.redis.hgetall(on_redis.prefix + "clock")
    on_redis.clock.advance(1)
    VERBS[name](on_redis)  # now that all is well it would have written something
    assert (on_redis.dump(), on_redis.redis.hgetall(on_redis.prefix + "clock")) != before
    on_redis.is_tampered = name in ("fire_timers", "expire_tasks")  # parts of a tick, out of their order


NONSENSE = [b"", b"nan", b"inf", b"-1", b"1e3", b"0x10", b"99999999999999999999", b"9007199254740992", b"1.5",
            b"\x00|\n", b"4001"]


def test_nonsense_arguments_are_refused_before_the_first_write(on_redis: StoreWorld):
    assert on_redis.redis is not None
    on_redis.is_tampered = True
    calls: list[tuple[str, list[str], list[Any]]] = []
    scripts = scripts_of(on_redis)
    original = scripts._call

    def record(name: str, keys: Any, args: Any, *, admits: bool = False) -> Any:
        calls.append((name, list(keys), [on_redis.clock.now_ms, *args]))
        return original(name, keys, args, admits=admits)

    scripts._call = record  # type: ignore[method-assign]
    tell(on_redis.store, on_redis.clock)
    assert {name for name, _, _ in calls} >= set(VERBS) - {"forget_runs", "rearm_runs"}

    for name, keys, args in calls:
        before = on_redis.dump()
        assert error_of(on_redis, name, keys, [*args, b"1"]) == "ARGUMENTS too many"
        assert on_redis.dump() == before
    chance = random.Random(7)
    refused = 0
    for _ in range(600):
        name, keys, args = chance.choice(calls)
        mutated = list(args)
        for _ in range(chance.randint(1, 2)):
            position = chance.randrange(len(mutated))
            kind = chance.random()
            if kind < 0.7:
                mutated[position] = chance.choice(NONSENSE)
            elif kind < 0.85 and len(mutated) > 1:
                del mutated[position]
            else:
                mutated.insert(position, chance.choice(NONSENSE))
        before = on_redis.dump()
        refusal = error_of(on_redis, name, keys, mutated)
        if refusal:
            assert refusal.startswith("ARGUMENTS"), (name, mutated, refusal)
            assert on_redis.dump() == before, (name, mutated)
            refused += 1
    assert refused > 200


def commit_calls(world: StoreWorld) -> list[tuple[list[str], list[Any]]]:
    """Three commits that use every part of the envelope, as they would be sent."""
    sent: list[tuple[list[str], list[Any]]] = []
    scripts = scripts_of(world)

    def record(name: str, keys: Any, args: Any, *, admits: bool = False) -> Any:
        sent.append((list(keys), [world.clock.now_ms, *args]))
        return [b"ok"] * 3

    original, scripts._call = scripts._call, record  # type: ignore[method-assign]
    parts: dict[str, Any] = {"revokes": (("a", True),), "timers_cleared": ("u",), "history": (b"1", b"2")}
    try:
        world.store.commit([world.next_commit("r1", "b", timers=(("t", 5), ("v", 6)), **parts),
                            world.next_commit("r3", starts=(CHILD,), tells=(("r2", b"told"), ("nobody", b""))),
                            world.next_commit("r2", "a", "b", again=True, faults=(Fault("g", b"x", ("m",)),))])
    finally:
        scripts._call = original  # type: ignore[method-assign]
    return sent


def spots(value: Any) -> list[tuple[list[Any], int]]:
    """Every place in nested lists."""
    if not isinstance(value, list):
        return []
    return [spot for position, part in enumerate(value) for spot in [(value, position), *spots(part)]]


def test_a_mangled_envelope_of_commits_is_refused_before_the_first_write(on_redis: StoreWorld):
    """Whatever has a wrong type or a wrong length in it: the whole call is refused, and not one key has changed."""
    on_redis.is_tampered = True
    on_redis.running("r1", "a")
    on_redis.start("r2", "r3")
    ((keys, args),) = commit_calls(on_redis)
    assert on_redis.redis is not None
    mine = f"*{on_redis.store.namespace}:00*"
    saved = {key: on_redis.redis.dump(key) for key in on_redis.redis.keys(mine)}
    before, outcomes = on_redis.dump(), {"refused": 0, "done": 0}
    for number in range(len(spots(msgspec.msgpack.decode(args[-1])))):
        for nonsense in (None, True, -1, 1.5, float("nan"), 2**53, "x", ["x"], {"x": 1}, "remove"):
            envelope = msgspec.msgpack.decode(args[-1])
            holder, position = spots(envelope)[number]
            if nonsense == "remove":
                del holder[position]
            else:
                holder[position] = nonsense
            refusal = error_of(on_redis, "commit_runs", keys, [*args[:-1], msgspec.msgpack.encode(envelope)])
            outcomes["refused" if refusal else "done"] += 1
            if refusal:
                assert refusal == "ARGUMENTS commits are not as they have to be", (number, nonsense, refusal)
                assert on_redis.dump() == before, (number, nonsense)
            else:  # some other text or number of the right type: a commit like any other
                on_redis.redis.delete(*on_redis.redis.keys(mine))
                for key, value in saved.items():
                    on_redis.redis.restore(key, 0, value)
    assert outcomes["refused"] > 400
    assert outcomes["done"] > 100


def error_of(world: StoreWorld, name: str, keys: list[str], args: list[Any]) -> str:
    """What the server says; "" if it took the call."""
    assert world.redis is not None
    try:
        world.redis.evalsha(load_script(name).sha, len(keys), *keys, *args)
    except ResponseError as error:
        return str(error)
    return ""


# -- one broken item in a batch -----------------------------------------------------------------------
def break_key(world: StoreWorld, key: str) -> None:
    assert world.redis is not None
    world.is_tampered = True
    world.redis.delete(world.prefix + key)
    world.redis.set(world.prefix + key, "tampered")


def break_field(world: StoreWorld, run_id: str, name: str, value: str | None) -> None:
    assert world.redis is not None
    world.is_tampered = True
    if value is None:
        world.redis.hdel(world.prefix + "run:" + run_id, name)
    else:
        world.redis.hset(world.prefix + "run:" + run_id, name, value)


def test_a_broken_run_does_not_keep_the_others_from_being_started(on_redis: StoreWorld):
    break_key(on_redis, "run:bad")
    answers = on_redis.store.start([NewRun(run_id, "n", "d", b"{}", b"in") for run_id in ("bad", "good")])
    assert [answer.answer for answer in answers] == ["tampered", "created"]
    assert [run.run_id for run in on_redis.take()] == ["good"]


def test_a_broken_run_is_not_handed_out_and_keeps_nobody_back(on_redis: StoreWorld):
    on_redis.start("bad", "good")
    break_key(on_redis, "run:bad")
    assert [run.run_id for run in on_redis.take()] == ["good"]
    on_redis.pass_time(200_000)
    assert [run.run_id for run in on_redis.take()] == ["good"]


@pytest.mark.parametrize(
    ("name", "value"), [("head", "x"), ("tail", "-1"), ("tail", None), ("head", "9"), ("i:0", None)]
)
def test_a_run_whose_inbox_makes_no_sense_is_not_handed_out(on_redis: StoreWorld, name: str, value: str | None):
    on_redis.start("bad", "good")
    break_field(on_redis, "bad", name, value)
    assert [run.run_id for run in on_redis.take()] == ["good"]
    with pytest.raises(RecordTampered, match="run bad"):
        on_redis.store.load_runs(["bad"])


def test_a_run_whose_kept_output_is_gone_is_not_handed_out(on_redis: StoreWorld):
    task = on_redis.claimed("bad")
    done = Completion(task.run_id, task.path, task.token, b"outcome", output=b"1")
    assert on_redis.store.exchange("worker", "n", completions=[done]).completions == ("recorded",)
    break_field(on_redis, "bad", f"w:payload{OUTPUT}", None)
    assert on_redis.take() == []
    with pytest.raises(RecordTampered, match="run bad"):
        on_redis.store.load_runs(["bad"])


def about_bad(dump: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in dump.items() if "bad" in name}


@pytest.mark.parametrize("key", ["run:bad", "history:bad", "q:bad"])
def test_a_commit_to_broken_keys_is_refused_whole_and_the_others_go_on(on_redis: StoreWorld, key: str):
    on_redis.start("bad", "good")
    commits = [on_redis.next_commit("bad", "a", queue="bad", timers=(("t", 5),)), on_redis.next_commit("good", "a")]
    break_key(on_redis, key)
    before = on_redis.dump()
    assert on_redis.store.commit(commits) == ["tampered", "ok"]
    after = on_redis.dump()
    assert about_bad(after) == about_bad(before)
    assert set(after["deadlines"]) == {name for name in after["deadlines"] if name.startswith("good|")}
    assert "timers" not in after


@pytest.mark.parametrize(("name", "value"), [("fence", "nan"), ("head", "5"), ("tail", "")])
def test_a_commit_to_a_record_that_makes_no_sense_is_refused_whole(on_redis: StoreWorld, name: str, value: str):
    on_redis.start("bad", "good")
    commits = [on_redis.next_commit("bad", "a"), on_redis.next_commit("good", "a")]
    break_field(on_redis, "bad", name, value)
    before = on_redis.dump()["run:bad"]
    assert on_redis.store.commit(commits) == ["tampered", "ok"]
    assert on_redis.dump()["run:bad"] == before


def test_what_is_told_to_a_broken_run_is_dropped_and_keeps_nobody_back(on_redis: StoreWorld):
    on_redis.start("r1", "bad", "worse", "good")
    break_field(on_redis, "bad", "tail", "x")
    break_key(on_redis, "run:worse")
    on_redis.commit("r1", tells=(("bad", b"1"), ("worse", b"2"), ("good", b"3")))
    assert [entry.body for entry in on_redis.entries("good")] == [b"input", b"3"]


def test_a_child_is_not_started_where_something_else_is_stored(on_redis: StoreWorld):
    on_redis.start("r1")
    break_key(on_redis, "run:child")
    before = on_redis.dump()
    assert on_redis.store.commit([on_redis.next_commit("r1", starts=(CHILD,))]) == ["tampered"]
    assert on_redis.dump() == before


def test_wake_lists_are_only_hints(on_redis: StoreWorld):
    on_redis.start("r1")
    break_key(on_redis, "wake:q:q")
    on_redis.commit("r1", "a")
    on_redis.process()
    assert [task.path for task in on_redis.claim()] == ["a"]


def test_a_request_to_a_broken_run_is_answered_for_itself(on_redis: StoreWorld):
    on_redis.start("bad", "worse", "good")
    break_field(on_redis, "bad", "tail", "x")
    break_key(on_redis, "run:worse")
    requests = [Request(run_id, "n", b"") for run_id in ("bad", "worse", "good")]
    assert on_redis.store.post(requests) == ["tampered", "tampered", "ok"]


def test_an_outcome_for_a_broken_run_is_answered_for_itself(on_redis: StoreWorld):
    for run_id in ("bad", "worse", "good"):
        on_redis.running(run_id, "a")
    on_redis.process()
    done = [Completion(task.run_id, task.path, task.token, b"o") for task in on_redis.claim(capacity=9)]
    break_key(on_redis, "run:bad")
    break_field(on_redis, "worse", "tail", "x")
    answer = on_redis.store.exchange("worker", "x", completions=done)
    assert answer.completions == ("tampered", "tampered", "recorded")


def test_broken_runs_and_queues_are_stepped_over_when_tasks_are_claimed(on_redis: StoreWorld):
    for run_id in ("bad", "worse", "good"):
        on_redis.running(run_id, "a")
    break_key(on_redis, "run:bad")
    break_field(on_redis, "worse", "t:a", "Q|garbage")
    break_key(on_redis, "q:broken")
    on_redis.process()
    assert [task.run_id for task in on_redis.claim(queues=["broken", "q"], capacity=9)] == ["good"]


@pytest.mark.parametrize("key", ["busy:q", "pace:q"])
def test_a_queue_whose_quota_is_broken_is_closed_and_the_others_are_served(on_redis: StoreWorld, key: str):
    on_redis.running("closed", "a")
    on_redis.running("good", "b", queue="p")
    break_key(on_redis, key)
    on_redis.process()
    quotas = {queue: Quota(max_concurrency=3, rate=3, window_ms=1_000) for queue in ("q", "p")}
    (task,) = on_redis.claim(queues=["q", "p"], capacity=9, quotas=quotas)
    assert task.run_id == "good"
    done = [Completion(task.run_id, task.path, task.token, b"o")]
    assert on_redis.exchange(completions=done, quotas=quotas).completions == ("recorded",)


def test_holders_of_slots_that_make_no_sense_hold_nothing(on_redis: StoreWorld):
    assert on_redis.redis is not None
    on_redis.running("good", "a")
    on_redis.process()
    on_redis.is_tampered = True
    on_redis.redis.zadd(on_redis.prefix + "busy:q", {"nonsense": 0, "a|b|c": 0, "": -5, "r|a|1-x|worker": "inf"})
    on_redis.redis.rpush(on_redis.prefix + "pace:q", "nonsense", "-1", "")
    quotas = {"q": Quota(max_concurrency=2, rate=3, window_ms=1_000)}
    assert [task.run_id for task in on_redis.claim(capacity=9, quotas=quotas)] == ["good"]


def test_a_beat_for_a_broken_run_says_lost(on_redis: StoreWorld):
    task = on_redis.claimed("bad")
    break_key(on_redis, "run:bad")
    assert on_redis.beat("worker", task) == ["lost"]


def test_parking_a_broken_run_says_so(on_redis: StoreWorld):
    break_key(on_redis, "run:bad")
    with pytest.raises(RecordTampered, match="run bad"):
        on_redis.store.park("bad", "", delay_ms=1, stuck=False, error=b"")


def test_a_list_shows_the_runs_beside_a_broken_one(on_redis: StoreWorld):
    on_redis.start("bad", "good")
    break_key(on_redis, "run:bad")
    assert sorted((row.run_id, row.status) for row in on_redis.store.list_runs()) == [("bad", "tampered"), ("good", "")]
    on_redis.commit("good", state=b"state")
    assert on_redis.store.load_states(["bad", "good"]) == [b"", b"state"]


def test_views_of_broken_keys_say_so(on_redis: StoreWorld):
    on_redis.running("bad", "a")
    break_key(on_redis, "history:bad")
    break_key(on_redis, "q:q")
    break_key(on_redis, "run:bad")
    for view in (lambda: on_redis.store.history("bad"), lambda: on_redis.store.queue_depths(),
                 lambda: on_redis.store.load_runs(["bad"])):
        with pytest.raises(RecordTampered, match="WRONGTYPE"):
            view()


def test_a_tick_steps_over_broken_runs(on_redis: StoreWorld):
    """Theirs is put off, so that they never fill the batch of a tick; the others' timers and tasks go on."""
    on_redis.process("other")
    for run_id in ("bad", "good"):
        on_redis.running(run_id, "a", timers=(("t", on_redis.clock.now_ms + 10),))
    on_redis.claim("other", capacity=2)
    break_key(on_redis, "run:bad")
    on_redis.pass_time(2 * LEASE_MS)
    assert [entry.kind for entry in on_redis.entries("good")] == ["timer", "lost"]
    dump = on_redis.dump()
    assert {name.split("|")[0] for name in [*dump["timers"], *dump["deadlines"]]} == {"bad"}
    assert min(*dump["timers"].values(), *dump["deadlines"].values()) > on_redis.clock.now_ms


# -- keys that somebody deleted -------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["ready", "deadlines", "timers", "q:q"])
def test_a_deleted_index_is_restored_from_the_records(on_redis: StoreWorld, key: str):
    assert on_redis.redis is not None
    on_redis.running("r1", "a", timers=(("t", on_redis.clock.now_ms + 10 * REPAIR_MS),))
    on_redis.start("r2")
    on_redis.redis.delete(on_redis.prefix + key)
    on_redis.pass_time(5 * REPAIR_MS)
    assert [run.run_id for run in on_redis.take()] == ["r2"]
    assert on_redis.store.queue_depths() == {"q": 1}
    on_redis.pass_time(5 * REPAIR_MS)
    assert [entry.kind for entry in on_redis.entries("r1")] == ["timer"]


def test_a_run_started_after_its_record_was_deleted_has_a_history_of_its_own(on_redis: StoreWorld):
    assert on_redis.redis is not None
    on_redis.start("r1")
    on_redis.commit("r1")
    on_redis.redis.delete(on_redis.prefix + "run:r1")
    on_redis.start("r1")
    assert on_redis.store.history("r1") == []


def test_a_deleted_run_is_forgotten(on_redis: StoreWorld):
    assert on_redis.redis is not None
    on_redis.running("r1", "a", timers=(("t", on_redis.clock.now_ms + 10),))
    on_redis.redis.delete(on_redis.prefix + "run:r1")
    on_redis.pass_time(5 * REPAIR_MS)
    on_redis.process()
    assert on_redis.claim() == []
    assert on_redis.store.count_live() == 0
    assert on_redis.store.list_runs() == []
    commit = Commit("r1", "e", "e2", 0, b"", "", dispatches=(Dispatch("a", "q", b"", "p"),))
    assert on_redis.store.commit([commit]) == ["gone"]
