"""Which command looks after which run, among the commands of one project on its embedded server.

A command that hosts an engine finishes the runs that were left lying, but not those that another living command is
about to finish itself. Each keeps a file with the ids it looks after, locked for as long as it lives: a file whose lock
is free says nothing any more.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.store.file_lock import open_lock, try_lock


class Claims:
    """This command's own claims, and a look at the others'."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._path = folder / f"{os.getpid()}.json"
        self._runs: frozenset[str] = frozenset()
        self._descriptor = -1

    @property
    def runs(self) -> frozenset[str]:
        return self._runs

    def take(self, run_id: str) -> None:
        """Look after this run, whoever else does."""
        with self._alone():
            self._write(self._runs | {run_id})

    def take_unclaimed(self, run_ids: Iterable[str]) -> frozenset[str]:
        """Look after those of these runs that no living command looks after, and no longer after any that is not
        among these. Which ones are new.
        """
        live = frozenset(run_ids)
        if live == self._runs:
            return frozenset()
        with self._alone():
            taken = live - self._runs - self._of_others()
            self._write((self._runs & live) | taken)
        return taken

    def is_taken(self, run_id: str) -> bool:
        """Whether another living command looks after this run."""
        return run_id in self._of_others()

    def release(self) -> None:
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands that start at once must not both, or neither, take up the same run."""
        lock = open_lock(self._folder / "lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, runs: frozenset[str]) -> None:
        self._runs = runs
        if self._descriptor < 0:
            # A file of this name is of a dead process that had the same id.
            self._path.unlink(missing_ok=True)
            self._descriptor = open_lock(self._path)
            try_lock(self._descriptor)
        text = json.dumps(sorted(self._runs)).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def _of_others(self) -> set[str]:
        found: set[str] = set()
        for path in self._folder.glob("*.json"):
            if path != self._path:
                found |= _claimed_in(path)
        return found


def _claimed_in(path: Path) -> set[str]:
    """What the holder of this file looks after; nothing, and the file is removed, if its holder is gone."""
    try:
        descriptor = open_lock(path)
    except OSError:
        return set()
    try:
        if try_lock(descriptor, shared=True):
            path.unlink(missing_ok=True)
            return set()
        return set(json.loads(path.read_text() or "[]"))
    except (FileNotFoundError, ValueError):
        return set()
    finally:
        os.close(descriptor)
