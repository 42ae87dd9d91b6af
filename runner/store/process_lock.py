"""Proof that a process of this machine is dead: it held a lock on a file, and the lock is free.

The file exists only while it is locked or its holder is dead, never in between: it is locked under another
name first. A file that is missing proves nothing (it may have been deleted), so a lease has to decide then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from runner.errors import UsageError
from runner.store.file_lock import open_lock, try_lock


class ProcessLock:
    """Held from here to the end of this process, or until `release` (after the store was told, by retire).

    Programs that are started do not inherit it. A forked child does, on purpose: what its parent was doing is
    not over before the child, which may be running the attempt, is gone too.
    """

    def __init__(self, directory: Path, process_id: str) -> None:
        if not process_id or "/" in process_id or "\0" in process_id or process_id.startswith("."):
            raise UsageError(f"{process_id!r} cannot be the name of a lock file")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = directory.resolve() / f"{process_id}.lock"
        unseen = self.path.with_name(f".{process_id}.{os.getpid()}")
        self._descriptor: int | None = open_lock(unseen)
        if not try_lock(self._descriptor):
            raise UsageError(f"{unseen} is locked: process ids must not be used twice")
        unseen.rename(self.path)

    def fileno(self) -> int:
        """For a child program that is to hold the lock too (pass_fds): this process is not dead before it is."""
        if self._descriptor is None:
            raise UsageError(f"{self.path} is not held any more")
        return self._descriptor

    def release(self) -> None:
        """Say that this process holds nothing any more. Only after Store.retire: a missing file reaps nobody."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> ProcessLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_dead(path: Path | str) -> bool:
    """True: its holder is gone for certain. False: it lives, or nothing is known (no such file here)."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    try:
        # Shared, so that two who ask at once do not take each other for the holder.
        return try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def forget_dead(path: Path | str) -> bool:
    """Remove the file of a dead process, after it was reaped. False: it is not known to be dead."""
    if not is_dead(path):
        return False
    Path(path).unlink(missing_ok=True)
    return True


def forget_unknown(directory: Path, known: Iterable[str]) -> None:
    """Remove the files of dead processes that no store knows any more: `known` are the lock files it does know.

    Who holds a file has it before it registers, and is not dead; so it loses nothing.
    """
    kept = set(known)
    for path in directory.glob("*.lock"):
        if str(path) not in kept:
            forget_dead(path)
