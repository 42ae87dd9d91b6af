"""The ticker: whatever is wrong with one tick, there is another one."""

from __future__ import annotations

import logging
import os
import socket
import threading
from pathlib import Path

import pytest

import runner.engine.ticker
from runner.engine.ticker import Ticker, reap_dead_processes
from runner.errors import RecordTampered, StoreUnavailable
from runner.store.memory.store import MemoryStore
from runner.store.ports import ProcessInfo, Ticked
from runner.store.process_lock import ProcessLock
from tests.servers import PATIENCE_S, until


class Broken(MemoryStore):
    """Ticks fail with these errors in turn, then work."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(namespace="n")
        self.errors = list(errors)
        self.ticks = 0

    def tick(self) -> Ticked:
        self.ticks += 1
        if self.errors:
            raise self.errors.pop(0)
        return super().tick()


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RecordTampered("clock is a string"), ZeroDivisionError()])
def test_a_tick_that_failed_is_said_and_followed_by_another(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """A key that was tampered with and is mended, rights that were taken and given back: no timer waits for ever."""
    monkeypatch.setattr(runner.engine.ticker, "BROKEN_S", 0.01)
    store, stop = Broken(error, error), threading.Event()
    ticker = Ticker(store, "engine", stop)
    ticker.start()
    until(lambda: store.ticks > 3, "it goes on")
    stop.set()
    ticker.join(PATIENCE_S)
    told = [record for record in caplog.records if record.message.startswith("no tick")]
    assert len(told) == 2
    assert all(record.levelno >= logging.WARNING for record in told)


def test_the_lock_file_of_a_dead_process_goes_with_its_record(tmp_path: Path):
    """Of an engine and its workers, which share one, when both are reaped."""
    store = MemoryStore(namespace="n")
    lock = ProcessLock(tmp_path, "killed")
    with ProcessLock(tmp_path, "living") as living:
        for name, held in (("killed", lock), ("killed:engine", lock), ("living", living)):
            store.register(ProcessInfo(name, "worker", socket.gethostname(), os.getpid(), lock=str(held.path)))
        os.close(lock.fileno())  # as the kernel does
        reap_dead_processes(store)
        assert [process.id for process in store.processes()] == ["living"]
        assert list(tmp_path.iterdir()) == [living.path]
