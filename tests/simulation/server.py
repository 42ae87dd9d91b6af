"""The store as actors reach it: over a network that delays, loses and repeats, on a server that crashes and rewinds.

A fault is planned for one call, by its number. What was executed is kept as a log of calls with their times, so that
the server can be set back to any prefix of it: everything is forgotten, and the prefix is executed anew.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from runner.errors import StoreError, StoreUnavailable
from runner.store.memory.store import MemoryStore
from runner.store.ports import Store
from tests.simulation.loom import Fiber, Killed, Loom, Process

BEGAN_MS = 1_700_000_000_000
PATIENCE_MS = 30_000  # of a connection, as in production
STRETCH = 4  # idle waits are longer than in production: what ends them in time is the wake-up
READS = frozenset({"load_runs", "history", "get_definition", "get_workers", "processes", "find_runs", "list_runs",
                   "load_states", "schedules", "slot", "count_live", "queue_depths", "queues", "figures", "alerts"})
AT_ONCE = frozenset({"get_definition", "get_workers", "put_definition", "now_ms"})  # nobody comes between
WRITES = frozenset({"start", "take_runs", "commit", "post", "exchange", "register"})
# Faults that would mean little for other calls: they wait for one of these.
AIMS = dict.fromkeys(("repeat", "straggle", "lose_reply", "crash"), WRITES)
AIMS |= {"haunt": frozenset({"register"}), "lose_claim": frozenset({"exchange"})}
REPEATABLE = frozenset({"start", "take_runs", "commit", "post", "exchange"})  # by nonce: the same answer, no change


class Fault(NamedTuple):
    """What goes wrong with call number `at`."""

    at: int
    kind: str
    ms: int = 0

    def __str__(self) -> str:
        return f"call {self.at}: {self.kind}" + f" {self.ms} ms" * bool(self.ms)


class Entry(NamedTuple):
    """A call that was executed."""

    at_ms: int  # of the loom
    clock_ms: int  # of the server
    who: str
    verb: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    answer: Any


class Witness(Protocol):
    """Sees every script."""

    def before(self, store: Any, entry: Entry) -> None: ...

    def after(self, store: Any, entry: Entry) -> None: ...

    def about_to_repeat(self, store: Any) -> None: ...

    def repeated(self, store: Any, first: Entry, second: Entry) -> None: ...

    def forget(self) -> None: ...


class Clock:
    """The server's own; it may step."""

    def __init__(self, loom: Loom) -> None:
        self.loom = loom
        self.skew_ms = 0
        self.replayed_ms: int | None = None

    def __call__(self) -> int:
        return self.loom.now_ms + BEGAN_MS + self.skew_ms if self.replayed_ms is None else self.replayed_ms


