"""An engine and its ticker as a process of their own, on a server of one's own."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable

from runner.cli.access import Access
from runner.cli.hosting.alerting import alert_watch
from runner.cli.hosting.collector import spare_the_collector
from runner.cli.hosting.keeping import ARCHIVE_END_S, retention_of, start_archive
from runner.cli.hosting.tracing import trace_export
from runner.cli.opened import open_now
from runner.engine.engine import Engine
from runner.engine.ticker import Ticker
from runner.errors import StoreError, StoreUnavailable
from runner.monitor.logs import name_process
from runner.store.connection import PATIENCE_S
from runner.store.ports import ProcessInfo
from runner.store.process_lock import ProcessLock, forget_unknown
from runner.worker.identity import new_process_id

log = logging.getLogger("sagarun.engine")

END_S = 5.0  # for the batch in hand, at the end; service managers kill after 10 s
LOOPS = 4


class EngineProcess:
    """`run` is its whole life: until SIGTERM or SIGINT. Raises StoreUnavailable when the server stays away."""

    def __init__(self, reach: Access, wait_s: float = 0.0) -> None:
        """wait_s: for a server that goes away while this starts."""
        self.id = new_process_id()
        self._reach = reach
        self._wait_s = wait_s
        self._stop = threading.Event()
        self._failure: BaseException | None = None

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def run(self) -> None:
        settings = self._reach.settings
        opened = open_now(settings, wait_s=self._wait_s, patience_s=PATIENCE_S)
        store = opened.store
        # Another engine on this machine sees at once when this one is killed, and its runs need not wait for a lease.
        lock = ProcessLock(settings.project.state / "processes", self.id)
        forget_unknown(lock.path.parent, (process.lock for process in store.processes()))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        store.register(
            ProcessInfo(
                self.id, "engine", socket.gethostname(), os.getpid(), started_at_ms=store.now_ms(),
                lock=str(lock.path),
            )
        )
        traces = trace_export(settings.project, store)
        engine = Engine(
            store, process_id=self.id, retention_of=retention_of(settings.project),
            figures=settings.project.monitor.figures, on_end=None if traces is None else traces.add,
        )
        # Several, so that one interprets while the others wait for the server; they share what is cached.
        loops = [
            threading.Thread(target=self._interpret, args=(engine, loop), name=f"sagarun-engine-{loop}", daemon=True)
            for loop in range(LOOPS)
        ]
        archive = start_archive(settings.project, store, stays=True)
        threads = [*loops, Ticker(store, self.id, self._stop, schedules=True)]
        spare_the_collector()
        # Who tells of alerts may wait for a receiver: nobody waits for him at the end.
        for thread in (*threads, *alert_watch(settings.project, self._reach.client.store, self._stop)):
            thread.start()
        name_process(self.id)
        log.info("engine started", extra={"engine": self.id, "server": opened.label})
        while not self._stop.wait(0.5):
            pass
        self._end(threads, lock)
        if archive is not None:
            archive.finish(ARCHIVE_END_S)
        if traces is not None:
            traces.close()
        opened.close()
        if self._failure is not None:
            raise self._failure

    def _end(self, threads: Iterable[threading.Thread], lock: ProcessLock) -> None:
        """In a few seconds, also when the server is away: then what was taken is handed out after its lease."""
        by_s = time.monotonic() + END_S
        for thread in threads:
            thread.join(max(0.0, by_s - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            log.warning("the server does not answer: what this engine had taken is left to its lease")
        elif self._sign_off():
            lock.release()

    def _interpret(self, engine: Engine, loop: int) -> None:
        try:
            engine.run(self._stop, loop)
        except BaseException as error:
            if isinstance(error, StoreUnavailable) and self._stop.is_set():
                return  # the server is away, but that is not why this process ends
            self._failure = error
            self._stop.set()

    def _sign_off(self) -> bool:
        """Over the command's own connection, which is less patient than the engine's."""
        try:
            self._reach.client.store.retire(self.id)
        except StoreError as error:
            log.warning("the engine could not sign off: %s", error)
            return False
        return True
