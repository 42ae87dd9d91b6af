"""The production actors in virtual time: engine with its ticker, worker process with its supervisor, client.

Their code is what runs in production, loops and all. What is replaced is what they stand on: locks and events
(loom.py), clocks and random numbers (`standing_on`), the store's network (server.py), and the children of a worker
process, which are no processes here but run the same attempts (outside.py says how they fare).
"""

from __future__ import annotations

import contextlib
import logging
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import runner.catalogue
import runner.client
import runner.engine.engine
import runner.engine.ticker
import runner.interpreter.advance
import runner.starting
import runner.store.limits
import runner.store.memory.runs
import runner.store.memory.tick
import runner.store.vitals
import runner.worker.attempt
import runner.worker.children
import runner.worker.exchange
import runner.worker.process
import runner.worker.state
from runner.definition.load import parse_document
from runner.engine.engine import Engine
from runner.engine.ticker import Ticker
from runner.errors import StoreError, StoreUnavailable
from runner.interpreter.plan import compile_plan
from runner.store.ports import ProcessInfo
from runner.worker.attempt import Attempt, decode_message, never_began, split_outcome
from runner.worker.child_process import ChildProcess
from runner.worker.children import Children
from runner.worker.context import StopSignal
from runner.worker.exchange import Conversation
from runner.worker.frames import Done, Ready, Stop, TaskFrame, ToChild, Work
from runner.worker.process import WorkerProcess
from tests.simulation.loom import Fiber, Loom, Process, VirtualCondition, VirtualEvent, VirtualLock
from tests.simulation.outside import REGISTRY, Outside
from tests.simulation.server import Reach, Server

TICK_S = 1.0  # the longest pause of a ticker: four of them are an outage
SMALL_COMMITS = 0.3  # of all simulations: a commit holds one dispatch, so that runs are handed out again for the rest
SHORT_WATCHES = 0.2  # of all: somebody looks after each run twice a second
RELAYS = 0.5  # of all: the store is told how to go on by itself
_plans: dict[str, Any] = {}


class Tokens:
    """Stands for `secrets`: never the same twice in one simulation, and the same in each simulation of one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def token_hex(self, size: int) -> str:
        return self.token_bytes(size).hex()

    def token_bytes(self, size: int) -> bytes:
        self._count += 1
        return (self._seed * 1_000_003 + self._count * 0x9E3779B97F4A7C15).to_bytes(24, "big")[-size:]


@contextlib.contextmanager
def standing_on(loom: Loom) -> Iterator[None]:
    """Production modules read this loom's time and tokens."""
    tokens = Tokens(loom.seed)

    def uptime_s() -> float:
        return loom.now_ms / 1000

    time = types.SimpleNamespace(
        monotonic=uptime_s, perf_counter=uptime_s, time_ns=lambda: loom.now_ms * 1_000_000,
        sleep=lambda seconds: loom.sleep(round(seconds * 1000) + 1),
    )
    with contextlib.ExitStack() as stack:
        for module in (runner.worker.exchange, runner.worker.children, runner.worker.process, runner.worker.state):
            stack.enter_context(patch.object(module, "uptime_s", uptime_s))
        timed = (runner.engine.engine, runner.engine.ticker, runner.client, runner.worker.attempt)
        for module in timed:
            stack.enter_context(patch.object(module, "time", time))
        for module in (runner.engine.engine, runner.client, runner.starting):
            stack.enter_context(patch.object(module, "secrets", tokens))
        stack.enter_context(patch.object(runner.engine.ticker, "LONGEST_S", TICK_S))
        if loom.draw("room") < SMALL_COMMITS:
            for name in ("MAX_DISPATCHES", "MAX_REVOKES"):
                stack.enter_context(patch.object(runner.interpreter.advance, name, 1))
        if loom.draw("relay") >= RELAYS:
            stack.enter_context(patch.object(runner.engine.engine, "successors", lambda *_: ()))
        if loom.draw("watch") < SHORT_WATCHES:
            for module in (runner.store.limits, runner.store.memory.runs, runner.store.memory.tick):
                stack.enter_context(patch.object(module, "WATCH_MS", 500))
        stack.enter_context(patch.object(runner.worker.exchange, "new_process_id", lambda: f"w:{tokens.token_hex(4)}"))
        stack.enter_context(patch.object(runner.catalogue, "parse_document", lambda document: document))
        stack.enter_context(patch.object(runner.catalogue, "compile_plan", _plan_of))
        # What this machine has to do is no part of a simulation.
        stack.enter_context(patch.object(runner.store.vitals.VitalsReader, "read", lambda *_: None))
        disabled = logging.root.manager.disable
        stack.callback(logging.disable, disabled)
        logging.disable(logging.CRITICAL)
        yield


