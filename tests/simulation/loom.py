"""Virtual time, and threads of which exactly one runs: who is next depends on nothing but the seed.

Production code waits in many places; here every wait is a pause of a `Fiber`, and the one with the earliest time goes
on. A fiber is a real thread that has the baton or waits for it, because production code cannot be cut into coroutines.
Rule: nothing in here, or called from here, may read a real clock or a random number that is not `draw`.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from typing import Any
from zlib import crc32

Task = Callable[[], None]
BEGAN_MS = 10_000  # since some other machine was switched on


class Killed(BaseException):
    """The process of this fiber is gone. No production code catches it."""


class Process:
    """What is killed and paused together; `frozen_until_ms`: nothing of it runs before."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fibers: list[Fiber] = []
        self.is_dead = False
        self.frozen_until_ms = 0

    def __repr__(self) -> str:
        return self.name


class Fiber:
    """One thread of a process."""

    __slots__ = ("baton", "body", "is_over", "name", "process", "stamp", "was_notified")

    def __init__(self, process: Process, name: str, body: Task) -> None:
        self.process = process
        self.name = name
        self.body = body
        self.baton = threading.Lock()
        self.baton.acquire()
        self.stamp = 0  # of the pause it is in: an older wake-up means nothing
        self.is_over = False
        self.was_notified = False


