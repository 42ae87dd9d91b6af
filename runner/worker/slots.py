"""Where a child runs its attempts: functions on threads, coroutines on one loop. None has to wait for a slow one.

To wake a thread for each task costs more than a quick function does, so functions that have proved quick share a lane:
one thread runs them in turn and tells their ends together (should one of them crash the process, those of the last
millisecond are lost with it). A lane that stands still gives up what waits in it to another thread, see `look`, so a
slow attempt holds up others for a few milliseconds at most. Everything else gets a thread at once. How many there can
be is bounded by the supervisor, which never hands out more attempts than the child has slots. Threads are kept.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from queue import SimpleQueue

from runner.wire import Outcome
from runner.worker.attempt import Attempt, never_began
from runner.worker.context import StopSignal
from runner.worker.payload import MAX_TRACEBACK_BYTES, clip

LOOK_S = 0.002  # between two looks at the lane
TELL_S = 0.001  # so long an end may wait for others that will be told with it
QUICK_MS = 0.3  # on average: a thread of its own costs a tenth of that
SLOWEST_MS = 5.0  # counts as no more, or one bad moment of the machine would be remembered for long
WEIGHT = 0.2  # of the last attempt in the average


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
Flush = Callable[[], None]


class _Lane:
    """Attempts that one thread runs in turn."""

    __slots__ = ("begun", "seen", "waiting")

    def __init__(self, waiting: Iterable[Running]) -> None:
        self.waiting = deque(waiting)
        self.begun = 0
        self.seen = -1  # `begun` at the last look


class Threads:
    """Runs functions. `report` is called in the thread that ran one, `flush` when what was reported is to be told."""

    def __init__(self, report: Report, flush: Flush) -> None:
        self._report = report
        self._flush = flush
        self._queue: SimpleQueue[_Lane] = SimpleQueue()
        self._lock = threading.Lock()
        self._lane: _Lane | None = None  # the one that quick attempts are added to
        self._pace: dict[str, float] = {}  # ms, by worker: what its attempts take on average
        self._open = 0  # lanes that were begun and have not ended
        self._threads = 0

    @property
    def has_lane(self) -> bool:
        """Somebody has to `look`, every now and then."""
        return self._lane is not None

    def begin(self, attempts: Sequence[Running]) -> None:
        quick = []
        for each in attempts:
            if self._pace.get(each.attempt.message.worker, SLOWEST_MS) < QUICK_MS:
                quick.append(each)
            else:
                self._open_lane(_Lane((each,)))
        if quick:
            with self._lock:
                if self._lane is not None:
                    self._lane.waiting += quick
                    return
                lane = self._lane = _Lane(quick)
            self._open_lane(lane)

    def look(self) -> None:
        """Called from time to time while there is a lane: when nothing began in it since, it gives up what waits."""
        with self._lock:
            lane = self._lane
            if lane is None:
                return
            if lane.begun != lane.seen:
                lane.seen = lane.begun
                return
            rest = _Lane(lane.waiting)
            lane.waiting.clear()
            self._lane = rest if rest.waiting else None
        if rest.waiting:
            self._open_lane(rest)
        self._flush()  # what ended before the slow one

    def _open_lane(self, lane: _Lane) -> None:
        with self._lock:
            self._open += 1
            needs_thread = self._open > self._threads
            if needs_thread:
                self._threads += 1
        if needs_thread:
            threading.Thread(target=self._serve, name=f"slot-{self._threads}", daemon=True).start()
        self._queue.put(lane)

    def _serve(self) -> None:
        own_id = threading.get_ident()
        while True:
            lane = self._queue.get()
            tell_at_s = time.monotonic() + TELL_S
            running = self._next(lane)
            while running is not None:
                running.thread_id = own_id
                outcome = self._run(running)
                running.thread_id = 0
                # First, for who hears of this end may hand out another attempt at once: it needs no further thread.
                following = self._next(lane)
                self._report(running, outcome)
                if following is not None and (now_s := time.monotonic()) >= tell_at_s:
                    self._flush()
                    tell_at_s = now_s + TELL_S
                running = following
            self._flush()

    def _run(self, running: Running) -> Outcome:
        message = running.attempt.message
        if running.stop.reason:
            return never_began(message)
        outcome = running.attempt.run()
        before_ms = self._pace.get(message.worker, outcome.duration_ms)
        self._pace[message.worker] = before_ms + WEIGHT * (min(outcome.duration_ms, SLOWEST_MS) - before_ms)
        return outcome

    def _next(self, lane: _Lane) -> Running | None:
        """What is to be run now; None: nothing, and nothing will be added to this lane any more."""
        with self._lock:
            if lane.waiting:
                lane.begun += 1
                return lane.waiting.popleft()
            if self._lane is lane:
                self._lane = None
            self._open -= 1
            return None


class Loop:
    """Runs coroutines. Its thread starts with the first one."""

    def __init__(self, report: Report, flush: Flush) -> None:
        self._report = report
        self._flush = flush
        self._will_flush = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, attempts: Sequence[Running]) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="loop", daemon=True).start()
        self._loop.call_soon_threadsafe(self._start, attempts)

    def cancel(self, running: Running) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, running)

    def _start(self, attempts: Sequence[Running]) -> None:
        assert self._loop is not None
        for running in attempts:
            running.task = self._loop.create_task(self._serve(running))
            running.task.add_done_callback(partial(self._ended, running))

    def _ended(self, running: Running, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # before its first step, for run_async lets no cancellation out
            self._tell(running, never_began(running.attempt.message))

    def _cancel(self, running: Running) -> None:
        if running.task is not None:
            running.task.cancel()

    async def _serve(self, running: Running) -> None:
        self._tell(running, await running.attempt.run_async())

    def _tell(self, running: Running, outcome: Outcome) -> None:
        """Together with everything else that ends in this turn of the loop."""
        self._report(running, outcome)
        if not self._will_flush:
            self._will_flush = True
            assert self._loop is not None
            self._loop.call_soon(self._tell_all)

    def _tell_all(self) -> None:
        self._will_flush = False
        self._flush()
