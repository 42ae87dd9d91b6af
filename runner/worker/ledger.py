"""What a worker process holds: attempts that run, and ends of attempts that wait to be handed in. No I/O, no lock.

Every task that was claimed leaves here exactly once, as a completion, or not at all when the process was reaped: its
tokens are void then.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from runner.store.ports import ClaimedTask, Completion, CompletionAnswer
from runner.wire import ErrorRecord, Outcome, TaskMessage
from runner.worker.attempt import decode_message, encode_outcome, never_began, overrun
from runner.worker.frames import TaskFrame
from runner.worker.payload import decode_json

DEFAULT_TIMEOUT_MS = 10_000  # of a message that cannot be read; the child says so
Key = tuple[str, str, str]  # run id, path, token


class _Limits(msgspec.Struct, frozen=True):
    """The part of a task message that a supervisor needs; the rest is not even decoded."""

    timeout_ms: int = DEFAULT_TIMEOUT_MS
    heartbeat_ms: int = 0
    alone: bool = False


_decode_limits = msgspec.json.Decoder(_Limits).decode


@dataclass(slots=True, eq=False)
class Held:
    """An attempt in a child. Times are seconds of uptime_s; 0.0 means never."""

    number: int
    task: ClaimedTask
    child: int
    deadline_s: float
    heartbeat_s: float = 0.0  # at most so long between two heartbeats
    heartbeat_due_s: float = 0.0
    overdue_since_s: float = 0.0
    is_silent: bool = False  # overdue for want of a heartbeat
    is_void: bool = False  # the store gave the task up: what comes of it is not recorded any more
    is_cancelled: bool = False
    stack: str = ""
    details: bytes = b""
    log: str = ""  # its last lines, as far as the child told them

    @property
    def key(self) -> Key:
        return self.task.run_id, self.task.path, self.task.token


@dataclass(slots=True)
class Counts:
    """What came of it all, since the process started."""

    claimed: int = 0
    recorded: int = 0
    discarded: int = 0  # duplicate or stale: somebody else's result stands
    timeouts: int = 0
    lost: int = 0


@dataclass(slots=True)
class Ledger:
    """Attempts by number, and completions in the order in which they came."""

    counts: Counts = field(default_factory=Counts)
    held: dict[int, Held] = field(default_factory=dict)
    overdue: dict[int, Held] = field(default_factory=dict)  # those of them that should have ended
    busy: Counter[int] = field(default_factory=Counter)  # how many of them are in each child
    unplaced: list[ClaimedTask] = field(default_factory=list)  # claimed, and waiting for a child with room
    _waiting: deque[Completion] = field(default_factory=deque)
    _in_flight: Sequence[Completion] = ()
    _number: int = 0

    @property
    def is_idle(self) -> bool:
        return not (self.held or self.unplaced or self._waiting or self._in_flight)

    @property
    def has_completions(self) -> bool:
        return bool(self._waiting)

    @property
    def latest(self) -> int:
        """The number of the last attempt that began, of those that run; 0: none runs."""
        return next(reversed(self.held), 0)

    def begin(self, task: ClaimedTask, child: int, now_s: float) -> TaskFrame:
        self._number += 1
        limits = _limits_of(task)
        heartbeat_s = limits.heartbeat_ms / 1000
        deadline_s = now_s + limits.timeout_ms / 1000
        self.busy[child] += 1
        self.held[self._number] = Held(
            self._number, task, child, deadline_s, heartbeat_s, now_s + heartbeat_s if heartbeat_s else 0.0
        )
        return TaskFrame(
            self._number, task.message, task.payload, deadline_s, task.fence, task.queue, task.queued_at_ms,
            task.claimed_at_ms,
        )

    def end(self, number: int, outcome: bytes, output: bytes = b"") -> None:
        """An outcome from a child. Of an attempt that is not held any more it is dropped."""
        held = self.held.get(number)
        if held is not None:
            self._drop(held)
            overran = held.overdue_since_s and held.details
            self._complete(held.task, _with_last_details(outcome, held.details) if overran else outcome, output)

    def refuse_unplaced(self) -> None:
        """There is nobody to run them: definite, for they never began."""
        for task in self.unplaced:
            self._complete(task, encode_outcome(never_began(_message_of(task))))
        self.unplaced.clear()

    def take_unplaced(self, limit: int, *, alone: bool = False) -> list[ClaimedTask]:
        """What may begin in one child, the first come first. `alone`: of those that nobody is to share a child with."""
        found: list[ClaimedTask] = []
        rest: list[ClaimedTask] = []
        for task in self.unplaced:
            (found if len(found) < limit and _is_alone(task) == alone else rest).append(task)
        self.unplaced = rest
        return found

    @property
    def suspects(self) -> int:
        """How many wait for a child of their own."""
        return sum(map(_is_alone, self.unplaced))

    def lose(self, child: int, how: str = "") -> list[Held]:
        """Everything in this child is over, for the child is dead. `how`: it ended so, and nobody had asked it to."""
        found = [held for held in self.held.values() if held.child == child]
        for held in found:
            self._drop(held)
            if held.overdue_since_s and not held.is_void:
                self.counts.timeouts += 1
                outcome = overrun(_message_of(held.task), _traces(held), silent=held.is_silent)
                self._complete(held.task, encode_outcome(replace(outcome, log=held.log)))
            else:
                self.counts.lost += 1
                error = ErrorRecord("worker_lost", message=f"its process {how}", details={"exit": how}) if how else None
                body = encode_outcome(Outcome("unknown", error=error, log=held.log)) if how or held.log else b""
                self._waiting.append(Completion(*held.key, body=body, lost=True))
        return found

    def beat(self, number: int, details: bytes, now_s: float) -> None:
        held = self.held.get(number)
        if held is not None:
            held.heartbeat_due_s = now_s + held.heartbeat_s if held.heartbeat_s else 0.0
            held.details = details or held.details

    def keep_log(self, number: int, text: str) -> None:
        held = self.held.get(number)
        if held is not None:
            held.log = text

    def newly_overdue(self, now_s: float) -> list[Held]:
        """Attempts that have just passed their deadline, or were silent for too long. Each is given once."""
        found = []
        for held in self.held.values():
            if held.overdue_since_s:
                continue
            held.is_silent = 0.0 < held.heartbeat_due_s < now_s and now_s <= held.deadline_s
            if held.is_silent or held.is_void or now_s > held.deadline_s:
                held.overdue_since_s = now_s
                self.overdue[held.number] = held
                found.append(held)
        return found

    def take(self, limit: int) -> Sequence[Completion]:
        """Completions to hand in. They stay in flight until `settle`."""
        self._in_flight = [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]
        return self._in_flight

    def settle(self, answers: Iterable[CompletionAnswer]) -> list[tuple[Completion, CompletionAnswer]]:
        """The store has answered for what was in flight. Gives those that were not recorded."""
        pairs = list(zip(self._in_flight, answers, strict=True))
        self._in_flight = ()
        refused = [pair for pair in pairs if pair[1] != "recorded"]
        self.counts.recorded += len(pairs) - len(refused)
        self.counts.discarded += len(refused)
        return refused

    def leases(self) -> list[tuple[Key, int]]:
        """(key, number) of everything whose lease must go on; number 0: it does not run (any more, or not yet)."""
        keys = [(held.key, held.number) for held in self.held.values()]
        others: list[ClaimedTask | Completion] = [*self.unplaced, *self._in_flight, *self._waiting]
        return keys + [((each.run_id, each.path, each.token), 0) for each in others]

    def give_up(self, key: Key) -> None:
        """The store gave this task to others before it was begun here."""
        self.unplaced = [task for task in self.unplaced if (task.run_id, task.path, task.token) != key]

    def forget(self) -> None:
        """The process was reaped: nothing of this counts any more."""
        for each in (self.held, self.overdue, self.busy, self.unplaced, self._waiting):
            each.clear()
        self._in_flight = ()

    def _drop(self, held: Held) -> None:
        del self.held[held.number]
        self.overdue.pop(held.number, None)
        self.busy[held.child] -= 1
        if not self.busy[held.child]:
            del self.busy[held.child]

    def _complete(self, task: ClaimedTask, outcome: bytes, output: bytes = b"") -> None:
        self._waiting.append(Completion(task.run_id, task.path, task.token, outcome, output=output))


def _limits_of(task: ClaimedTask) -> _Limits:
    try:
        return _decode_limits(task.message)
    except msgspec.DecodeError:
        return _Limits()


def _is_alone(task: ClaimedTask) -> bool:
    """Nearly none is, and to decode each for it would cost more than everything else that is done with it here."""
    return b'"alone":true' in task.message and _limits_of(task).alone


def _message_of(task: ClaimedTask) -> TaskMessage:
    try:
        return decode_message(task.message)
    except msgspec.DecodeError:
        return TaskMessage(
            worker="?", run_id=task.run_id, workflow="?", version="?", path=task.path, step=task.path, phase="action",
            attempt=0, max_attempts=0, timeout_ms=DEFAULT_TIMEOUT_MS, step_ref="?", idempotency_key="?",
        )


def _with_last_details(encoded: bytes, details: bytes) -> bytes:
    """An attempt that stopped when it was asked to says as much as one that had to be killed for it."""
    outcome = msgspec.json.decode(encoded, type=Outcome)
    if outcome.outcome != "unknown" or outcome.error is None:
        return encoded
    told = outcome.error.details if isinstance(outcome.error.details, dict) else {}
    error = replace(outcome.error, details={**told, "last_details": decode_json(details)})
    return encode_outcome(replace(outcome, error=error))


def _traces(held: Held) -> dict[str, object]:
    """What is known of an attempt that had to be killed."""
    found: dict[str, object] = {}
    if held.stack:
        found["traceback"] = held.stack
    if held.details:
        found["last_details"] = decode_json(held.details)
    return found
