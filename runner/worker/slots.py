"""Where a child runs its attempts: functions on threads, coroutines on one loop of their own.

A thread is started only when no thread is idle, so that a slow attempt never holds up another; how many there can be is
bounded by the supervisor, which never hands out more attempts than the child has slots. Threads are kept.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue

from runner.wire import Outcome
from runner.worker.attempt import Attempt, never_began
from runner.worker.context import StopSignal
from runner.worker.payload import MAX_TRACEBACK_BYTES, clip


class Running:
    """An attempt from its arrival in the child to its report."""

    __slots__ = ("attempt", "number", "stop", "task", "thread_id")

    def __init__(self, number: int, stop: StopSignal, attempt: Attempt) -> None:
        self.number = number
        self.stop = stop
        self.attempt = attempt
        self.thread_id = 0
        self.task: asyncio.Task[None] | None = None

    def stack(self) -> str:
        """Where the function is now; "" when that cannot be told."""
        found = sys._current_frames().get(self.thread_id) if self.thread_id else None
        if found is None:
            return ""
        return clip("".join(traceback.format_stack(found)), MAX_TRACEBACK_BYTES, keep_end=True)


Report = Callable[[Running, Outcome], None]


class Threads:
    """Runs functions. `report` is called in the thread that ran one."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._queue: SimpleQueue[Running] = SimpleQueue()
        self._lock = threading.Lock()
        self._open = 0  # attempts that were begun and have not been reported
        self._threads = 0

    def begin(self, running: Running) -> None:
        with self._lock:
            self._open += 1
            needs_thread = self._open > self._threads
            if needs_thread:
                self._threads += 1
        if needs_thread:
            threading.Thread(target=self._serve, name=f"slot-{self._threads}", daemon=True).start()
        self._queue.put(running)

    def _serve(self) -> None:
        get, report = self._queue.get, self._report
        own_id = threading.get_ident()
        while True:
            running = get()
            running.thread_id = own_id
            outcome = never_began(running.attempt.message) if running.stop.reason else running.attempt.run()
            running.thread_id = 0
            with self._lock:
                self._open -= 1
            report(running, outcome)


class Loop:
    """Runs coroutines. Its thread starts with the first one."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, running: Running) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()
        self._loop.call_soon_threadsafe(self._start, running)

    def cancel(self, running: Running) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, running)

    def _start(self, running: Running) -> None:
        assert self._loop is not None
        running.task = self._loop.create_task(self._serve(running))
        running.task.add_done_callback(lambda task: self._ended(running, task))

    def _ended(self, running: Running, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # before its first step, for run_async lets no cancellation out
            self._report(running, never_began(running.attempt.message))

    def _cancel(self, running: Running) -> None:
        if running.task is not None:
            running.task.cancel()

    async def _serve(self, running: Running) -> None:
        self._report(running, await running.attempt.run_async())
