"""A store with a clock of its own, and short ways to bring runs and tasks into a given state.

`snapshot` reads what is stored of a Redis and of a memory store into the same form, for the invariants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from redis import Redis

from runner.store.memory.store import MemoryStore
from runner.store.ports import (
    ClaimedTask,
    Commit,
    Completion,
    Dispatch,
    ExchangeAnswer,
    InboxEntry,
    NewRun,
    ProcessInfo,
    Quota,
    Store,
    TakenRun,
)
from runner.store.records import read_task
from runner.store.redis_store import RedisStore

LEASE_MS = 15_000
Ref = tuple[str, str, str]


class Clock:
    """Milliseconds that only a test moves."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> None:
        self.now_ms += ms


@dataclass
class StoreWorld:
    store: Store
    clock: Clock
    redis: Redis | None = None  # the server behind a RedisStore
    is_tampered: bool = False  # the test broke the records itself: no invariants hold at its end
    nonces: int = 0
    etags: dict[str, str] = field(default_factory=dict)

    def nonce(self) -> str:
        self.nonces += 1
        return f"n{self.nonces}"

    @property
    def prefix(self) -> str:
        return f"{{{self.store.namespace}:00}}:"

    # -- engine -----------------------------------------------------------------------------------
    def start(self, *run_ids: str) -> None:
        runs = [NewRun(run_id, self.nonce(), "digest", b"{}", b"input") for run_id in run_ids]
        assert {answer.answer for answer in self.store.start(runs)} == {"created"}

    def take(self, *, engine: str = "engine", limit: int = 100, loop: int = 0) -> list[TakenRun]:
        return self.store.take_runs(engine, self.nonce(), limit=limit, lease_ms=LEASE_MS, loop=loop)

    def entries(self, run_id: str) -> list[InboxEntry]:
        run = self.store.load_runs([run_id])[0]
        assert run is not None
        return list(run.entries)

    def next_commit(self, run_id: str, *paths: str, queue: str = "q", **fields: Any) -> Commit:
        """A commit on what is stored, that consumes the whole inbox and dispatches `paths`."""
        run = self.store.load_runs([run_id])[0]
        assert run is not None
        timeout_ms = fields.pop("queue_timeout_ms", 0)
        dispatches = tuple(Dispatch(path, queue, f"message {path}".encode(), "payload", timeout_ms) for path in paths)
        seen = fields.get("entries_seen", len(run.entries))
        marks = [entry.mark for entry in run.entries[:seen]]
        values: dict[str, Any] = {
            "run_id": run_id, "etag_read": run.etag, "etag": self.nonce(), "entries_seen": len(run.entries),
            "state": b"state", "status": "running", "dispatches": dispatches, "history": (b"event",),
            "writes": {"payload": b'{"a":1}'} if paths else {}, "last_seen": marks[-1] if marks else "",
        }
        return Commit(**{**values, **fields})

    def commit(self, run_id: str, *paths: str, **fields: Any) -> Commit:
        commit = self.next_commit(run_id, *paths, **fields)
        assert self.store.commit([commit]) == ["ok"]
        return commit

    def running(self, run_id: str, *paths: str, **fields: Any) -> None:
        """A run with these tasks queued and an empty inbox."""
        self.start(run_id)
        self.commit(run_id, *paths, **fields)
        self.take()

    def end(self, run_id: str, **fields: Any) -> Commit:
        return self.commit(run_id, terminal=True, status="completed", **fields)

    # -- worker processes ---------------------------------------------------------------------------
    def process(self, name: str = "worker", kind: Any = "worker") -> str:
        self.store.register(ProcessInfo(name, kind, "host", 1, queues=("q",)), lease_ms=LEASE_MS)
        return name

    def claim(
        self, process: str = "worker", *, queues: Sequence[str] = ("q",), capacity: int = 1,
        quotas: Mapping[str, Quota] = {},
    ) -> list[ClaimedTask]:
        return list(self.exchange(process, queues=queues, capacity=capacity, quotas=quotas).claimed)

    def exchange(self, process: str = "worker", **options: Any) -> ExchangeAnswer:
        answer = self.store.exchange(process, self.nonce(), lease_ms=LEASE_MS, **options)
        assert answer.alive
        return answer

    def claimed(self, run_id: str, path: str = "a", process: str = "worker") -> ClaimedTask:
        """A run whose one task this process holds."""
        self.running(run_id, path)
        self.process(process)
        (task,) = self.claim(process)
        return task

    def complete(
        self, task: ClaimedTask, *, process: str = "worker", body: bytes = b"outcome", lost: bool = False
    ) -> str:
        done = Completion(task.run_id, task.path, task.token, body, lost)
        return self.store.exchange(process, self.nonce(), completions=[done], lease_ms=LEASE_MS).completions[0]

    def beat(self, process: str, *tasks: ClaimedTask) -> list[str] | None:
        refs = [(task.run_id, task.path, task.token) for task in tasks]
        return self.store.beat(process, refs, lease_ms=LEASE_MS)  # type: ignore[return-value]

    # -- time -------------------------------------------------------------------------------------
    def pass_time(self, ms: int, *beating: str) -> None:
        """In steps with ticks, as when everything is well: a jump would open a grace."""
        end_ms = self.clock.now_ms + ms
        self.store.tick()
        while self.clock.now_ms < end_ms:
            self.clock.advance(min(3_000, end_ms - self.clock.now_ms))
            for process in beating:
                self.store.beat(process, [], lease_ms=LEASE_MS)
            self.store.tick()

    # -- looking inside -----------------------------------------------------------------------------
    def dump(self) -> dict[str, Any]:
        """Every key of a Redis store with its value; lists and payloads too. The clock moves by itself."""
        assert self.redis is not None
        keys = sorted(key.decode() for key in self.redis.scan_iter(match=_literally(self.prefix) + "*", count=1000))
        keys = [key for key in keys if key != f"{self.prefix}clock"]
        with self.redis.pipeline(transaction=False) as pipeline:  # a round trip for all of them
            for key in keys:
                pipeline.type(key)
            kinds = pipeline.execute()
            for key, kind in zip(keys, kinds, strict=True):
                _ask_for(pipeline, kind, key)
            values = pipeline.execute()
        found = zip(keys, kinds, values, strict=True)
        return {key.removeprefix(self.prefix): _value(kind, key, value) for key, kind, value in found}

    def snapshot(self) -> Snapshot:
        return memory_snapshot(self.store) if isinstance(self.store, MemoryStore) else redis_snapshot(self.dump())


