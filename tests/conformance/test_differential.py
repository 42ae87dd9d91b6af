"""MemoryStore and RedisStore, side by side: the same calls in any order get the same answers and leave the same state.

So whatever a test shows in memory holds on a server, and a rule that only one of them has is found here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import StoreError
from runner.store.memory.store import MemoryStore
from runner.store.ports import (
    Commit,
    Completion,
    Dispatch,
    NewRun,
    ProcessInfo,
    Quota,
    Request,
    Slot,
    Store,
    StoredRun,
)
from runner.store.redis_store import RedisStore
from runner.store.successor import Successor
from tests.conformance.store_world import Clock, StoreWorld, check_invariants, difference

RUNS = st.sampled_from(["r1", "r2", "r3"])
PATHS = st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True).map(tuple)
SLOTS = st.sampled_from([
    None, Slot("a", 1), Slot("a", 1), Slot("a", 2), Slot("a", 1, "reject"), Slot("b|c", 1, "reject"),
])
REVOKES = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.booleans()), max_size=3).map(tuple)
PROCESSES = st.sampled_from(["p1", "p2"])
NONCES = st.sampled_from(["n1", "n2", "n3", "fresh"])
QUOTAS = st.sampled_from(
    [{}] * 3 + [
        {"q1": Quota(max_concurrency=1)}, {"q2": Quota(rate=1, window_ms=41)}, {"q1": Quota(rate=2, window_ms=6_000)},
        {"q1": Quota(max_concurrency=2, rate=3, window_ms=3_000), "q2": Quota(max_concurrency=1)},
    ]
)  # fmt: skip
COUNTS = st.tuples(st.sampled_from(["a", "b|c", "~p", "=live", "@seen"]), st.sampled_from([1, 2, -1, 700]))
STEPS_MS = st.sampled_from([1, 40, 3_000, 3_000, 6_000, 31_000, 700_000, -10_000])

CALLS = st.one_of(
    st.tuples(st.just("start"), RUNS, st.sampled_from(["n1", "n2"]), st.sampled_from(["d1", "d2"]), SLOTS),
    st.tuples(st.just("start"), RUNS, st.sampled_from(["n1", "n2"]), st.just("d1"), SLOTS,
              st.sampled_from([(), ("d1",), ("d1", "d2")])),
    st.tuples(st.just("take"), PROCESSES, NONCES, st.integers(0, 3), st.integers(0, 1)),
    st.tuples(
        st.just("commit"), RUNS, st.sampled_from(["current"] * 6 + ["old"]), st.sampled_from(["fresh"] * 6 + ["e1"]),
        st.sampled_from(["all", "all", "none", "more"]), PATHS, st.sampled_from(["q1", "q2"]),
        st.sampled_from([0, 0, 50, 7_000]), REVOKES, st.sampled_from(["", "set", "clear"]), st.booleans(),
        st.sampled_from(["running"] * 4 + ["stuck", "ended"]), st.sampled_from([0, 3_000]),
        st.sampled_from([()] * 3 + [("r3",)]),
        st.lists(st.sampled_from(["r1", "r2", "r3", "nobody"]), max_size=2).map(tuple),
        st.lists(COUNTS, max_size=4).map(tuple),
    ),
    st.tuples(st.just("park"), RUNS, st.sampled_from([1, 5_000]), st.booleans()),
    st.tuples(st.just("post"), RUNS, NONCES, st.booleans()),
    st.tuples(st.just("exchange"), PROCESSES, NONCES, st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=2),
              st.integers(0, 2), st.lists(st.sampled_from(["q1", "q2"]), max_size=2, unique=True), QUOTAS),
    st.tuples(st.just("exchange"), PROCESSES, st.just("fresh"), st.just([]), st.just(2), st.just(["q1", "q2"]), QUOTAS),
    st.tuples(st.just("beat"), PROCESSES, st.lists(st.integers(0, 9), max_size=2)),
    st.tuples(st.just("register"), PROCESSES),
    st.tuples(st.sampled_from(["reap", "retire"]), PROCESSES),
    st.tuples(st.just("schedule"), st.sampled_from(["w1", "w2"]), st.sampled_from(["put", "remove", "fire"]),
              st.integers(0, 3)),
    st.tuples(st.just("alert"), st.sampled_from(["a1", "a2"]), NONCES, st.booleans(), st.sampled_from([0, 3_000])),
    st.tuples(st.sampled_from(["define", "publish"]), st.sampled_from(["d1", "d2"]), st.integers(0, 3)),
    st.tuples(st.just("advance"), STEPS_MS),
    st.tuples(st.just("tick")),
)


# A few tasks of one queue that is always short of room, so that nearly every call meets its quota.
ENDS = st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=2)
QUOTA_CALLS = st.one_of(
    st.tuples(st.just("exchange"), PROCESSES, st.just("fresh"), ENDS, st.integers(0, 3),
              st.sampled_from([["q1"], ["q1", "q2"], ["q2", "q1"], []]), QUOTAS.filter(bool)),
    st.tuples(st.just("exchange"), PROCESSES, NONCES, ENDS, st.just(3), st.just(["q1", "q2"]), QUOTAS.filter(bool)),
    st.tuples(st.just("refill"), RUNS, st.sampled_from(["q1", "q1", "q2"])),
    st.tuples(st.just("wakes")),
    st.tuples(st.just("advance"), st.sampled_from([1, 40, 999, 3_000, 15_000])),
    st.tuples(st.sampled_from(["reap", "register", "register"]), PROCESSES),
    st.tuples(st.just("tick")),
)


@dataclass
class Pair:
    """Says everything to both stores, and compares what they answer."""

    memory: Store
    redis: Store
    clock: Clock
    claimed: list[tuple[str, str, str]] = field(default_factory=list)
    fresh: int = 0

    def both(self, ask: Callable[[Store], Any]) -> Any:
        answers = [_answer(ask, store) for store in (self.memory, self.redis)]
        assert answers[0] == answers[1]
        return answers[0]

    def nonce(self, name: str) -> str:
        self.fresh += name == "fresh"
        return f"f{self.fresh}" if name == "fresh" else name

    def token(self, index: int) -> tuple[str, str, str]:
        return self.claimed[index % len(self.claimed)] if self.claimed else ("r1", "a", "1-forged")

    def start(self, run_id: str, nonce: str, digest: str, slot: Slot | None = None,
              definitions: tuple[str, ...] = ()) -> None:
        self.both(lambda store: store.start([NewRun(run_id, nonce, digest, b"{}", b"in", slot, definitions)]))

    def define(self, digest: str, number: int) -> None:
        self.both(lambda store: store.put_definition(digest, b"%d" % number))

    def publish(self, worker: str, number: int) -> None:
        self.both(lambda store: store.put_workers({worker: b"%d" % number}))

    def take(self, engine: str, nonce: str, limit: int, loop: int) -> None:
        name = self.nonce(nonce)
        self.both(lambda store: store.take_runs(engine, name, limit=limit, lease_ms=15_000, loop=loop))

    def commit(self, run_id: str, read: str, etag: str, seen: str, paths: tuple[str, ...], queue: str, timeout_ms: int,
               revokes: tuple[tuple[str, bool], ...], timer: str, again: bool, status: str,
               retention_ms: int, starts: tuple[str, ...], tells: tuple[str, ...],
               counts: tuple[tuple[str, int], ...] = ()) -> None:
        run = self.memory.load_runs([run_id])[0]
        waiting = len(run.entries) if run is not None else 0
        due_at_ms = self.clock.now_ms + 45
        commit = Commit(
            run_id, (run.etag if run is not None else "") if read == "current" else "old", self.nonce(etag),
            {"all": waiting, "none": 0, "more": waiting + 1}[seen], b"state", status, status == "ended",
            {"p": b"payload"},
            tuple(Dispatch(path, queue, b"message", "p", timeout_ms) for path in paths), revokes,
            (("t", due_at_ms),) if timer == "set" else (), ("t",) if timer == "clear" else (), (b"event",), again,
            retention_ms, tuple(NewRun(new, "n", "d", b"{}", b"child") for new in starts if new != run_id),
            tuple((other, b"told") for other in tells if other != run_id),
            _mark(run, {"all": waiting, "none": 0, "more": waiting + 1}[seen]), counts,
            successors=_successors(queue, timeout_ms, {*paths, *(run.tasks if run else ())}) if self.fresh % 2 else (),
            paths=("a", "b", "c") if status == "ended" and self.fresh % 2 else (),
        )
        self.both(lambda store: store.commit([commit, commit]))

    def refill(self, run_id: str, queue: str) -> None:
        run = self.memory.load_runs([run_id])[0]
        if run is not None:
            free = tuple(path for path in ("a", "b") if path not in run.tasks)
            self.commit(run_id, "current", "fresh", "all", free, queue, 0, (), "", False, "running", 0, (), ())

    def wakes(self) -> None:
        """Whether somebody would be woken; the token that says so is put back."""
        for queue in ("q1", "q2"):
            expected = self.memory.wait_for_tasks([queue], 0)
            key = self.redis._keys.wake_queue(queue)  # type: ignore[attr-defined]
            assert bool(self.redis._connection._client.exists(key)) >= expected  # type: ignore[attr-defined]

    def park(self, run_id: str, delay_ms: int, stuck: bool) -> None:
        run = self.memory.load_runs([run_id])[0]
        etag = run.etag if run is not None else ""
        self.both(lambda store: store.park(run_id, etag, delay_ms=delay_ms, stuck=stuck, error=b"trace"))

    def post(self, run_id: str, nonce: str, at_once: bool) -> None:
        name = self.nonce(nonce)
        self.both(lambda store: store.post([Request(run_id, name, b"request", at_once)]))

    def exchange(
        self, process: str, nonce: str, done: list[tuple[int, bool]], capacity: int, queues: list[str],
        quotas: dict[str, Quota],
    ) -> None:
        name = self.nonce(nonce)
        completions = [
            Completion(*self.token(index), b"outcome", lost, b"%d" % index if index % 2 else b"")
            for index, lost in done
        ]
        answer = self.both(lambda store: store.exchange(
            process, name, completions=completions, queues=queues, quotas=quotas, capacity=capacity))
        self.claimed += [(task.run_id, task.path, task.token) for task in answer.claimed]

    def beat(self, process: str, indexes: list[int]) -> None:
        tasks = [self.token(index) for index in indexes]
        self.both(lambda store: store.beat(process, tasks))

    def register(self, process: str) -> None:
        self.both(lambda store: store.register(ProcessInfo(process, "worker", "host", 1)))

    def reap(self, process: str) -> None:
        self.both(lambda store: store.reap(process))

    def retire(self, process: str) -> None:
        self.both(lambda store: store.retire(process))

    def schedule(self, workflow: str, what: str, number: int) -> None:
        if what == "put":
            self.both(lambda store: store.put_schedule(workflow, b"%d" % number))
        elif what == "remove":
            self.both(lambda store: store.remove_schedule(workflow))
        else:
            self.both(lambda store: store.note_fire(workflow, number, b"fired"))

    def alert(self, name: str, nonce: str, firing: bool, cool_down_ms: int) -> None:
        by = self.nonce(nonce)
        self.both(lambda store: store.note_alert(name, by, firing=firing, cool_down_ms=cool_down_ms, body=by.encode()))

    def advance(self, ms: int) -> None:
        self.clock.advance(ms)

    def tick(self) -> None:
        self.both(lambda store: store.tick())

    def compare_all(self) -> None:
        self.both(lambda store: store.load_runs(["r1", "r2", "r3"]))
        self.both(lambda store: store.list_runs())
        self.both(lambda store: [store.history(run_id) for run_id in ("r1", "r2", "r3")])
        self.both(lambda store: {queue: depth for queue, depth in store.queue_depths().items() if depth})
        self.both(lambda store: [store.slot(name, run_id=run) for name in ("a", "b|c") for run in ("r1", "r2", "r3")])
        self.both(lambda store: store.processes())
        self.both(lambda store: [queue for queue in store.queues() if queue.depth or queue.running])
        self.both(lambda store: (store.schedules(), store.alerts()))
        self.both(lambda store: store.find_runs("r"))
        self.both(lambda store: [store.list_runs(status=status) for status in ("stuck", "pending")])
        self.both(lambda store: (store.count_live(), store.now_ms()))
        self.both(lambda store: (dict(store.get_workers()), store.get_definition("d1"), store.get_definition("d2")))
        self.both(lambda store: [store.figures(ms) for ms in (0, 60_000, 900_000, 3_600_000, 86_400_000)])


def _successors(queue: str, timeout_ms: int, busy: Set[str]) -> tuple[Successor, ...]:
    """Round and round: from "a" to "b", on to "c", and back to "a" if the store should go so far. None that is open."""
    named = (
        Successor("a", "b", queue, b"message", "p2", ("<", "p", ">"), timeout_ms),
        Successor("b", "c", queue, b"message", "p3", ("[", "p2", ",", "p", "]"), timeout_ms),
        Successor("c", "a", queue, b"message", "p", ("nothing",)),
    )
    return tuple(one for one in named if one.path not in busy)


def _mark(run: StoredRun | None, seen: int) -> str:
    """Of the last entry that is seen; of every third run, and where no entry is, it is another's."""
    if not seen or run is None or seen > len(run.entries):
        return "another|0||" if seen else ""
    mark = run.entries[seen - 1].mark
    return f"{mark}other" if run.updated_at_ms % 3 == 0 else mark


