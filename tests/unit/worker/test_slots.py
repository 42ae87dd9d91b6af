"""Where a child runs its attempts."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import Queue
from typing import Any

import pytest

from runner.wire import Outcome, TaskMessage
from runner.worker import slots
from runner.worker.attempt import Attempt
from runner.worker.context import StopSignal
from runner.worker.registry import Registry
from runner.worker.slots import Loop, Running, Threads
from runner.worker.uptime import uptime_s
from tests.servers import PATIENCE_S, until

WAIT_S = PATIENCE_S


class Bench:
    """Runs functions and collects their outcomes."""

    def __init__(self) -> None:
        self.reports: Queue[tuple[int, Outcome]] = Queue()
        self._reported: deque[tuple[int, Outcome]] = deque()
        self.registry = Registry()
        self.threads = Threads(self._report, self._flush)
        self.loop = Loop(self._report, self._flush)
        self._number = 0

    def _report(self, running: Running, outcome: Outcome) -> None:
        self._reported.append((running.number, outcome))

    def _flush(self) -> None:
        while self._reported:
            self.reports.put(self._reported.popleft())

    def attempt(self, function: Callable[..., Any], *, worker: str = "") -> Running:
        """worker: that of an earlier attempt, which has its own function."""
        self._number += 1
        name = worker or f"w.number{self._number}"
        if not worker:
            self.registry.worker(name)(function)
        message = TaskMessage(name, "r", "f", "1", "s", "s", "action", 1, 1, 1000, "r/s", "r/s:action")
        stop = StopSignal()
        attempt = Attempt(self.registry, message, b"{}", deadline_s=uptime_s() + 1, stop=stop)
        return Running(self._number, stop, attempt)

    def quick(self, function: Callable[..., Any], count: int) -> list[Running]:
        """Attempts of a worker that has proved quick."""
        first = self.attempt(function)
        worker = first.attempt.message.worker
        self.threads._pace[worker] = 0.0
        return [self.attempt(function, worker=worker) for _ in range(count)]

    def next(self) -> Outcome:
        return self.reports.get(timeout=WAIT_S)[1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_function_runs_on_another_thread(bench: Bench):
    bench.threads.begin([bench.attempt(lambda: threading.get_ident())])
    assert int(bytes(bench.next().output)) != threading.get_ident()


def test_a_thread_is_used_again(bench: Bench):
    seen = set()
    for _ in range(5):
        bench.threads.begin([bench.attempt(lambda: threading.get_ident())])
        seen.add(bytes(bench.next().output))
    assert len(seen) == 1


def test_an_attempt_that_waits_does_not_hold_up_others(bench: Bench):
    gate = threading.Event()
    bench.threads.begin([bench.attempt(lambda: gate.wait(WAIT_S))])
    for number in range(10):
        bench.threads.begin([bench.attempt(lambda number=number: number)])
    assert {bytes(bench.next().output) for _ in range(10)} == {str(number).encode() for number in range(10)}
    gate.set()
    assert bytes(bench.next().output) == b"true"


def test_a_function_that_proved_quick_shares_a_thread_and_tells_its_ends_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    told_before: list[int] = []

    def ends() -> int:
        told_before.append(bench.reports.qsize())
        return threading.get_ident()

    bench.threads.begin([bench.attempt(ends)])
    worker = "w.number1"
    bench.next()
    bench.threads._pace[worker] = 0.0  # however busy the machine was
    monkeypatch.setattr(slots, "TELL_S", 60.0)
    bench.threads.begin([bench.attempt(ends, worker=worker) for _ in range(5)])
    assert len({bytes(bench.next().output) for _ in range(5)}) == 1
    assert told_before == [0] * 6


def test_a_quick_function_is_found_out_by_its_pace(bench: Bench):
    def quick() -> None: ...

    bench.threads.begin([bench.attempt(quick), bench.attempt(lambda: threading.Event().wait(0.01))])
    bench.next()
    bench.next()
    assert bench.threads._pace["w.number2"] > slots.QUICK_MS

    def is_found_out() -> bool:
        bench.threads.begin([bench.attempt(quick, worker="w.number1")])
        bench.next()
        return bench.threads._pace["w.number1"] < slots.QUICK_MS

    until(is_found_out, "on average it is quick, though the machine may have been slow for a moment")


def test_what_waits_behind_a_quick_function_that_is_slow_for_once_moves_on(bench: Bench):
    begun, gate = threading.Event(), threading.Event()
    numbers = iter(range(10))

    def slow_for_once() -> int:
        number = next(numbers)
        if number == 1:
            begun.set()
            gate.wait(WAIT_S)
        return number

    bench.threads.begin(bench.quick(slow_for_once, 4))
    begun.wait(WAIT_S)
    assert bench.threads.has_lane
    bench.threads.look()
    bench.threads.look()
    assert {bytes(bench.next().output) for _ in range(3)} == {b"0", b"2", b"3"}
    gate.set()
    assert bytes(bench.next().output) == b"1"
    assert not bench.threads.has_lane


def test_a_lane_that_goes_on_is_left_alone(bench: Bench):
    gates, begun = [threading.Event(), threading.Event()], threading.Semaphore(0)
    waiting = iter(gates)

    def waits() -> int:
        begun.release()
        next(waiting).wait(WAIT_S)
        return threading.get_ident()

    bench.threads.begin(bench.quick(waits, 2))
    begun.acquire()
    bench.threads.look()
    gates[0].set()
    begun.acquire()
    bench.threads.look()
    gates[1].set()
    assert bench.next().output == bench.next().output


def test_what_arrives_while_a_lane_is_open_joins_it(bench: Bench):
    begun, gate = threading.Event(), threading.Event()

    def waits() -> int:
        begun.set()
        gate.wait(WAIT_S)
        return threading.get_ident()

    attempts = bench.quick(waits, 2)
    bench.threads.begin(attempts[:1])
    begun.wait(WAIT_S)
    bench.threads.begin(attempts[1:])
    gate.set()
    assert bench.next().output == bench.next().output


def test_what_was_stopped_before_it_began_has_no_effect(bench: Bench):
    running = bench.attempt(lambda: pytest.fail("it was run"))
    running.stop.reason = "cancelled"
    bench.threads.begin([running])
    outcome = bench.next()
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("failed", "no_effect")


def test_the_stack_of_a_running_function_can_be_seen(bench: Bench):
    begun, gate = threading.Event(), threading.Event()

    def waits_here() -> None:
        begun.set()
        gate.wait(WAIT_S)

    running = bench.attempt(waits_here)
    bench.threads.begin([running])
    begun.wait(WAIT_S)
    assert "waits_here" in running.stack()
    gate.set()
    bench.next()
    assert running.stack() == ""


def test_coroutines_share_one_thread(bench: Bench):
    async def where() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    for _ in range(5):
        bench.loop.begin([bench.attempt(where)])
    found = {bytes(bench.next().output) for _ in range(5)}
    assert len(found) == 1
    assert int(found.pop()) != threading.get_ident()


def test_a_coroutine_that_is_cancelled_reports_why(bench: Bench):
    begun = threading.Event()

    async def sleeps() -> None:
        begun.set()
        await asyncio.sleep(60)

    running = bench.attempt(sleeps)
    bench.loop.begin([running])
    begun.wait(WAIT_S)
    running.stop.reason = "timeout"
    bench.loop.cancel(running)
    outcome = bench.next()
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("unknown", "timeout")


def test_a_coroutine_that_is_cancelled_before_its_first_step_has_no_effect(bench: Bench):
    begun, gate = threading.Event(), threading.Event()

    async def blocks_the_loop() -> None:
        begun.set()
        gate.wait(WAIT_S)

    async def never() -> None:
        pytest.fail("it was run")

    bench.loop.begin([bench.attempt(blocks_the_loop)])
    begun.wait(WAIT_S)
    running = bench.attempt(never)
    bench.loop.begin([running])
    running.stop.reason = "cancelled"
    bench.loop.cancel(running)
    gate.set()
    assert bench.next().outcome == "completed"
    outcome = bench.next()
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("failed", "no_effect")


def test_attempts_that_are_handed_out_as_soon_as_one_has_ended_need_no_further_thread():
    """Threads are kept: one too many now and then would be a hundred in the end."""
    ran: Queue[int] = Queue()
    bench = Bench()
    ahead = [bench.attempt(lambda: None) for _ in range(20)]

    def told(running: Running, _outcome: Outcome) -> None:
        if ahead:
            threads.begin([ahead.pop()])
        ran.put(running.number)

    threads = Threads(told, lambda: None)
    threads.begin([ahead.pop()])
    for _ in range(20):
        ran.get(timeout=WAIT_S)
    assert threads._threads == 1