def _plan_of(document: dict[str, Any]) -> Any:
    """Compiled once for all simulations: that takes longer than many of them."""
    name = document["workflow"]
    if name not in _plans:
        _plans[name] = compile_plan(parse_document(document))
    return _plans[name]


# -- an engine ----------------------------------------------------------------------------------------
def start_engine(server: Server, process: Process, process_id: str) -> None:
    """Its two threads, as runner.cli.hosting.host starts them."""
    loom, store = server.loom, Reach(server, process)
    stop: Any = VirtualEvent(loom)
    engine = Engine(store, process_id=process_id)  # type: ignore[arg-type]

    def interpret() -> None:
        try:
            store.register(ProcessInfo(process_id, "engine", "here", 1), lease_ms=runner.engine.ticker.LEASE_MS)
        except StoreError:  # it ends, and whatever looks after it starts another
            server.kill(process)
            return
        loom.spawn(process, "ticker", Ticker(store, process_id, stop).run)  # type: ignore[arg-type]
        while not stop.is_set():
            try:
                engine.run(stop)
            except StoreUnavailable:
                loom.sleep(500)

    loom.spawn(process, "engine", interpret)


# -- a worker process ---------------------------------------------------------------------------------
class SimulatedWorker(WorkerProcess):
    """WorkerProcess, with threads that are fibers."""

    def __init__(self, server: Server, process: Process, process_id: str, outside: Outside, *, slots: int) -> None:
        loom, store = server.loom, Reach(server, process)
        super().__init__(store, (), process_id=process_id, slots=slots)  # type: ignore[arg-type]
        self._loom, self._process = loom, process
        state: Any = self._state
        state.lock, state.finished = VirtualLock(), VirtualEvent(loom)
        state.business, state.quiet, state.changed = (VirtualCondition(loom) for _ in range(3))
        state.leased_at_s = loom.now_ms / 1000
        self._children = VirtualChildren(self._state, self._options, loom, process, outside)
        self._conversation = Conversation(store, self._state, self._options, self._children)  # type: ignore[arg-type]
        self._stopping = VirtualLock()  # type: ignore[assignment]

    def live(self, stop_after_ms: int) -> None:
        """Start, serve, and perhaps stop in good order."""
        self.start()
        if stop_after_ms:
            self._loom.sleep(stop_after_ms)
            self.stop(5.0)

    def _spawn(self, name: str, body: Callable[[], None]) -> None:
        self._threads[name] = _Thread(self._loom, self._loom.spawn(self._process, name, body))  # type: ignore[assignment]


class _Thread:
    """As much of threading.Thread as WorkerProcess.stop needs."""

    def __init__(self, loom: Loom, fiber: Fiber) -> None:
        self._loom, self._fiber = loom, fiber

    def join(self, timeout: float) -> None:
        until_ms = self._loom.now_ms + round(timeout * 1000)
        while not self._fiber.is_over and self._loom.now_ms < until_ms:
            self._loom.sleep(50)

    def is_alive(self) -> bool:
        return not self._fiber.is_over


class VirtualChildren(Children):
    """The supervision is production's; the loop around it waits for virtual time, and the children are virtual."""

    def __init__(self, state: Any, options: Any, loom: Loom, process: Process, outside: Outside) -> None:
        super().__init__(state, options)
        self._selector.close()
        self._selector = _NothingToSelect()  # type: ignore[assignment]
        self.loom, self.process, self.outside = loom, process, outside
        self._rung: Any = VirtualEvent(loom)

    def wake(self) -> None:
        self._rung.set()

    def serve(self) -> None:
        while True:
            self._tick(self.loom.now_ms / 1000)
            if self._state.is_closing and not self._living:
                return
            self._rung.wait(0.2 if self._is_busy() else 1.0)
            self._rung._is_set = False

    def _bear(self, now_s: float, *, is_cell: bool) -> None:
        self._born += 1
        child = VirtualChild(self._born, now_s, self, is_cell=is_cell)
        self._living[child.number] = child

        def ready() -> None:
            if not child.dead:
                self._heed(child, Ready(dict(REGISTRY.encoded_contracts())))
                self.wake()

        self.loom.call_at(self.loom.now_ms + 100, ready)


