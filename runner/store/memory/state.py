"""What a MemoryStore holds, and the moves that several of its verbs share.

The twin of Redis' keys and of the Lua prelude: a rule changed here has to be changed there, and the
differential test (tests/conformance/test_differential.py) compares the two.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from msgspec.structs import replace

from runner.store.figures import FiguresInMemory
from runner.store.limits import MAX_REPAIR_MS, REPAIR_MS, fence_of
from runner.store.memory.faults import FaultCounts
from runner.store.observations import AlertRow
from runner.store.ports import MAX_BATCH, MAX_INBOX, OUTPUT, Dispatch, InboxEntry, ProcessInfo, ScheduleRow
from runner.store.successor import Successor
from runner.store.vitals import Vitals

Ref = tuple[str, str, str]  # run id, path, token
LOOKED_AT = 200  # refs at the front of a queue, when one that waits is looked for


@dataclass(slots=True)
class Task:
    """An open task (Q, R), or the token of the last one that was recorded (D)."""

    state: str
    token: str
    queue: str = ""
    queued_at_ms: int = 0
    timeout_at_ms: int = 0  # 0: may wait in its queue for ever
    process: str = ""
    claimed_at_ms: int = 0
    cancelled: bool = False
    payload: str = ""
    message: bytes = b""

    @property
    def is_open(self) -> bool:
        return self.state != "D"


@dataclass(slots=True)
class Run:
    run_id: str
    nonce: str
    digest: str
    summary: bytes
    created_at_ms: int
    updated_at_ms: int
    etag: str = ""
    state: bytes = b""
    status: str = ""
    terminal: bool = False
    again: bool = False
    fence: int = 0
    fields: dict[str, bytes] = field(default_factory=dict)
    joined: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by name, of what: the inputs of successors
    tasks: dict[str, Task] = field(default_factory=dict)
    inbox: list[InboxEntry] = field(default_factory=list)
    history: list[bytes] = field(default_factory=list)
    successors: dict[str, tuple[int, Successor]] = field(default_factory=dict)  # by `after`, with its position
    ahead: int = 0  # entries that a commit must have seen
    requests: set[str] = field(default_factory=set)
    parked: int = 0
    broken: bytes = b""
    slot: str = ""
    released: bool = False  # its record is no longer held
    place: str = ""  # H holds its slot, W waits in the line, F gave its place back

    def entries(self) -> tuple[InboxEntry, ...]:
        """What is handed out of the inbox, with the outputs that are in fields of their own."""
        return tuple(
            replace(entry, output=self.fields[entry.output.decode()]) if entry.output else entry
            for entry in self.inbox[:MAX_INBOX]
        )

    def value(self, name: str) -> bytes | None:
        parts = self.joined.get(name)
        if parts is None:
            return self.fields.get(name)
        return b"".join(self.fields[part + OUTPUT] if index % 2 else part.encode() for index, part in enumerate(parts))

    @property
    def has_work(self) -> bool:
        return bool(self.inbox) or self.again


@dataclass(slots=True)
class SlotState:
    """See the Lua prelude. Both lists are in the order in which runs came."""

    limit: int
    holders: list[str] = field(default_factory=list)
    line: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Process:
    info: ProcessInfo
    dead_at_ms: int
    seen_at_ms: int
    held: set[Ref] = field(default_factory=set)
    vitals: Vitals | None = None
    nonce: str = ""  # of the last exchange
    answers: tuple[str, ...] = ()
    claimed: tuple[Ref, ...] = ()
    again_ms: int = 0
    taken: dict[int, tuple[str, tuple[str, ...]]] = field(default_factory=dict)  # by loop: nonce, runs


Key = TypeVar("Key")


def due(scores: Mapping[Key, int], now_ms: int, name: Callable[[Key], str] = str) -> list[Key]:
    """What a sorted set would answer: by score, then by the member's name, at most one batch."""
    found = [key for key, score in scores.items() if score <= now_ms]
    return sorted(found, key=lambda key: (scores[key], name(key)))[:MAX_BATCH]


