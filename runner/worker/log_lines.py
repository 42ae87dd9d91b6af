"""What user code logs while it runs an attempt: marked with the attempt, and its last lines kept.

Rule: nothing in here may fail or wait; a log line is never a reason for an attempt to end otherwise. What is meant is
found by the context variable, so lines of coroutines and of `asyncio.to_thread` belong to their attempt, and those of a
thread that user code starts by itself only where it copies the context.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from runner.trace import parse
from runner.wire import LOG_BYTES, LOG_LINES, last_lines
from runner.worker.context import Context, find_current

TELL_S = 0.2  # how old a line gets before the supervisor has it: what a crash may cost


class LogLines:
    """Of one attempt; the oldest are forgotten."""

    __slots__ = ("_bytes", "_lines", "is_told")

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._bytes = 0
        self.is_told = True

    def add(self, text: str) -> None:
        text = last_lines(text)
        self._lines.append(text)
        self._bytes += len(text)
        self.is_told = False
        while len(self._lines) > LOG_LINES or (self._bytes > LOG_BYTES and len(self._lines) > 1):
            self._bytes -= len(self._lines.popleft())

    def text(self) -> str:
        """Within the bounds of the wire form."""
        return last_lines("\n".join(list(self._lines)))


class LineKeeper(logging.Handler):
    """Gives each record to the attempt that it is about. Others are not its business."""

    def __init__(self, on_line: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._on_line = on_line
        form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        form.converter = time.gmtime
        self.setFormatter(form)

    def emit(self, record: logging.LogRecord) -> None:
        context = find_current()
        if context is None:
            return
        try:
            if context.lines is None:
                context.lines = LogLines()
            context.lines.add(self.format(record))
            self._on_line()
        except Exception:  # the logging package's own rule: a log that fails must not end the program
            self.handleError(record)


class Teller:
    """Tells lines of attempts that go on, a moment after they were logged: for those that will never end by themselves.

    Its thread sleeps until something is logged, and then for a moment, so quick attempts cost nothing here.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._something = threading.Event()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        if self._something.is_set():
            return
        self._something.set()
        if self._thread is None:  # under the handler's lock
            self._thread = threading.Thread(target=self._serve, name="log-lines", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while True:
            self._something.wait()
            time.sleep(TELL_S)
            self._something.clear()
            self._tell()


class AttemptMarks(logging.Filter):
    """Puts what is running onto each record: run, step, attempt, worker, process and trace. Lets everything through."""

    def __init__(self, process_id: str) -> None:
        super().__init__()
        self._process_id = process_id

    def filter(self, record: logging.LogRecord) -> bool:
        known = record.__dict__
        known.setdefault("process_id", self._process_id)
        context = find_current()
        if context is not None:
            for name, value in marks_of(context).items():
                known.setdefault(name, value)
        return True


def marks_of(context: Context) -> dict[str, object]:
    marks: dict[str, object] = {
        "run_id": context.run_id, "workflow": context.workflow, "step": context.path, "phase": context.phase,
        "attempt": context.attempt, "worker": context.worker,
    }
    place = parse(context.traceparent)
    if place is not None:
        marks |= {"trace_id": place.trace_id, "span_id": place.span_id}
    return marks