@dataclass
class Snapshot:
    """What is stored, without payloads."""

    live: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    waiting: dict[str, int] = field(default_factory=dict)  # entries by run
    leftovers: set[str] = field(default_factory=set)  # of ended runs
    ready: set[str] = field(default_factory=set)
    watch: dict[str, int] = field(default_factory=dict)
    deadlines: dict[Ref, int] = field(default_factory=dict)
    timers: dict[tuple[str, str], int] = field(default_factory=dict)
    known_timers: set[tuple[str, str]] = field(default_factory=set)  # by the runs themselves
    queued: dict[Ref, str] = field(default_factory=dict)  # open tasks by the runs themselves -> queue
    running: dict[Ref, str] = field(default_factory=dict)  # … -> process
    queues: dict[str, list[Ref]] = field(default_factory=dict)
    held: dict[str, set[Ref]] = field(default_factory=dict)
    processes: set[str] = field(default_factory=set)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)  # of live runs with a slot: H, W or F; its name
    limits: dict[str, int] = field(default_factory=dict)  # by slot
    holders: dict[str, set[str]] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    busy: dict[str, dict[tuple[Ref, str], int]] = field(default_factory=dict)  # by queue: (task, process) -> freed when
    pace: dict[str, list[int]] = field(default_factory=dict)  # by queue: times of claims
    times: dict[str, dict[str, int]] = field(default_factory=dict)  # of what else waits for its time
    strange: set[str] = field(default_factory=set)  # keys that nobody knows