class Server:
    """One store, and everything that may happen to a call of it."""

    def __init__(
        self, loom: Loom, faults: list[Fault], make_store: Callable[[Clock], Store], witness: Witness, *,
        is_slow: bool = False,
    ) -> None:
        self.loom = loom
        self.clock = Clock(loom)
        self.make_store = make_store
        self.store: Any = make_store(self.clock)
        self.witness = witness
        self.is_slow = is_slow
        self.on_kill: Callable[[Process], None] = lambda process: None
        self.on_rewind: Callable[[int], None] = lambda cut: None
        self.calls = 0
        self.log: list[Entry] = []
        self.trace: list[Entry | str] = []  # everything that happened, also what was rewound
        self.happened: Counter[str] = Counter()
        self.is_calm = False
        self._crashes = 0
        self._faults = sorted(faults)
        self._away_until_ms = 0
        self._deaf_until_ms = 0
        self._idle: dict[str, list[Fiber]] = {"engine": [], "worker": []}

    # -- what actors call ---------------------------------------------------------------------------
    def call(self, process: Process, verb: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if process.is_dead:
            raise Killed
        number = self.calls
        self.calls += 1
        if verb not in AT_ONCE:
            self.loom.sleep(self._delay_ms(process, number))
        fault = None if self.is_calm else self._due(number, verb, options)
        if fault is not None:
            self.happened[fault.kind] += 1
            self.tell(process.name, f"!! {fault.kind} {fault.ms or ''} at {verb}")
        self._reach(process)
        execute = partial(self._execute, process.name, verb, args, options)
        if fault is None:
            return execute()
        return _FAULTS[fault.kind](self, process, fault, execute)

    def _due(self, number: int, verb: str, options: dict[str, Any]) -> Fault | None:
        for fault in self._faults:
            if fault.at > number:
                return None
            wanted = AIMS.get(fault.kind)
            has_weight = verb != "exchange" or options["completions"] or fault.kind == "lose_claim"
            if wanted is None or (verb in wanted and has_weight):
                self._faults.remove(fault)
                return fault
        return None

    def idle(self, who: str, process: Process, timeout_s: float) -> bool:
        """Wait to be woken. A wake-up may get lost, so it is no promise."""
        if process.is_dead:
            raise Killed
        me = self.loom.current
        self._idle[who].append(me)
        try:
            return self.loom.pause(round(timeout_s * 1000 * STRETCH))
        finally:
            if me in self._idle[who]:
                self._idle[who].remove(me)

    def tell(self, who: str, what: str) -> None:
        self.trace.append(f"{self.loom.now_ms / 1000:9.3f} s  {who:<12} {what}")

    def _delay_ms(self, process: Process, number: int) -> int:
        chance = self.loom.draw("delay", number)
        if self.is_slow and chance > 0.9:
            return round(4_000 * (chance - 0.9))
        return round(6 * chance**3)

    def _reach(self, process: Process) -> None:
        """Wait while the server is away, for as long as a connection does."""
        patience_ms = self.loom.now_ms + PATIENCE_MS
        while self.loom.now_ms < self._away_until_ms:
            if self.loom.now_ms >= patience_ms:
                raise StoreUnavailable("the server stays away")
            self.loom.sleep(min(self._away_until_ms - self.loom.now_ms, 2_000) + 1)

    # -- execution ----------------------------------------------------------------------------------
    def _execute(self, who: str, verb: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if verb in READS:
            return getattr(self.store, verb)(*args, **options)
        entry = Entry(self.loom.now_ms, self.clock(), who, verb, args, options, None)
        self.witness.before(self.store, entry)
        try:
            answer = getattr(self.store, verb)(*args, **options)
        except StoreError as error:
            self._keep(entry._replace(answer=error))
            raise
        self._keep(entry._replace(answer=answer))
        return answer

    def _keep(self, entry: Entry) -> None:
        self.log.append(entry)
        self.trace.append(entry)
        self.witness.after(self.store, entry)
        self._wake(entry)

    def _wake(self, entry: Entry) -> None:
        if self.loom.now_ms < self._deaf_until_ms:
            return
        if _wakes_engines(entry):
            self._wake_all("engine")
        if (entry.verb == "commit" and any(commit.dispatches for commit in entry.args[0])) or (
            entry.verb == "exchange" and (entry.options.get("completions") and entry.options.get("quotas"))
        ) or (entry.verb == "tick" and entry.answer.requeued):
            self._wake_all("worker")

    def _wake_all(self, who: str) -> None:
        for fiber in self._idle[who]:
            self.loom.notify(fiber)
        self._idle[who].clear()

    # -- faults -------------------------------------------------------------------------------------
    def kill(self, process: Process) -> None:
        self.on_kill(process)
        self.loom.kill(process)

    def kill_before(self, process: Process, _fault: Fault, _execute: Callable[[], Any]) -> Any:
        self.kill(process)
        raise Killed

    def kill_after(self, process: Process, _fault: Fault, execute: Callable[[], Any]) -> Any:
        execute()
        self.kill(process)
        raise Killed

    def pause_before(self, process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        process.frozen_until_ms = self.loom.now_ms + fault.ms
        self.loom.sleep(0)
        self._reach(process)
        return execute()

    def pause_after(self, process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        answer = execute()
        process.frozen_until_ms = self.loom.now_ms + fault.ms
        self.loom.sleep(0)
        return answer

    def lose_request(self, _process: Process, _fault: Fault, _execute: Callable[[], Any]) -> Any:
        raise StoreUnavailable("the request was lost, again and again")

    def lose_reply(self, _process: Process, _fault: Fault, execute: Callable[[], Any]) -> Any:
        execute()
        raise StoreUnavailable("the reply was lost, again and again")

    def repeat(self, process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        """The reply was lost, and the connection asks once more."""
        execute()
        if fault.ms:
            self.loom.sleep(fault.ms)
        self._reach(process)
        self.witness.about_to_repeat(self.store)
        answer = execute()
        first, second = (self.log[-2:] if len(self.log) > 1 else (None, None))
        if first is not None and second is not None and first.args is second.args and second.verb in REPEATABLE:
            self.witness.repeated(self.store, first, second)
        return answer

    def straggle(self, process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        """The request was taken for lost and asked again; it arrives, much later, on its old connection."""

        crashes = self._crashes

        def arrive() -> None:
            if self._crashes > crashes:
                return  # no connection outlives its server
            self.tell(process.name, "a request arrives that was taken for lost")
            with contextlib.suppress(StoreError):  # nobody hears the answer
                execute()

        answer = execute()
        self.loom.call_at(self.loom.now_ms + fault.ms, arrive)
        return answer

    def haunt(self, process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        """A process dies when it is hardly there, and its registration arrives a second time when it was reaped."""
        self.straggle(process, fault, execute)
        self.kill(process)
        raise Killed

    def lose_claim(self, _process: Process, _fault: Fault, execute: Callable[[], Any]) -> Any:
        """The server crashes when the process has heard of its tasks, and knows nothing of that any more."""
        answer = execute()
        if answer.claimed:
            self.rewind(len(self.log) - 1)
            self._away_until_ms = self.loom.now_ms + 200
        return answer

    def outage(self, process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        self._away_until_ms = self.loom.now_ms + fault.ms
        self._reach(process)
        return execute()

    def clock_step(self, _process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        self.clock.skew_ms += fault.ms
        return execute()

    def deafen(self, _process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        self._deaf_until_ms = self.loom.now_ms + fault.ms
        return execute()

    def lose_lists(self, _process: Process, _fault: Fault, execute: Callable[[], Any]) -> Any:
        """Nothing is only in a list."""
        self._execute("operator", "lose_lists", (), {})
        return execute()

    def crash(self, process: Process, fault: Fault, execute: Callable[[], Any]) -> Any:
        """In the tier `standard` a crash may rewind what happened shortly before."""
        first_lost = self.loom.now_ms - fault.ms
        cut = next((index for index, entry in enumerate(self.log) if entry.at_ms >= first_lost), len(self.log))
        self.rewind(cut)
        self._away_until_ms = self.loom.now_ms + 200
        self._reach(process)
        return execute()

    def rewind(self, cut: int) -> None:
        self.tell("server", f"crashes; the last {len(self.log) - cut} calls never happened")
        self._crashes += 1
        self.on_rewind(cut)
        del self.log[cut:]
        self.store = self.make_store(self.clock)
        self.witness.forget()
        for entry in self.log:
            self.clock.replayed_ms = entry.clock_ms
            self.witness.before(self.store, entry)
            with contextlib.suppress(StoreError):  # as it did the first time
                getattr(self.store, entry.verb)(*entry.args, **entry.options)
            self.witness.after(self.store, entry)
        self.clock.replayed_ms = None


_FAULTS: dict[str, Callable[[Server, Process, Fault, Callable[[], Any]], Any]] = {
    verb.__name__: verb
    for verb in (
        Server.kill_before, Server.kill_after, Server.pause_before, Server.pause_after, Server.lose_request,
        Server.lose_reply, Server.repeat, Server.straggle, Server.outage, Server.clock_step, Server.deafen,
        Server.lose_lists, Server.crash, Server.haunt, Server.lose_claim,
    )
}


def _wakes_engines(entry: Entry) -> bool:
    if entry.verb == "exchange":
        return bool(entry.options.get("completions"))
    if entry.verb == "tick":
        ticked = entry.answer
        return bool(ticked.timers or ticked.lost or ticked.queue_timeouts or ticked.rearmed)
    return entry.verb in ("start", "commit", "post", "reap", "retire")


class Reach:
    """A store, as one process reaches it."""

    def __init__(self, server: Server, process: Process) -> None:
        self.namespace = server.store.namespace
        self._server = server
        self._process = process

    def wait_for_runs(self, timeout_s: float) -> bool:
        return self._server.idle("engine", self._process, timeout_s)

    def wait_for_tasks(self, _queues: Any, timeout_s: float) -> bool:
        return self._server.idle("worker", self._process, timeout_s)

    def close(self) -> None: ...

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda *args, **options: self._server.call(self._process, verb, args, options)


class LossyMemoryStore(MemoryStore):
    """A MemoryStore of which all lists of tasks can be lost."""

    def lose_lists(self) -> None:
        with self._changed:
            self._tables.queues.clear()
