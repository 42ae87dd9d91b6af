"""What has to happen though nobody asks: timers, expired leases, dead processes, this engine's own heartbeat."""

from __future__ import annotations

import logging
import socket
import threading
import time

from runner.engine.scheduler import Scheduler
from runner.errors import StoreUnavailable
from runner.store.ports import Store
from runner.store.process_lock import forget_dead, is_dead
from runner.store.vitals import VitalsReader

log = logging.getLogger("sagarun.engine")

SHORTEST_S, LONGEST_S = 0.01, 0.2  # between ticks; a new timer may be shorter than what was known
BROKEN_S = 1.0
BEAT_S = 2.0
LEASE_MS = 15_000


class Ticker(threading.Thread):
    """Ticks a store until `stop` is set; any number may, they do not disturb each other.

    schedules: also start what they are due for; only where the process is there to stay.
    """

    def __init__(self, store: Store, process_id: str, stop: threading.Event, *, schedules: bool = False) -> None:
        super().__init__(name="sagarun-ticker", daemon=True)
        self._store = store
        self._process_id = process_id
        self._stop_event = stop
        self._beat_at = 0.0
        self._scheduler = Scheduler(store) if schedules else None
        self._vitals = VitalsReader()

    def run(self) -> None:
        while not self._stop_event.is_set():
            try:
                ticked = self._store.tick()
                self._look_at_schedules(ticked.now_ms)
                if time.monotonic() >= self._beat_at:
                    self._beat_at = time.monotonic() + BEAT_S
                    self._store.beat(self._process_id, (), lease_ms=LEASE_MS, vitals=self._vitals.read())
                    reap_dead_processes(self._store)
                pause_s = min(LONGEST_S, max(SHORTEST_S, ticked.next_due_ms / 1000))
            except StoreUnavailable as error:
                log.warning("no tick: %s", error)
                pause_s = LONGEST_S
            except Exception:  # timers and leases of every run hang on this thread: whatever is wrong may be mended
                log.exception("no tick, tried again every %g s", BROKEN_S)
                pause_s = BROKEN_S
            self._stop_event.wait(pause_s)

    def _look_at_schedules(self, now_ms: int) -> None:
        if self._scheduler is None:
            return
        try:
            self._scheduler.look(now_ms)
        except StoreUnavailable:
            raise
        except Exception:  # timers and leases must not wait for whatever is wrong with a schedule
            log.exception("the schedules could not be looked at")


def reap_dead_processes(store: Store) -> int:
    """Processes of this machine whose lock is free are dead: what they held is free at once, without a lease."""
    host = socket.gethostname()
    dead = [p for p in store.processes() if p.host == host and p.lock and is_dead(p.lock)]
    reaped = sum(store.reap(process.id) for process in dead)
    for lock in {process.lock for process in dead}:  # after all of them: an engine and its workers may share one
        forget_dead(lock)
    return reaped
