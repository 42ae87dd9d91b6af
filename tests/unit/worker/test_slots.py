"""Where a child runs its attempts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

import pytest

from runner.wire import Outcome, TaskMessage
from runner.worker.attempt import Attempt
from runner.worker.context import StopSignal
from runner.worker.registry import Registry
from runner.worker.slots import Loop, Running, Threads
from runner.worker.uptime import uptime_s

WAIT_S = 5


class Bench:
    """Runs functions and collects their outcomes."""

    def __init__(self) -> None:
        self.reports: Queue[tuple[int, Outcome]] = Queue()
        self.registry = Registry()
        self.threads = Threads(self._report)
        self.loop = Loop(self._report)
        self._number = 0

    def _report(self, running: Running, outcome: Outcome) -> None:
        self.reports.put((running.number, outcome))

    def attempt(self, function: Callable[..., Any]) -> Running:
        self._number += 1
        name = f"w.number{self._number}"
        self.registry.worker(name)(function)
        message = TaskMessage(name, "r", "f", "1", "s", "s", "action", 1, 1, 1000, "r/s", "r/s:action")
        stop = StopSignal()
        attempt = Attempt(self.registry, message, b"{}", deadline_s=uptime_s() + 1, stop=stop)
        return Running(self._number, stop, attempt)

    def next(self) -> Outcome:
        return self.reports.get(timeout=WAIT_S)[1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_function_runs_on_another_thread(bench: Bench):
    bench.threads.begin(bench.attempt(lambda: threading.get_ident()))
    assert int(bytes(bench.next().output)) != threading.get_ident()


def test_a_thread_is_used_again(bench: Bench):
    seen = set()
    for _ in range(5):
        bench.threads.begin(bench.attempt(lambda: threading.get_ident()))
        seen.add(bytes(bench.next().output))
    assert len(seen) == 1


def test_an_attempt_that_waits_does_not_hold_up_others(bench: Bench):
    gate = threading.Event()
    bench.threads.begin(bench.attempt(lambda: gate.wait(WAIT_S)))
    for number in range(10):
        bench.threads.begin(bench.attempt(lambda number=number: number))
    assert {bytes(bench.next().output) for _ in range(10)} == {str(number).encode() for number in range(10)}
    gate.set()
    assert bytes(bench.next().output) == b"true"


def test_what_was_stopped_before_it_began_has_no_effect(bench: Bench):
    running = bench.attempt(lambda: pytest.fail("it was run"))
    running.stop.reason = "cancelled"
    bench.threads.begin(running)
    outcome = bench.next()
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("failed", "no_effect")


def test_the_stack_of_a_running_function_can_be_seen(bench: Bench):
    begun, gate = threading.Event(), threading.Event()

    def waits_here() -> None:
        begun.set()
        gate.wait(WAIT_S)

    running = bench.attempt(waits_here)
    bench.threads.begin(running)
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
        bench.loop.begin(bench.attempt(where))
    found = {bytes(bench.next().output) for _ in range(5)}
    assert len(found) == 1
    assert int(found.pop()) != threading.get_ident()


def test_a_coroutine_that_is_cancelled_reports_why(bench: Bench):
    begun = threading.Event()

    async def sleeps() -> None:
        begun.set()
        await asyncio.sleep(60)

    running = bench.attempt(sleeps)
    bench.loop.begin(running)
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

    bench.loop.begin(bench.attempt(blocks_the_loop))
    begun.wait(WAIT_S)
    running = bench.attempt(never)
    bench.loop.begin(running)
    running.stop.reason = "cancelled"
    bench.loop.cancel(running)
    gate.set()
    assert bench.next().outcome == "completed"
    outcome = bench.next()
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("failed", "no_effect")
