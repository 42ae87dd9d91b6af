"""The child's side of the pipe, run on a thread: what it is told, and what it says."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import msgspec
import pytest
from msgspec.structs import replace

from runner.errors import ConfigError
from runner.wire import Outcome, TaskMessage
from runner.worker import child as child_module
from runner.worker.child import Child
from runner.worker.context import Context
from runner.worker.frames import (
    Alive,
    Broken,
    Done,
    FrameReader,
    FromChild,
    Logged,
    Ready,
    Setup,
    Stop,
    TaskFrame,
    Work,
    frame,
)
from runner.worker.registry import Registry
from runner.worker.uptime import uptime_s
from tests.servers import PATIENCE_S, until


class Mortal(Child):
    """Stands still where the real one ends its process."""

    def __init__(self, pipe: socket.socket) -> None:
        super().__init__(pipe)
        self.exits = 0

    def _exit_now(self) -> NoReturn:
        self.exits += 1
        while True:
            threading.Event().wait()


class Bench:
    """A child on a thread, and the supervisor's end of its pipe."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.registry = Registry()
        monkeypatch.setattr(child_module, "load_modules", self._load)
        self.pipe, theirs = socket.socketpair()
        self.pipe.settimeout(PATIENCE_S)
        self._theirs = theirs
        self._reader = FrameReader(FromChild)
        self._heard: list[FromChild] = []
        self._number = 0
        self.child = Mortal(theirs)
        self._thread = threading.Thread(target=self.child.run, daemon=True)
        self._thread.start()

    def _load(self, modules: list[str]) -> Registry:
        if modules == ["broken"]:
            raise ZeroDivisionError("at import")
        if modules == ["odd"]:
            raise ConfigError("no worker in odd")
        return self.registry

    def say(self, *messages: Any) -> None:
        self.pipe.sendall(b"".join(frame(message) for message in messages))

    def hear(self) -> FromChild:
        while not self._heard:
            self._heard += self._reader.feed(self.pipe.recv(1 << 16))
        return self._heard.pop(0)

    def serve(self, function: Callable[..., Any]) -> None:
        self.registry.worker("w.work")(function)
        self.say(Setup(["m"], 4))
        assert isinstance(self.hear(), Ready)

    def task(self, payload: bytes = b"{}") -> TaskFrame:
        self._number += 1
        message = TaskMessage("w.work", "r", "f", "1", "s", "s", "action", 1, 1, 1000, "r/s", "r/s:action")
        return TaskFrame(self._number, msgspec.json.encode(message), payload, uptime_s() + 9, 5, "q", 1, 2)

    def outcomes(self, count: int) -> dict[int, Outcome]:
        found: dict[int, Outcome] = {}
        while len(found) < count:
            message = self.hear()
            if isinstance(message, Logged):  # of an attempt that goes on for longer than a moment
                continue
            assert isinstance(message, Done)
            for number, data, output in message.outcomes:
                outcome = msgspec.json.decode(data, type=Outcome)
                found[number] = replace(outcome, output=msgspec.Raw(output)) if output else outcome
        return found

    def end(self) -> int:
        """Close the pipe; how often the process would have exited without waiting for anything."""
        self.pipe.close()
        until(lambda: self.child.exits or not self._thread.is_alive(), "the child has ended")
        self._theirs.close()
        return self.child.exits


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(monkeypatch)
    yield made
    made.end()


def test_contracts_are_the_first_thing_it_says(bench: Bench):
    bench.registry.worker("w.work")(lambda: None)
    bench.say(Setup(["m"], 4))
    message = bench.hear()
    assert isinstance(message, Ready)
    assert msgspec.json.decode(message.contracts["w.work"])["queue"] == "w.work"


def test_a_module_that_raises_is_shown_with_its_traceback(bench: Bench):
    bench.say(Setup(["broken"], 4))
    message = bench.hear()
    assert isinstance(message, Broken)
    assert not message.is_config
    assert message.text.endswith("ZeroDivisionError: at import\n")
    assert bench.end() == 1


def test_a_project_that_is_wrong_is_told_in_its_own_words(bench: Bench):
    bench.say(Setup(["odd"], 4))
    assert bench.hear() == Broken("no worker in odd", True)


def test_tasks_of_one_batch_are_all_answered(bench: Bench):
    bench.serve(lambda number: number)
    bench.say(Work([bench.task(b'{"number":%d}' % number) for number in range(20)]))
    assert [bytes(outcome.output) for _, outcome in sorted(bench.outcomes(20).items())] == [
        b"%d" % number for number in range(20)
    ]


def test_what_an_attempt_logs_is_told_with_its_outcome_and_nothing_of_others(bench: Bench):
    def work(text: str) -> None:
        logging.getLogger("shop").warning("it says %s", text)

    bench.serve(work)
    bench.say(Work([bench.task(b'{"text":"%d"}' % number) for number in (1, 2)]))
    logs = [outcome.log for _, outcome in sorted(bench.outcomes(2).items())]
    assert [log.partition("Z ")[2] for log in logs] == [f"WARNING shop: it says {number}" for number in (1, 2)]


