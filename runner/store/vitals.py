"""What a process uses of its machine: memory and CPU of itself and of the children it names, said with its heartbeat.

Rule: for people only. Where the machine does not tell (no /proc), what is not known is 0, and nothing fails.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Of a process with its children. `cpu_share` is of one core: two busy children have 2.0."""

    rss_bytes: int = 0
    cpu_s: float = 0.0  # since they began
    cpu_share: float = 0.0  # since the heartbeat before
    children: int = 0
    slots: int = 0  # tasks that it takes at once


class VitalsReader:
    """Between two looks lies what `cpu_share` is of. `root` is /proc."""

    def __init__(
        self, *, slots: int = 0, root: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._slots = slots
        self._root = root
        self._clock = clock
        self._before: tuple[float, float] | None = None

    def read(self, children: Iterable[int] = ()) -> Vitals:
        pids = tuple(children)
        rss_bytes, cpu_s = self._used((os.getpid(), *pids))
        now_s = self._clock()
        at_s, used_s = self._before or (now_s, cpu_s)
        self._before = now_s, cpu_s
        # A child that ended takes its seconds along: less than before is nothing.
        share = max(0.0, (cpu_s - used_s) / (now_s - at_s)) if now_s > at_s else 0.0
        return Vitals(rss_bytes, round(cpu_s, 2), round(share, 3), len(pids), self._slots)

    def _used(self, pids: Iterable[int]) -> tuple[int, float]:
        rss_bytes, cpu_s, is_known = 0, 0.0, False
        for pid in pids:
            try:
                # The name in brackets may hold spaces and brackets of its own: what follows its last one is counted.
                fields = (self._root / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
                cpu_s += (int(fields[11]) + int(fields[12])) / _TICKS
                rss_bytes += int(fields[21]) * _PAGE
                is_known = True
            except (OSError, IndexError, ValueError):
                continue  # it ended meanwhile, or there is no /proc
        return (rss_bytes, cpu_s) if is_known else _own()


def _own() -> tuple[int, float]:
    """Of this process alone, where there is no /proc: the most memory that it ever had."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit, usage.ru_utime + usage.ru_stime


_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