_PLAIN = {"ready", "watch", "deadlines", "timers", "runs", "expiring", "queues", "procs", "reaped", "definitions",
          "workers", "schedules", "fires", "faults", "alerts"}


def redis_snapshot(dump: dict[str, Any]) -> Snapshot:
    found = Snapshot()
    for key, value in dump.items():
        family, _, name = key.partition(":")
        if family == "run":
            _read_record(found, name, value)
        elif family == "q":
            found.queues[name] = [_ref(text) for text in value]
        elif family == "held":
            found.held[name] = {_ref(text) for text in value}
        elif family == "slot":
            found.limits[name] = int(value["limit"])
        elif family == "holders":
            found.holders[name] = set(value)
        elif family == "line":
            found.lines[name] = list(value)
        elif family == "busy":
            holders = {member.rpartition("|")[::2]: int(free_at_ms) for member, free_at_ms in value.items()}
            found.busy[name] = {(_ref(ref), process): free_at_ms for (ref, process), free_at_ms in holders.items()}
        elif family == "pace":
            found.pace[name] = [int(time) for time in value]
        elif key not in _PLAIN and family not in ("wake", "history", "process", "figures", "fault"):
            found.strange.add(key)
    found.ready, found.watch = set(dump.get("ready", {})), dump.get("watch", {})
    found.deadlines = {_ref(text): due_ms for text, due_ms in dump.get("deadlines", {}).items()}
    found.timers = {_pair(text): due_ms for text, due_ms in dump.get("timers", {}).items()}
    found.processes = set(dump.get("procs", {}))
    found.times = {name: dump.get(name, {}) for name in ("ready", "expiring", "procs", "reaped")}
    return found


def _read_record(found: Snapshot, run_id: str, record: dict[str, bytes]) -> None:
    is_ended = record.get("end") == b"1"
    (found.ended if is_ended else found.live).add(run_id)
    found.waiting[run_id] = int(record["tail"]) - int(record["head"])
    if "slot" in record and not is_ended:
        place, _, name = record["slot"].decode().partition("|")
        found.places[run_id] = (place, name)
    for name, value in record.items():
        kind, rest = name[:2], name[2:]
        if is_ended and kind in ("t:", "c:", "i:", "z:"):
            found.leftovers.add(f"{run_id} {name}")
        elif kind == "z:" and value:
            found.known_timers.add((run_id, rest))
        elif kind == "t:" and (task := read_task(value)) is not None:
            ref = (run_id, rest, task.token)
            if task.state == "Q":
                found.queued[ref] = task.queue
            else:
                found.running[ref] = task.process


def memory_snapshot(store: MemoryStore) -> Snapshot:
    tables = store._tables
    found = Snapshot(
        live={run.run_id for run in tables.runs.values() if not run.terminal},
        ended={run.run_id for run in tables.runs.values() if run.terminal},
        waiting={run.run_id: len(run.inbox) for run in tables.runs.values()},
        ready=set(tables.ready), watch=dict(tables.watch), deadlines=dict(tables.deadlines), timers=dict(tables.timers),
        known_timers=set(tables.timers), queues={name: list(refs) for name, refs in tables.queues.items()},
        held={name: set(process.held) for name, process in tables.processes.items()},
        processes=set(tables.processes),
        places={run.run_id: (run.place, run.slot) for run in tables.runs.values() if run.slot and not run.terminal},
        limits={name: state.limit for name, state in tables.slots.items()},
        holders={name: set(state.holders) for name, state in tables.slots.items() if state.holders},
        lines={name: list(state.line) for name, state in tables.slots.items() if state.line},
        busy={queue: dict(holders) for queue, holders in tables.busy.items() if holders},
        pace={queue: list(times) for queue, times in tables.pace.items() if times},
        times={"ready": dict(tables.ready), "expiring": dict(tables.expiring), "reaped": dict(tables.reaped),
               "procs": {name: process.dead_at_ms for name, process in tables.processes.items()}},
    )
    for run in tables.runs.values():
        for path, task in run.tasks.items():
            ref = (run.run_id, path, task.token)
            if run.terminal:
                found.leftovers.add(f"{run.run_id} {path}")
            elif task.state == "Q":
                found.queued[ref] = task.queue
            elif task.state == "R":
                found.running[ref] = task.process
    return found