def test_what_a_coroutine_and_the_thread_it_waits_for_log_is_theirs(bench: Bench):
    async def work() -> None:
        await asyncio.gather(*(asyncio.to_thread(logging.getLogger("shop").warning, text) for text in "ab"))

    bench.serve(work)
    bench.say(Work([bench.task()]))
    (outcome,) = bench.outcomes(1).values()
    said = sorted(line.partition("Z ")[2] for line in outcome.log.splitlines())
    assert said == ["WARNING shop: a", "WARNING shop: b"]


def test_lines_of_an_attempt_that_goes_on_are_told_meanwhile(bench: Bench):
    go_on = threading.Event()

    def work() -> None:
        logging.getLogger("shop").warning("begun")
        go_on.wait(PATIENCE_S)

    bench.serve(work)
    bench.say(Work([bench.task()]))
    message = bench.hear()
    assert isinstance(message, Logged)
    assert message.text.endswith("begun")
    go_on.set()
    bench.outcomes(1)


def test_the_context_knows_fence_and_delivery(bench: Bench):
    def work(ctx: Context) -> list[Any]:
        return [ctx.fence, dict(ctx.metadata)]

    bench.serve(work)
    bench.say(Work([bench.task()]))
    (outcome,) = bench.outcomes(1).values()
    assert msgspec.json.decode(outcome.output) == [5, {"queue": "q", "queued_at_ms": 1, "claimed_at_ms": 2}]


def test_a_message_that_cannot_be_read_is_refused_definitely(bench: Bench):
    bench.serve(lambda: None)
    bench.say(Work([msgspec.structs.replace(bench.task(), message=b"{")]))
    (outcome,) = bench.outcomes(1).values()
    assert outcome.error is not None
    assert (outcome.outcome, outcome.error.code) == ("failed", "invalid_input")


def test_a_stop_reaches_the_context(bench: Bench):
    begun = threading.Event()

    def work(ctx: Context) -> None:
        begun.set()
        while not ctx.is_cancelled:
            pass
        ctx.raise_if_cancelled()

    bench.serve(work)
    bench.say(Work([bench.task()]))
    begun.wait(PATIENCE_S)
    bench.say(Stop([1, 99], "timeout"))
    message = bench.hear()
    assert not isinstance(message, Done), "where it was comes first"
    (outcome,) = bench.outcomes(1).values()
    assert outcome.error is not None
    assert outcome.error.code == "timeout"


def test_heartbeats_are_passed_on_but_not_all_of_them(bench: Bench):
    def work(ctx: Context) -> None:
        for page in range(1000):
            ctx.heartbeat({"page": page})

    bench.serve(work)
    bench.say(Work([bench.task()]))
    assert bench.hear() == Alive(1, b'{"page":0}')
    heard = 1
    while isinstance(bench.hear(), Alive):
        heard += 1
    assert heard < 100


def test_an_idle_child_ends_by_itself_when_its_supervisor_closes_the_pipe(bench: Bench):
    bench.serve(lambda: None)
    assert bench.end() == 0


def test_a_busy_child_exits_at_once_when_its_supervisor_is_gone(bench: Bench):
    begun, gate = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(PATIENCE_S)

    bench.serve(work)
    bench.say(Work([bench.task()]))
    begun.wait(PATIENCE_S)
    assert bench.end() == 1
    gate.set()
    until(lambda: bench.child.exits == 2, "the attempt has found out too")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("runner.worker.child", {"redis", "runner.store", "jinja2", "yaml", "jsonschema", "runner.definition"}),
        ("runner.worker.process", {"redis", "jinja2", "yaml", "jsonschema", "pydantic", "runner.definition"}),
        ("runner.worker.inprocess", {"redis", "jinja2", "yaml", "jsonschema", "runner.definition"}),
    ],
)
def test_a_worker_process_loads_no_more_than_it_needs(module: str, absent: set[str]):
    program = f"import sys, {module}; print(*sys.modules)"
    report = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(report.stdout.split()) & absent == set()


def test_programs_that_a_worker_starts_can_be_stopped_with_signals():
    """They would inherit an ignored signal, but not a handler."""
    program = (
        "import subprocess, sys; from runner.worker.child import _leave_signals_to_supervisor as leave; leave();"
        "started = subprocess.Popen(['sleep', '60']); started.terminate(); sys.exit(started.wait() != -15)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=PATIENCE_S, check=False).returncode == 0


def test_a_child_whose_supervisor_died_before_it_began_does_not_begin():
    command = [sys.executable, "-c", "from runner.worker.child import main; main(['0', '1'])"]
    assert subprocess.run(command, timeout=PATIENCE_S, check=False).returncode == (0 if os.getpid() == 1 else 1)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