class _NothingToSelect:
    def get_key(self, _socket: object) -> Any:
        raise KeyError

    unregister = get_key

    def close(self) -> None: ...


class VirtualChild(ChildProcess):
    """Runs attempts at the moments that their fates say."""

    def __init__(self, number: int, born_at_s: float, family: VirtualChildren, *, is_cell: bool) -> None:
        self.is_cell, self.ended_unasked = is_cell, False
        self.number, self.born_at_s, self.pid = number, born_at_s, number
        self.socket, self.death = None, None  # type: ignore[assignment]
        self.is_ready = self.is_retiring = self.was_killed = self.dead = False
        self.closed_at_s = 0.0
        self._family = family
        self._backlog = bytearray()
        self._stops: dict[int, StopSignal] = {}

    def send(self, message: ToChild) -> None:
        if isinstance(message, Work):
            for task in message.tasks:
                self._begin(task)
        elif isinstance(message, Stop):
            for number in message.numbers:
                self._ask_to_stop(number, message.reason)

    def flush(self) -> None: ...

    def last_words(self) -> Iterator[Any]:
        return iter(())

    def close(self, now_s: float) -> None:
        if not self.closed_at_s:
            self.closed_at_s = now_s
            self._die()

    def kill(self) -> None:
        self.was_killed = True
        self._die()

    def is_dead(self) -> bool:
        return self.dead

    def describe_end(self) -> str:
        return "ended"

    def release(self) -> None: ...

    def _die(self) -> None:
        self.dead = True
        self._family.wake()

    @property
    def _is_gone(self) -> bool:
        return self.dead or self._family.process.is_dead

    def _begin(self, task: TaskFrame) -> None:
        loom, outside = self._family.loom, self._family.outside
        message = decode_message(task.message)
        if message.alone != self.is_cell or (self.is_cell and self._family._state.ledger.busy[self.number] > 1):
            raise AssertionError(f"{message.step_ref} shares a child, after one had died that ran it")
        stop = self._stops[task.number] = StopSignal()
        attempt = Attempt(
            REGISTRY, message, task.payload, deadline_s=task.deadline_s, fence=task.fence, stop=stop,
            clock=lambda: loom.now_ms / 1000,
        )
        fate = outside.fate_of(message)
        if fate.before_ms < 0:
            if fate.crashes:
                loom.call_at(loom.now_ms + 20, self._crash)
            return

        key = outside.expect(lambda: take_effect())

        def take_effect() -> None:
            if not outside.arrives(key):
                return
            # What is on its way to the service arrives, though nobody waits for it any more.
            in_flight = fate.kind == "late" or loom.draw("in flight", message.idempotency_key, task.fence) < 0.3
            if self._is_gone and not in_flight:
                return
            if stop.reason and not in_flight:
                self._answer(task.number, *split_outcome(never_began(message), message.phase))
                return
            outside.now = fate.kind
            outcome = attempt.run()
            if fate.crashes:
                self._crash()
            elif fate.answers and not self._is_gone:
                told = split_outcome(outcome, message.phase)
                loom.call_at(loom.now_ms + fate.after_ms, lambda: self._answer(task.number, *told))

        loom.call_at(loom.now_ms + fate.before_ms, take_effect)

    def _answer(self, number: int, outcome: bytes, output: bytes) -> None:
        if self._is_gone:
            return
        frozen_ms = self._family.process.frozen_until_ms
        if self._family.loom.now_ms < frozen_ms:  # it waits in the pipe
            self._family.loom.call_at(frozen_ms, lambda: self._answer(number, outcome, output))
            return
        self._family._heed(self, Done([(number, outcome, output)]))
        self._family.wake()

    def _crash(self) -> None:
        if not self._is_gone:
            self._die()

    def _ask_to_stop(self, number: int, reason: str) -> None:
        """Every other attempt heeds it."""
        stop = self._stops.get(number)
        if stop is not None and number % 2:
            stop.reason = reason


def start_worker(
    server: Server, process: Process, process_id: str, outside: Outside, *, slots: int, stop_after_ms: int,
) -> None:
    worker = SimulatedWorker(server, process, process_id, outside, slots=slots)

    def live() -> None:
        try:
            worker.live(stop_after_ms)
        except StoreError:
            pass
        else:
            if not stop_after_ms:
                return
        server.kill(process)  # it has ended, and whatever looks after it starts another

    server.loom.spawn(process, "worker", live)