def check_invariants(found: Snapshot) -> None:
    """The parts of PROTOCOL's invariants that one look at the store can show."""
    assert not found.strange, "keys that nobody knows"
    assert found.deadlines.keys() == found.queued.keys() | found.running.keys(), "one deadline for every open task"
    assert found.timers.keys() == found.known_timers, "timers as their runs know them"
    assert found.watch.keys() == found.live, "every live run is watched, and no other"
    assert found.ready <= found.live, "only live runs are ready"
    assert not found.leftovers, "an ended run keeps its record only"
    assert not any(found.waiting[run_id] for run_id in found.ended), "an ended run has no inbox"
    _check_slots(found)
    for ref, queue in found.queued.items():
        assert ref in found.queues.get(queue, ()), "a queued task is in its queue"
    for process, refs in found.held.items():
        assert process in found.processes or not refs, "the dead hold nothing"
        assert all(found.running.get(ref) == process for ref in refs), "what is held is running there"
    for holders in found.busy.values():
        for ref, process in holders:
            assert found.running.get(ref, process) == process, "who has a slot runs the task, or has run it"
    for ref, process in found.running.items():
        assert process not in found.processes or ref in found.held.get(process, ()), "what runs is held"


def _check_slots(found: Snapshot) -> None:
    for place, lists in (("H", found.holders), ("W", found.lines)):
        by_run = {(run_id, name) for run_id, (there, name) in found.places.items() if there == place}
        listed = {(run_id, name) for name, ids in lists.items() for run_id in ids}
        assert listed == by_run, "slots as their runs know them"
    assert found.limits.keys() >= found.holders.keys() | found.lines.keys() or not found.lines, "a slot has a limit"
    for name in found.lines:
        assert len(found.holders.get(name, ())) >= found.limits[name], "nobody waits while there is room"
        assert not found.ready & set(found.lines[name]), "who waits is not handed out"


def _without_empty(lists: Mapping[str, Any]) -> dict[str, Any]:
    """A server has no empty lists."""
    return {name: refs for name, refs in lists.items() if refs}


def difference(one: Snapshot, other: Snapshot) -> str:
    """What is not the same in both; "" if all is."""
    for each in fields(Snapshot):
        here, there = getattr(one, each.name), getattr(other, each.name)
        if each.name in ("queues", "held"):
            here, there = _without_empty(here), _without_empty(there)
        if each.name == "limits":  # one that nobody wrote is 1
            here, there = ({name: limit for name, limit in limits.items() if limit != 1} for limits in (here, there))
        if here != there:
            return f"{each.name}: {here}, and {there}"
    return ""


def redis_world(url: str, namespace: str, **options: Any) -> StoreWorld:
    clock = Clock()
    store = RedisStore.connect(url, namespace=namespace, clock=clock, **options)
    return StoreWorld(store, clock, Redis.from_url(url))


def _ref(text: str) -> Ref:
    run_id, path, token, *_ = text.split("|")
    return run_id, path, token


def _pair(text: str) -> tuple[str, str]:
    run_id, _, name = text.partition("|")
    return run_id, name


def _ask_for(redis: Redis, kind: bytes, key: str) -> None:
    if kind == b"hash":
        redis.hgetall(key)
    elif kind == b"zset":
        redis.zrange(key, 0, -1, withscores=True)
    elif kind == b"set":
        redis.smembers(key)
    elif kind == b"list":
        redis.lrange(key, 0, -1)
    else:
        redis.get(key)


def _value(kind: bytes, key: str, value: Any) -> Any:
    if kind == b"hash":
        return {name.decode(): each for name, each in value.items()}
    if kind == b"zset":
        return {name.decode(): score for name, score in value}
    if kind == b"set":
        return {name.decode() for name in value}
    if kind == b"list":
        return value if ":history:" in key else [text.decode() for text in value]
    return value


def _literally(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in text)
