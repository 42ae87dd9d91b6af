"""The log file: one JSON object a line, written by every process of the project, rotated by whichever is first.

Rule: a line is one `write` on a file opened for appending, so that lines of several processes do not mix. Rotation is
done under a lock of its own; a process whose file another one renamed notices by the inode and opens the new one.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from pathlib import Path
from typing import Any

from runner.errors import ConfigError
from runner.monitor.console import Console
from runner.shown import spelled

MAX_BYTES = 10_000_000
BACKUPS = 5
MAX_TEXT = 16_384  # characters of one field; a traceback of the engine has as many
_FIELDS = ("asctime", "levelname", "name", "process", "message")  # what `extra=` gives follows
_NAMES = {"asctime": "time", "levelname": "level", "name": "logger", "process": "pid"}
_process_id = ""
_CHATTY = ("httpx", "httpcore", "asyncio")  # somebody else's details would drown the project's own


class SharedLogFile(logging.Handler):
    """A log file that several processes may have open. `max_bytes` 0: never rotated. Raises OSError at once."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, backups: int = BACKUPS) -> None:
        super().__init__()
        self.path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._descriptor = self._open()
        self._is_failing = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            if self._was_renamed():
                self._reopen()
            if self._max_bytes and os.fstat(self._descriptor).st_size + len(line) > self._max_bytes:
                self._rotate()
            os.write(self._descriptor, line)
            self._is_failing = False
        except OSError as error:  # a full disk, most of all: said once, and again when it comes again
            if not self._is_failing and sys.stderr is not None:
                sys.stderr.write(f"! the log {self.path} cannot be written: {error.strerror}\n")
            self._is_failing = True
        except Exception:  # the logging package's own rule: a log that fails must not end the program
            self.handleError(record)

    def close(self) -> None:
        self.acquire()
        try:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        finally:
            self.release()
        super().close()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def _reopen(self) -> None:
        os.close(self._descriptor)
        self._descriptor = self._open()

    def _was_renamed(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        ours = os.fstat(self._descriptor)
        return (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev)

    def _rotate(self) -> None:
        with Path(f"{self.path}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Two processes find it full at once: the second to get the lock must not rotate the new, empty file.
            if not self._was_renamed():
                self._shift()
            self._reopen()

    def _shift(self) -> None:
        for number in range(self._backups, 0, -1):
            newer = Path(f"{self.path}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(f"{self.path}.{number}")


def name_process(process_id: str) -> None:
    """From now on each line says which engine or worker process it is of, as the histories call it."""
    global _process_id
    _process_id = process_id


def write_log(
    path: Path, *, level: str = "info", max_bytes: int = MAX_BYTES, backups: int = BACKUPS, console: str = ""
) -> None:
    """Send everything that is logged to this file; a second call replaces the first. Raises ConfigError.

    console: "plain" or "colour" for a copy on stderr, for people.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = SharedLogFile(path, max_bytes=max_bytes, backups=backups)
    except OSError as error:
        raise ConfigError(f"the log file {path} cannot be written: {error.strerror}") from error
    log.setFormatter(_formatter())
    root = logging.getLogger()
    stop_log()
    root.addHandler(log)
    if console:
        root.addHandler(Console(colours=console == "colour"))
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _formatter() -> logging.Formatter:
    from pythonjsonlogger.json import JsonFormatter

    class LineFormatter(JsonFormatter):
        """Texts are bounded, and what would command a terminal that shows the file is spelled."""

        def process_log_record(self, log_record: dict[str, Any]) -> dict[str, Any]:
            found = {name: _bounded(value) for name, value in super().process_log_record(log_record).items()}
            if _process_id:
                found.setdefault("process_id", _process_id)
            return found

        def format(self, record: logging.LogRecord) -> str:
            return spelled(super().format(record))

    fields = " ".join(f"%({field})s" for field in _FIELDS)
    return LineFormatter(fields, rename_fields=_NAMES, json_ensure_ascii=False, json_default=str)


def _bounded(value: Any) -> Any:
    """Its end, which of a traceback says most."""
    if not isinstance(value, str) or len(value) <= MAX_TEXT:
        return value
    return f"({len(value) - MAX_TEXT:,} characters left out) … {value[-MAX_TEXT:]}"


def stop_log() -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, SharedLogFile | Console)]:
        root.removeHandler(handler)
        handler.close()


def current_log() -> Path | None:
    """The file that is being written to; None: `write_log` was not called."""
    return next((each.path for each in logging.getLogger().handlers if isinstance(each, SharedLogFile)), None)
