"""A worker process: a supervisor that talks to the store, and children that run user code.

Start it, stop it, and it drains in between; or `run` it as a program's whole life. User code never runs in here, so it
can neither starve the heartbeat nor crash it. Four threads: one looks after the children (children.py), three talk to
the store (exchange.py). When one of them breaks, that is a bug: the children are killed, and `failure` says why.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import msgspec

from runner.errors import ConfigError, SagarunError, StoreError
from runner.store.ports import Quota, Store
from runner.worker.children import Children
from runner.worker.exchange import Conversation
from runner.worker.ledger import Counts
from runner.worker.quota import quotas_of
from runner.worker.state import Options, State
from runner.worker.uptime import uptime_s

log = logging.getLogger("sagarun.worker")

GRACE_S = 25.0  # less than the 30 s that service managers wait before they kill
FLUSH_S = 5.0  # for handing in what ended, at the very end
JOIN_S = 10.0


class WorkerProcess:
    """One per process of the operating system is usual; nothing hinders more."""

    def __init__(
        self,
        store: Store,
        modules: Sequence[str],
        *,
        queues: Sequence[str] | None = None,
        children: int = 1,
        slots: int = 64,
        lease_ms: int = 15_000,
        beat_s: float = 3.0,
        stop_grace_s: float = 0.5,
        start_timeout_s: float = 60.0,
        hook: str = "",
        lock_path: str = "",
        lock_fd: int | None = None,
        process_id: str = "",
    ) -> None:
        """`modules`: what the children import (packages with all their modules). `queues`: only these.

        hook: "module:function", called in each child first.  lock_path, lock_fd: see ProcessInfo.lock.
        """
        if children < 1 or slots < 1:
            raise ConfigError(f"a worker process needs at least one child and one slot, not {children} and {slots}")
        if not 0 < beat_s * 1000 <= lease_ms / 2:
            raise ConfigError(f"a heartbeat each {beat_s:g} s is too rare for leases of {lease_ms} ms")
        self._store = store
        self._options = Options(
            tuple(modules), None if queues is None else tuple(queues), children, slots, lease_ms, beat_s, stop_grace_s,
            start_timeout_s, hook, lock_path, () if lock_fd is None else (lock_fd,),
        )
        self._state = State(process_id) if process_id else State()
        self._children = Children(self._state, self._options)
        self._conversation = Conversation(store, self._state, self._options, self._children)
        self._threads: dict[str, threading.Thread] = {}
        self._stop_by_s = float("inf")
        self._stopped = threading.Event()
        self._stopping = threading.Lock()

    # -- what it is -----------------------------------------------------------------------------------

    @property
    def process_id(self) -> str:
        return self._state.process_id

    @property
    def is_idle(self) -> bool:
        """Nothing runs here, and everything that ended is recorded."""
        with self._state.lock:
            return self._state.ledger.is_idle

    @property
    def is_claiming(self) -> bool:
        """It has started, and is not on its way to its end."""
        return self._state.is_claiming

    @property
    def held(self) -> int:
        """How many attempts run."""
        with self._state.lock:
            return len(self._state.ledger.held)

    @property
    def counts(self) -> Counts:
        with self._state.lock:
            counts = self._state.ledger.counts
            return Counts(counts.claimed, counts.recorded, counts.discarded, counts.timeouts, counts.lost)

    @property
    def contracts(self) -> Mapping[str, Mapping[str, Any]]:
        """Of its workers, by name; known once it is started."""
        return {name: msgspec.json.decode(data) for name, data in (self._state.contracts or {}).items()}

    @property
    def child_pids(self) -> tuple[int, ...]:
        with self._state.lock:
            return self._children.pids()

    @property
    def failure(self) -> BaseException | None:
        """Why it broke, if it did."""
        return self._state.failure

    # -- its life -------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Begin to start the children, and return: they import the worker modules meanwhile."""
        if "children" not in self._threads:
            self._spawn("children", self._children.serve)

    def start(self) -> None:
        """Publish the contracts and begin to claim. Raises ConfigError when the modules cannot be loaded."""
        self.launch()
        try:
            contracts = self._await_contracts()
            self._state.queues, self._state.quotas = self._chosen_queues(contracts)
            self._state.strays = _strays(contracts, self._state.queues)
            self._store.put_workers(contracts)
            sent_at_s = uptime_s()
            self._conversation.register(self.process_id)
        except BaseException:
            self.stop(0)
            raise
        with self._state.lock:
            self._state.leased_at_s = sent_at_s
            self._state.is_claiming = True
        self._spawn("beat", self._conversation.beat)
        self._spawn("exchange", self._conversation.exchange)
        self._spawn("listen", self._conversation.listen)

    def stop(self, grace_s: float = GRACE_S) -> bool:
        """Claim nothing more, wait up to `grace_s` for what runs, then kill. True: nothing had to be killed.

        A second call, from anywhere, can only shorten the wait.
        """
        self._stop_by_s = min(self._stop_by_s, uptime_s() + grace_s)
        with self._stopping:
            if self._stopped.is_set():
                return True
            was_drained = self._drain()
            self._end_children()
            self._end_conversation()
            self._stopped.set()
            return was_drained

    def wait_until_idle(self, timeout_s: float) -> bool:
        with self._state.lock:
            return self._state.changed.wait_for(lambda: self._state.is_at_rest, timeout_s)

    def run(self, grace_s: float = GRACE_S) -> bool:
        """Start, serve until SIGTERM or SIGINT, stop; a second signal cuts the grace short. Main thread only.

        The answer is that of `stop`. Raises what broke, if something did.
        """
        asked = threading.Event()

        def on_signal(*_: object) -> None:
            # No lock in here: the main thread may be holding it.
            if asked.is_set():
                self._stop_by_s = 0.0
            asked.set()

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self.start()
            while not asked.wait(0.2) and self.failure is None:
                pass
            was_drained = self.stop(grace_s)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.failure is not None:
            raise SagarunError("the worker process broke; its log has the traceback") from self.failure
        return was_drained

    def __enter__(self) -> WorkerProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(GRACE_S if kind is None else 0)

    # -- starting -------------------------------------------------------------------------------------

    def _await_contracts(self) -> dict[str, bytes]:
        state = self._state
        with state.lock:
            state.changed.wait_for(
                lambda: state.contracts is not None or state.start_error or state.failure, self._options.start_timeout_s
            )
            if state.start_error is not None:
                raise state.start_error
            if state.failure is not None:
                raise SagarunError("the worker process broke") from state.failure
            if state.contracts is None:
                names = ", ".join(self._options.modules)
                raise ConfigError(f"importing {names} took longer than {self._options.start_timeout_s:g} s")
            return state.contracts

    def _chosen_queues(self, contracts: Mapping[str, bytes]) -> tuple[tuple[str, ...], dict[str, Quota]]:
        decoded = [msgspec.json.decode(each) for each in contracts.values()]
        known = tuple(dict.fromkeys(each["queue"] for each in decoded))
        quotas = quotas_of(decoded)
        if self._options.queues is None:
            return known, quotas
        unknown = [queue for queue in self._options.queues if queue not in known]
        if unknown:
            raise ConfigError(f"no worker here has the queue {unknown[0]!r}; there are {', '.join(known)}")
        chosen = self._options.queues
        return chosen, {queue: quota for queue, quota in quotas.items() if queue in chosen}

    def _spawn(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._guarded, args=(name, body), name=f"worker-{name}", daemon=True)
        self._threads[name] = thread
        thread.start()

    def _guarded(self, name: str, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            log.critical("the thread %r of the worker process broke", name, exc_info=True)
            with self._state.lock:
                self._state.failure = self._state.failure or error
                self._state.is_claiming = False
                self._state.is_closing = True
                self._children.kill_all()
                self._state.wake_all()
            self._children.wake()

    # -- stopping -------------------------------------------------------------------------------------

    def _drain(self) -> bool:
        state = self._state
        answer_by_s = uptime_s() + FLUSH_S
        with state.lock:
            state.is_claiming = False
            while not state.is_at_rest and state.failure is None:
                now_s = uptime_s()
                if state.ledger.is_idle and now_s >= answer_by_s:
                    return True  # only the store's answer is missing, and it may not come for a long time
                if now_s >= self._stop_by_s:
                    return False
                state.changed.wait(0.1)  # short: a signal handler may have moved the end nearer
            return True

    def _end_children(self) -> None:
        with self._state.lock:
            self._state.is_closing = True
        self._children.wake()
        thread = self._threads.get("children")
        if thread is not None:
            thread.join(JOIN_S)
            if thread.is_alive():
                log.error("a child of the worker process does not die")

    def _end_conversation(self) -> None:
        with self._state.lock:
            self._state.finished.set()
            self._state.wake_all()
        exchange = self._threads.get("exchange")
        if exchange is None:
            return
        exchange.join(FLUSH_S)
        if exchange.is_alive():
            log.warning("the store does not answer: what ended last is left to its leases")
            return
        try:
            self._store.retire(self.process_id)
        except StoreError as error:
            log.warning("the process could not be signed off, its lease will do that: %s", error)
        # The listener may still wait for a token, for a second at most; it ends by itself.
        self._threads["beat"].join(FLUSH_S)


def _strays(contracts: Mapping[str, bytes], queues: Sequence[str]) -> tuple[str, ...]:
    """Names of workers of these queues that are no queues themselves. A quota is for its queue: none is held here."""
    served = {name: msgspec.json.decode(contract) for name, contract in contracts.items()}
    names = (name for name, contract in served.items() if contract["queue"] in queues)
    return tuple(name for name in names if all(name != contract["queue"] for contract in served.values()))