def _answer(ask: Callable[[Store], Any], store: Store) -> Any:
    try:
        return ask(store)
    except StoreError as error:
        return str(error)


@pytest.fixture(scope="module")
def server(valkey_url: str) -> str:
    return valkey_url


def compare(server: str, calls: Sequence[tuple[Any, ...]]) -> None:
    clock = Clock()
    namespace = f"diff-{secrets.token_hex(6)}"
    memory, redis = MemoryStore(clock=clock), RedisStore.connect(server, namespace=namespace, clock=clock)
    pair = Pair(memory, redis, clock)
    try:
        pair.register("p1")
        pair.start("r1", "n1", "d1")
        for name, *args in calls:
            getattr(pair, name)(*args)
        pair.compare_all()
        found = StoreWorld(redis, clock, redis._connection._client).snapshot()
        check_invariants(found)
        wrong = difference(StoreWorld(memory, clock).snapshot(), found)
        assert not wrong, wrong
    finally:
        redis.close()


@settings(max_examples=100)
@given(calls=st.lists(CALLS, min_size=10, max_size=60))
def test_memory_and_redis_answer_alike(server: str, calls: list[tuple[Any, ...]]):
    compare(server, calls)


@settings(max_examples=100)
@given(calls=st.lists(QUOTA_CALLS, min_size=10, max_size=60))
def test_memory_and_redis_keep_quotas_alike(server: str, calls: list[tuple[Any, ...]]):
    starts = [("start", run_id, "n1", "d1") for run_id in ("r2", "r3")]
    refills = [("refill", run_id, "q1") for run_id in ("r1", "r2", "r3")]
    compare(server, [("register", "p2"), *starts, *refills, *calls])
