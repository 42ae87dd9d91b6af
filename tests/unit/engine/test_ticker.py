"""The ticker: whatever is wrong with one tick, there is another one."""

from __future__ import annotations

import logging
import threading

import pytest

import runner.engine.ticker
from runner.engine.ticker import Ticker
from runner.errors import RecordTampered, StoreUnavailable
from runner.store.memory import MemoryStore
from runner.store.ports import Ticked
from tests.servers import until


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
    ticker.join(10)
    told = [record for record in caplog.records if record.message.startswith("no tick")]
    assert len(told) == 2
    assert all(record.levelno >= logging.WARNING for record in told)
