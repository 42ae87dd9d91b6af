"""An engine and its ticker as a process of their own, on a server of one's own."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading

from runner.cli.access import Access
from runner.cli.collector import spare_the_collector
from runner.engine.engine import Engine
from runner.engine.ticker import Ticker
from runner.errors import StoreError
from runner.store.opening import open_store
from runner.store.ports import ProcessInfo, Store
from runner.store.process_lock import ProcessLock
from runner.worker.identity import new_process_id

log = logging.getLogger("sagarun.engine")

END_S = 5.0  # for the batch in hand
LOOPS = 3


class EngineProcess:
    """`run` is its whole life: until SIGTERM or SIGINT. Raises StoreUnavailable when the server stays away."""

    def __init__(self, reach: Access) -> None:
        self.id = new_process_id()
        self._reach = reach
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        settings = self._reach.settings
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        opened = open_store(
            settings.redis_url, namespace=settings.project.namespace, state_dir=settings.project.state,
            durability=settings.project.durability,
        )
        store = opened.store
        # Another engine on this machine sees at once when this one is killed, and its runs need not wait for a lease.
        lock = ProcessLock(settings.project.state / "processes", self.id)
        store.register(
            ProcessInfo(
                self.id, "engine", socket.gethostname(), os.getpid(), started_at_ms=store.now_ms(),
                lock=str(lock.path),
            )
        )
        engine = Engine(store, process_id=self.id, retention_ms=settings.project.retention_ms)
        # Several, so that one interprets while the others wait for the server; they share what is cached.
        loops = [
            threading.Thread(target=self._interpret, args=(engine,), name=f"sagarun-engine-{number}", daemon=True)
            for number in range(LOOPS)
        ]
        threads = [*loops, Ticker(store, self.id, self._stop, schedules=True)]
        spare_the_collector()
        for thread in threads:
            thread.start()
        log.info("engine started", extra={"engine": self.id, "server": opened.label})
        while not self._stop.wait(0.5):
            pass
        for thread in threads:
            thread.join(END_S)
        if self._sign_off(store):
            lock.release()
        opened.close()
        if self._failure is not None:
            raise self._failure

    def _interpret(self, engine: Engine) -> None:
        try:
            engine.run(self._stop)
        except BaseException as error:
            self._failure = error
            self._stop.set()

    def _sign_off(self, store: Store) -> bool:
        try:
            store.retire(self.id)
        except StoreError as error:
            log.warning("the engine could not sign off: %s", error)
            return False
        return True
