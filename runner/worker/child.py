"""The program of a child: it imports the worker modules and runs attempts until its supervisor is gone or says so.

It knows no Redis. The main thread only reads the pipe, so that a request to stop and the end of the supervisor are
noticed whatever user code does; where user code holds the interpreter itself, the kernel's signal (PDEATHSIG) and the
supervisor's SIGKILL do without it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Sequence
from typing import NoReturn

import msgspec

from runner.errors import ConfigError
from runner.wire import ErrorRecord, Outcome
from runner.worker.attempt import Attempt, decode_message, encode_outcome, split_outcome
from runner.worker.context import StopSignal
from runner.worker.frames import (
    Alive,
    Broken,
    FrameReader,
    Logged,
    Ready,
    Setup,
    Stack,
    Stop,
    TaskFrame,
    ToChild,
    Work,
)
from runner.worker.log_lines import AttemptMarks, LineKeeper, Teller
from runner.worker.outbox import Outbox
from runner.worker.payload import MAX_TRACEBACK_BYTES, clip
from runner.worker.registry import Registry, load_modules
from runner.worker.slots import LOOK_S, Loop, Running, Threads

HEARTBEAT_PAUSE_S = 0.05  # a loop that sends one per row must not fill the pipe
_RECEIVE_BYTES = 1 << 16  # more is mapped and unmapped by the allocator each time: ten times as long as the read itself


def main(arguments: Sequence[str]) -> None:
    """Arguments: the descriptor of the socket, the supervisor's process id."""
    descriptor, supervisor = int(arguments[0]), int(arguments[1])
    _die_with(supervisor)
    _leave_signals_to_supervisor()
    faulthandler.enable()
    # Lines appear when they are printed, also where stdout is a file, and also when this process is killed.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.set_inheritable(descriptor, False)
    Child(socket.socket(fileno=descriptor)).run()


class Child:
    """The two directions of the pipe, and what is running."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._reader = FrameReader(ToChild)
        self._registry = Registry()
        self._running: dict[int, Running] = {}
        self._keeper: logging.Handler | None = None
        # Nobody may see what attempts would still do when the supervisor is gone.
        self._outbox = Outbox(pipe, self._exit_now)
        self._teller = Teller(self._tell_lines)
        self._threads = Threads(self._report, self._outbox.flush)
        self._loop = Loop(self._report, self._outbox.flush)

    def run(self) -> None:
        readable = select.poll()
        readable.register(self._pipe, select.POLLIN)
        look_at_s = 0.0
        while True:
            is_readable = readable.poll(LOOK_S * 1000 if self._threads.has_lane else None)
            if (now_s := time.monotonic()) >= look_at_s:
                look_at_s = now_s + LOOK_S
                self._threads.look()
            if not is_readable:
                continue
            data = self._pipe.recv(_RECEIVE_BYTES)
            if not data:
                break
            for message in self._reader.feed(data):
                self._obey(message)
        if self._keeper is not None:
            logging.getLogger().removeHandler(self._keeper)
        if self._running:
            self._exit_now()  # the supervisor is gone, and nobody may see what these attempts would still do

    def _obey(self, message: ToChild) -> None:
        if isinstance(message, Work):
            self._begin(message.tasks)
        elif isinstance(message, Stop):
            for number in message.numbers:
                self._stop(number, message.reason)
        else:
            self._load(message)

    def _load(self, setup: Setup) -> None:
        try:
            if setup.hook:
                module, _, name = setup.hook.partition(":")
                getattr(importlib.import_module(module), name)()
            self._registry = load_modules(setup.modules)
            contracts = dict(self._registry.encoded_contracts())
        except BaseException as error:  # SystemExit in a module too: the supervisor has to say why it cannot start
            trace = "".join(traceback.format_exception(error))
            is_config = isinstance(error, ConfigError)
            text = str(error) if is_config else clip(trace, MAX_TRACEBACK_BYTES, keep_end=True)
            self._outbox.note(Broken(text, is_config))
            self._exit_now()
        # Only if the modules or the hook did not choose otherwise (then the root logger has handlers).
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
        marks = AttemptMarks(setup.process)
        for handler in logging.getLogger().handlers:
            handler.addFilter(marks)
        self._keeper = LineKeeper(self._teller.ring)
        logging.getLogger().addHandler(self._keeper)
        gc.freeze()  # modules and contracts stay: no collection has to walk them again and again
        self._outbox.note(Ready(contracts))

    def _begin(self, tasks: Sequence[TaskFrame]) -> None:
        functions: list[Running] = []
        coroutines: list[Running] = []
        for task in tasks:
            try:
                message = decode_message(task.message)
            except msgspec.DecodeError as error:
                self._outbox.add(task.number, encode_outcome(_unreadable(error)))
                self._outbox.flush()
                continue
            stop = StopSignal()
            attempt = Attempt(
                self._registry, message, task.payload, deadline_s=task.deadline_s, fence=task.fence, stop=stop,
                heartbeat=_Heartbeat(self._outbox, task.number),
                metadata={"queue": task.queue, "queued_at_ms": task.queued_at_ms, "claimed_at_ms": task.claimed_at_ms},
            )
            running = self._running[task.number] = Running(task.number, stop, attempt)
            (coroutines if attempt.is_async else functions).append(running)
        if coroutines:
            self._loop.begin(coroutines)
        if functions:
            self._threads.begin(functions)

    def _stop(self, number: int, reason: str) -> None:
        running = self._running.get(number)
        if running is None:
            return  # it ended just now; its report is on the way
        # Where it is comes first: once it sees the reason it may end, and then there is nothing to show.
        if not running.attempt.is_async and (stack := running.stack()):
            self._outbox.note(Stack(number, stack))
        self._tell_lines_of(running)
        running.stop.reason = reason
        if running.attempt.is_async:
            self._loop.cancel(running)

    def _report(self, running: Running, outcome: Outcome) -> None:
        del self._running[running.number]
        if (lines := running.attempt.lines) is not None:
            outcome = msgspec.structs.replace(outcome, log=lines.text())
        self._outbox.add(running.number, *split_outcome(outcome, running.attempt.message.phase))

    def _tell_lines(self) -> None:
        """Of all that run, what was not told yet: they may crash, or have to be killed."""
        for running in list(self._running.values()):
            self._tell_lines_of(running)

    def _tell_lines_of(self, running: Running) -> None:
        lines = running.attempt.lines
        if lines is not None and not lines.is_told:
            lines.is_told = True
            self._outbox.note(Logged(running.number, lines.text()))

    def _exit_now(self) -> NoReturn:
        """Without waiting for any thread."""
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(1)


class _Heartbeat:
    """`ctx.heartbeat`, not more often than is useful."""

    __slots__ = ("_next_s", "_number", "_outbox")

    def __init__(self, outbox: Outbox, number: int) -> None:
        self._outbox = outbox
        self._number = number
        self._next_s = 0.0

    def __call__(self, details: bytes) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + HEARTBEAT_PAUSE_S
            self._outbox.note(Alive(self._number, details))


def _unreadable(error: Exception) -> Outcome:
    return Outcome("failed", error=ErrorRecord("invalid_input", message=f"the task message cannot be read: {error}"))


def _leave_signals_to_supervisor() -> None:
    """Ctrl-C and a service manager signal the whole group; when to stop is the supervisor's decision.

    A handler that does nothing and not SIG_IGN, which programs that a worker starts would inherit.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def _die_with(supervisor: int) -> None:
    """Have the kernel kill this process when the supervisor's thread that started it ends."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:  # it died before the kernel knew
        os._exit(1)