class Loom:
    """The scheduler. `run` returns when `stop` was called or something broke; then no fiber is left."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_ms = BEGAN_MS
        self.failure: BaseException | None = None
        self.steps = 0
        self._heap: list[tuple[int, int, int, Fiber | Task, int]] = []
        self._count = 0
        self._current: Fiber | None = None
        self._main = threading.Lock()
        self._main.acquire()
        self._is_stopping = False
        self._fibers: list[Fiber] = []

    def draw(self, *key: Any) -> float:
        """A number from 0 to 1 that depends on the seed and the key alone, however many others were drawn."""
        return _mixed(crc32(repr((self.seed, *key)).encode())) / 0x1_0000_0000

    # -- fibers -------------------------------------------------------------------------------------
    def spawn(self, process: Process, name: str, body: Task, *, delay_ms: int = 0) -> Fiber:
        fiber = Fiber(process, name, body)
        process.fibers.append(fiber)
        self._fibers.append(fiber)
        POOL.begin(lambda: self._life(fiber))
        self._push(self.now_ms + delay_ms, fiber, fiber.stamp)
        return fiber

    def call_at(self, at_ms: int, task: Task) -> None:
        """Run a short task, which must not pause, at a time."""
        self._push(at_ms, task, 0)

    def sleep(self, ms: int) -> None:
        """The fiber that calls this pauses."""
        fiber = self._me()
        self._push(self.now_ms + ms, fiber, fiber.stamp)
        self._switch(fiber)

    def pause(self, timeout_ms: int | None) -> bool:
        """Until somebody notifies this fiber; False: the time was over first."""
        fiber = self._me()
        fiber.was_notified = False
        if timeout_ms is not None:
            self._push(self.now_ms + timeout_ms, fiber, fiber.stamp)
        self._switch(fiber)
        return fiber.was_notified

    def notify(self, fiber: Fiber) -> None:
        """End its pause, now."""
        if not fiber.is_over:
            fiber.was_notified = True
            self._push(self.now_ms, fiber, fiber.stamp)

    def kill(self, process: Process) -> None:
        """All its fibers end where they stand; the one that calls this too, when it next pauses."""
        process.is_dead = True
        for fiber in process.fibers:
            if not fiber.is_over:
                self._push(self.now_ms, fiber, fiber.stamp)

    @property
    def current(self) -> Fiber:
        return self._me()

    def _me(self) -> Fiber:
        assert self._current is not None, "only a fiber can pause"
        return self._current

    # -- the baton ----------------------------------------------------------------------------------
    def run(self) -> None:
        self._hand_on()
        self._main.acquire()
        for fiber in self._fibers:
            while not fiber.is_over:  # it ends where it stands
                fiber.process.is_dead = True
                self._current = fiber
                fiber.baton.release()
                self._main.acquire()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        self._is_stopping = True

    def _life(self, fiber: Fiber) -> None:
        fiber.baton.acquire()
        fiber.stamp += 1
        try:
            if not fiber.process.is_dead:
                fiber.body()
        except Killed:
            pass
        except BaseException as error:
            self.failure = self.failure or error
            self._is_stopping = True
        fiber.is_over = True
        self._hand_on()

    def _switch(self, fiber: Fiber) -> None:
        if not self._is_stopping:
            nxt = self._next()
            if nxt is not fiber:
                self._pass_to(nxt)
                fiber.baton.acquire()
        else:
            self._pass_to(None)
            fiber.baton.acquire()
        fiber.stamp += 1
        if fiber.process.is_dead:
            raise Killed

    def _hand_on(self) -> None:
        self._pass_to(None if self._is_stopping else self._next())

    def _pass_to(self, fiber: Fiber | None) -> None:
        self._current = fiber
        (self._main if fiber is None else fiber.baton).release()

    def _next(self) -> Fiber | None:
        """Whose turn it is. Short tasks that are due before are done here. None: there is nobody, or it is over."""
        heap = self._heap
        while heap and not self._is_stopping:
            at_ms, _, _, what, stamp = heapq.heappop(heap)
            if isinstance(what, Fiber):
                if what.is_over or what.stamp != stamp:
                    continue
                frozen = what.process.frozen_until_ms
                if at_ms < frozen and not what.process.is_dead:
                    self._push(frozen, what, stamp)
                    continue
                self.now_ms = max(self.now_ms, at_ms)
                self.steps += 1
                self._current = what
                return what
            self.now_ms = max(self.now_ms, at_ms)
            try:
                what()
            except BaseException as error:
                self.failure = self.failure or error
                self._is_stopping = True
        return None

    def _push(self, at_ms: int, what: Fiber | Task, stamp: int) -> None:
        self._count += 1
        tie = _mixed(self._count * 2_654_435_761 ^ self.seed)
        heapq.heappush(self._heap, (at_ms, tie, self._count, what, stamp))


def _mixed(number: int) -> int:
    """A 32-bit number in which every bit depends on every bit of this one."""
    number &= 0xFFFF_FFFF
    number = ((number >> 16) ^ number) * 0x45D9F3B & 0xFFFF_FFFF
    number = ((number >> 16) ^ number) * 0x45D9F3B & 0xFFFF_FFFF
    return (number >> 16) ^ number


class _Pool:
    """Threads that are kept from one simulation to the next, for to start one costs more than most of what it does."""

    def __init__(self) -> None:
        self._idle: list[_PooledThread] = []

    def begin(self, body: Task) -> None:
        thread = self._idle.pop() if self._idle else _PooledThread(self)
        thread.begin(body)

    def rest(self, thread: _PooledThread) -> None:
        self._idle.append(thread)


class _PooledThread:
    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._body: Task | None = None
        self._go = threading.Lock()
        self._go.acquire()
        threading.Thread(target=self._serve, name="fiber", daemon=True).start()

    def begin(self, body: Task) -> None:
        self._body = body
        self._go.release()

    def _serve(self) -> None:
        while True:
            self._go.acquire()
            assert self._body is not None
            self._body()
            self._pool.rest(self)


POOL = _Pool()


class VirtualEvent:
    """threading.Event in virtual time."""

    def __init__(self, loom: Loom) -> None:
        self._loom = loom
        self._is_set = False
        self._waiting: list[Fiber] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for fiber in self._waiting:
            self._loom.notify(fiber)
        self._waiting.clear()

    def wait(self, timeout: float | None = None) -> bool:
        if self._is_set:
            return True
        me = self._loom.current
        self._waiting.append(me)
        self._loom.pause(None if timeout is None else _ms(timeout))
        if me in self._waiting:
            self._waiting.remove(me)
        return self._is_set


class VirtualLock:
    """There is nothing to lock: nobody is interrupted but where it pauses, and nobody pauses with a lock."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class VirtualCondition(VirtualLock):
    """threading.Condition in virtual time."""

    def __init__(self, loom: Loom) -> None:
        self._loom = loom
        self._waiting: list[Fiber] = []

    def wait(self, timeout: float | None = None) -> bool:
        me = self._loom.current
        self._waiting.append(me)
        was_notified = self._loom.pause(None if timeout is None else _ms(timeout))
        if me in self._waiting:
            self._waiting.remove(me)
        return was_notified

    def wait_for(self, fact: Callable[[], Any], timeout: float | None = None) -> Any:
        until_ms = None if timeout is None else self._loom.now_ms + _ms(timeout)
        while not (found := fact()):
            if until_ms is not None and self._loom.now_ms >= until_ms:
                break
            self.wait(None if until_ms is None else (until_ms - self._loom.now_ms) / 1000)
        return found

    def notify(self, n: int = 1) -> None:
        for fiber in self._waiting[:n]:
            self._loom.notify(fiber)
        del self._waiting[:n]

    def notify_all(self) -> None:
        self.notify(len(self._waiting))


def _ms(seconds: float) -> int:
    return max(0, -int(-seconds * 1000 // 1))
