"""Locks on files that the kernel gives back when their holder ends, also by kill -9.

A lock belongs to the open file: it lasts until every process that has this descriptor (a forked child has it
too) closed it. So a lock is only ever closed, never unlocked: LOCK_UN would take it from the others as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from runner.errors import ConfigError


def open_lock(path: Path) -> int:
    """A descriptor to lock; closed on exec, so programs started from here do not hold it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock if that is possible now. False: somebody holds it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            raise ConfigError(
                f"this file system has no file locks ({error.strerror}): keep the project on a local disk, "
                "or name a server of your own with --redis-url"
            ) from error
        raise
    return True
