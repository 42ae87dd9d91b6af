"""Many files checked by as many processes as there are processors. Rule: nobody can tell, but for the time it takes.

The processes are forks, which have read everything that they need; where there is nothing to be won by it, or a thread
that would be missing in a fork (worker code may have started one), the files are checked one after the other.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.definition.problem import Problem

Check = Callable[[Path], "list[Problem]"]
_FEWEST = 16  # files for each process: a fork costs as much as checking a few
_AT_ONCE = 4
_check: Check  # of a fork


def checked(files: Sequence[Path], check: Check) -> Iterator[list[Problem]]:
    """What is found in each file, in their order."""
    count = min(processors(), len(files) // _FEWEST)
    if count < 2 or sys.platform != "linux" or threading.active_count() > 1:
        yield from map(check, files)
        return
    from multiprocessing import get_context

    yield check(files[0])  # which reads what the forks are to have
    with get_context("fork").Pool(count, _begin, (check,)) as pool:
        yield from pool.imap(_one, files[1:], _AT_ONCE)


def processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _begin(check: Check) -> None:
    import signal

    global _check
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command ends, and its forks with it
    _check = check


def _one(file: Path) -> list[Problem]:
    return _check(file)