@dataclass(slots=True)
class Clock:
    """Time that never runs backwards: when the source steps back, the offset grows."""

    source: Callable[[], int]
    offset_ms: int = 0
    last_ms: int = 0
    ticked_at_ms: int = 0
    grace_until_ms: int = 0
    grace_chain_ms: int = 0  # when the present chain of graces began

    def now_ms(self) -> int:
        now = self.source() + self.offset_ms
        if now < self.last_ms:
            self.offset_ms += self.last_ms - now
            now = self.last_ms
        self.last_ms = now
        return now

    def open_grace(self, now_ms: int, *, lease_ms: int, tick_ms: int) -> bool:
        """Note a tick. True while nothing may expire, because Redis was away or the clock jumped."""
        gap = now_ms - self.ticked_at_ms if self.ticked_at_ms else 0
        self.ticked_at_ms = now_ms
        if gap > max(lease_ms // 2, 4 * tick_ms):
            if now_ms > self.grace_until_ms + gap:
                self.grace_chain_ms = now_ms
            self.grace_until_ms = min(now_ms + lease_ms, self.grace_chain_ms + 2 * lease_ms)
        return now_ms < self.grace_until_ms


class MemoryState:
    """The tables and the moves on them. Not a store: it has no verbs and takes no lock."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = Clock(clock)
        self.runs: dict[str, Run] = {}
        self.ready: dict[str, int] = {}
        self.watch: dict[str, int] = {}
        self.deadlines: dict[Ref, int] = {}
        self.timers: dict[tuple[str, str], int] = {}
        self.expiring: dict[str, int] = {}
        self.queues: dict[str, deque[Ref]] = {}
        self.processes: dict[str, Process] = {}
        self.reaped: dict[str, int] = {}
        self.definitions: dict[str, bytes] = {}
        self.workers: dict[str, bytes] = {}
        self.slots: dict[str, SlotState] = {}
        self.schedules: dict[str, ScheduleRow] = {}
        self.figures = FiguresInMemory()
        self.alerts: dict[str, tuple[AlertRow, str]] = {}  # with the nonce of who told
        self.faults: dict[str, FaultCounts] = {}
        self.busy: dict[str, dict[tuple[Ref, str], int]] = {}  # by queue: who holds a slot -> 0, or when it is given up
        self.pace: dict[str, deque[int]] = {}  # by queue: when the last tasks were claimed under a rate
        self.hushed: set[str] = set()  # queues in which tasks wait, and a quota lets nobody take them

    def wake(self, run: Run, now_ms: int, *, even_parked: bool = False) -> None:
        if not run.parked or even_parked:
            self.ready.setdefault(run.run_id, now_ms)

    def open_task(self, ref: Ref) -> Task | None:
        """The task that this ref names, if it is still open under this token."""
        run = self.runs.get(ref[0])
        task = run.tasks.get(ref[1]) if run is not None else None
        return task if task is not None and task.is_open and task.token == ref[2] else None

    def close_task(self, ref: Ref) -> None:
        """The token stops being valid, wherever the task is."""
        task = self.runs[ref[0]].tasks.pop(ref[1])
        self.deadlines.pop(ref, None)
        if task.state == "Q":
            self.drop_ref(task.queue, ref)
        elif task.process in self.processes:
            self.processes[task.process].held.discard(ref)

    def dispatch(self, run: Run, dispatch: Dispatch, etag: str, now_ms: int) -> None:
        run.fence = max(run.fence + 1, now_ms * 1000)
        token = f"{run.fence}-{etag}"
        timeout_at = now_ms + dispatch.queue_timeout_ms if dispatch.queue_timeout_ms else 0
        task = Task("Q", token, dispatch.queue, now_ms, timeout_at, payload=dispatch.payload, message=dispatch.message)
        run.tasks[dispatch.path] = task
        self.enqueue((run.run_id, dispatch.path, token), task, now_ms)

    def enqueue(self, ref: Ref, task: Task, now_ms: int) -> None:
        waiting = self.queues.setdefault(task.queue, deque())
        if not waiting:
            self.hushed.discard(task.queue)
        waiting.append(ref)
        due_at = now_ms + REPAIR_MS
        self.deadlines[ref] = min(due_at, task.timeout_at_ms) if task.timeout_at_ms else due_at

    def drop_ref(self, queue: str, ref: Ref) -> None:
        waiting = self.queues.get(queue, deque())
        if ref in waiting:
            waiting.remove(ref)

    def lose(self, ref: Ref, task: Task, now_ms: int) -> None:
        """Its process is dead: close the task and tell its run."""
        self.close_task(ref)
        run = self.runs[ref[0]]
        run.inbox.append(InboxEntry("lost", now_ms, ref[1], task.claimed_at_ms, task.process))
        self.wake(run, now_ms)

    def look_after_queued(self, ref: Ref, task: Task, front: Sequence[Ref], now_ms: int) -> bool:
        """Give a task that waits a longer deadline. True if it is not in its queue any more; this is the front of that.

        Queues are in the order of their fences, but for runs that were committed together. So a ref is lost exactly if
        it is not among the first, and there are no others or the last of them is younger, by a millisecond: the fences
        of one script are closer. Behind a backlog nothing more is done, or every waiting task would be doubled.
        """
        due_at = now_ms + min(max(REPAIR_MS, now_ms - task.queued_at_ms), MAX_REPAIR_MS)
        if task.timeout_at_ms:
            due_at = min(due_at, max(task.timeout_at_ms, self.clock.grace_until_ms))
        self.deadlines[ref] = due_at
        lies_behind = len(front) == LOOKED_AT and fence_of(front[-1][2]) < fence_of(ref[2]) + 1_000
        return ref not in front and not lies_behind

    def front_of(self, queue: str) -> list[Ref]:
        return list(islice(self.queues.get(queue, ()), LOOKED_AT))

    def push_missing(self, queue: str, missing: Sequence[Ref]) -> int:
        """They go between the others, so that the order stays."""
        waiting, front = self.queues.setdefault(queue, deque()), self.front_of(queue)
        for _ in front:
            waiting.popleft()
        refs = sorted([*front, *missing], key=lambda ref: (fence_of(ref[2]), "|".join(ref)))
        waiting.extendleft(reversed(refs))
        self.hushed.discard(queue)
        return len(missing)

    def reap(self, process_id: str, now_ms: int) -> tuple[int, int]:
        """Tasks lost and runs ready again."""
        process = self.processes.pop(process_id, None)
        if process is None:
            return 0, 0
        self.reaped[process_id] = now_ms
        count = 0
        for ref in sorted(process.held, key="|".join):
            task = self.open_task(ref)
            if task is not None and task.state == "R" and task.process == process_id:
                self.lose(ref, task, now_ms)
                count += 1
        taken = (run_id for _, run_ids in process.taken.values() for run_id in run_ids)
        return count, sum(self.ready_again(run_id, now_ms) for run_id in taken)

    def ready_again(self, run_id: str, now_ms: int, *, even_parked: bool = False) -> bool:
        """A taken run whose engine is gone, or is not heard of. True if it was not ready already."""
        run = self.runs.get(run_id)
        if run is None or run.terminal or not run.has_work or run_id in self.ready or run.place == "W":
            return False
        self.wake(run, now_ms, even_parked=even_parked)
        return run_id in self.ready

    def forget(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            self.expiring.pop(run_id, None)
            self.runs.pop(run_id, None)


class StreamInMemory:
    """ports.EventStream. Its connection is never lost."""

    def __init__(self, changed: threading.Condition, on_close: Callable[[StreamInMemory], None]) -> None:
        self._changed = changed
        self._on_close = on_close
        self._waiting: list[tuple[str, bytes]] = []

    def tell(self, run_id: str, history: Sequence[bytes]) -> None:
        """Under the store's lock."""
        self._waiting += [(run_id, entry) for entry in history]

    def read(self, timeout_s: float) -> Sequence[tuple[str, bytes]]:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting), timeout_s)
            read, self._waiting = self._waiting, []
            return read

    def close(self) -> None:
        with self._changed:
            self._on_close(self)


class MemoryBase:
    """The tables, the lock that every verb takes, and the signal that waiting calls wait for."""

    def __init__(self, *, namespace: str, clock: Callable[[], int], lease_ms: int, tick_ms: int) -> None:
        self.namespace = namespace
        self._lease_ms = lease_ms
        self._tick_ms = tick_ms
        self._tables = MemoryState(clock)
        self._changed = threading.Condition(threading.RLock())
        self._listeners: list[StreamInMemory] = []

    def listen(self) -> StreamInMemory:
        with self._changed:
            stream = StreamInMemory(self._changed, self._listeners.remove)
            self._listeners.append(stream)
            return stream

    def _tell_listeners(self, run_id: str, history: Sequence[bytes]) -> None:
        for stream in self._listeners:
            stream.tell(run_id, history)

    def _wait(self, is_ready: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(is_ready, timeout_s)
