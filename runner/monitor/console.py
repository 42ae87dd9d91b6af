"""The log for a person at a terminal: one line a record, what belongs to it behind the message, tracebacks below.

Rule: a copy only. Everything is in the log file too, with more; nothing reads what stands here.
"""

from __future__ import annotations

import logging
import sys
from typing import IO

from runner.shown import spelled

_COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
# What a person looks for, in this order; ids of traces, processes and events are for programs.
_SHOWN = (
    "run_id", "workflow", "step", "phase", "attempt", "worker", "status", "signal", "child", "verb", "why",
    "error_code", "error_message", "alert", "server",
)  # fmt: skip
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_LEFT_OUT = frozenset({"event", "trace_id", "span_id", "process_id", "step_id", "traceback"})


class Console(logging.Handler):
    """Writes to stderr as it is when a record comes."""

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self.setFormatter(HumanFormatter(colours=colours))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stream: IO[str] = sys.stderr
            stream.write(f"{self.format(record)}\n")
            stream.flush()
        except Exception:  # the logging package's own rule: a log that fails must not end the program
            self.handleError(record)


class HumanFormatter(logging.Formatter):
    def __init__(self, *, colours: bool) -> None:
        super().__init__("%(message)s", "%H:%M:%S")
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        moment = f"{self.formatTime(record, self.datefmt)}.{int(record.msecs):03d}"
        logger = record.name.removeprefix("sagarun.")
        about = "  ".join(f"{name}={value}" for name, value in _about(record))
        text = f"{moment} {record.levelname:<7} {logger}: {record.getMessage()}{f'  {about}' if about else ''}"
        text = spelled(text.replace("\n", " "))
        if record.exc_info:
            text += "\n" + spelled(self.formatException(record.exc_info))
        elif trace := getattr(record, "traceback", ""):
            text += "\n" + spelled(str(trace).rstrip())
        code = _COLOURS.get(record.levelname, "") if self._colours else ""
        return f"\x1b[{code}m{text}\x1b[0m" if code else text


def _about(record: logging.LogRecord) -> list[tuple[str, object]]:
    given = {name: value for name, value in vars(record).items() if name not in _OWN | _LEFT_OUT}
    ordered = [name for name in _SHOWN if name in given]
    return [(name, given[name]) for name in [*ordered, *sorted(given.keys() - set(ordered))]]
