"""What a soak watches: memory, files and threads of processes, keys and memory of the server; and whether it is flat.

Rule: a value is compared between the first and the last third of the time after the warm-up, by medians, so that
neither a blow nor a garbage collection decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf
from statistics import median

import psutil
import redis

from runner.store.keys import Keys

MIB = 1024 * 1024
WARM = 0.5  # of the time: allocators find their size
WARM_RUNS = 12_000  # and so many: caches have an entry for each of the last 4,096 runs that an engine has looked at
MIB_AN_HOUR = 1.0  # what may be gained
RESOLVED_MIB = 2.0  # less than this within one soak is noise
FEW = 2  # files
FIGURES = "figures MiB"  # kept for 25 hours, so they grow for as long; not counted with the server's
CONNECTIONS = 16  # as many as those have that were stopped and are still there
SLOTS = 16  # as in cluster.py: so many threads a child's pool may come to have, when that many attempts meet
STAYING = frozenset({  # all of them bounded: by what the project has, by a day, or by a number
    "clock", "definitions", "workers", "queues", "procs", "process", "reaped", "wake", "slot", "schedules", "fault",
    "faults", "figures",
})  # fmt: skip
_POINTS = 200  # of which slopes are made: all pairs are looked at


@dataclass(frozen=True, slots=True)
class Sample:
    """`values`: what was read, by name."""

    at_s: float
    values: Mapping[str, float]

    def __str__(self) -> str:
        shown = {name: value for name, value in self.values.items() if "MiB" in name or name == "keys"}
        return ", ".join(f"{value:.0f} {name}" for name, value in shown.items())


class Gauges:
    """Of a server and of the processes with these pids."""

    def __init__(self, client: redis.Redis, keys: Keys, pids: Mapping[str, int]) -> None:
        self._client = client
        self._keys = keys
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}

    def follow(self, name: str, pids: Sequence[int]) -> bool:
        """Look at the first of these from now on, unless it looks at one of them. Whether it is another one."""
        if not pids or self._processes[name].pid in pids:
            return False
        self._processes[name] = psutil.Process(pids[0])
        return True

    def sample(self, at_s: float) -> Sample | None:
        """None while the server is away, or one of the processes just ended."""
        try:
            figures = list(self._client.scan_iter(f"{self._keys.prefix}figures:*", count=100_000))
            size = sum(self._client.memory_usage(key) or 0 for key in figures)
            used = self._client.info("memory")["used_memory"]
            values: dict[str, float] = {
                "keys": self._client.dbsize() - len(figures), "server MiB": (used - size) / MIB, FIGURES: size / MIB,
                "connections": self._client.info("clients")["connected_clients"],
            }  # fmt: skip
        except redis.RedisError:
            return None
        for name, process in self._processes.items():
            try:
                with process.oneshot():
                    memory = process.memory_info()
                    # Its own: pages of files come and go with what else there is to do on the machine.
                    values[f"{name} MiB"] = (memory.rss - getattr(memory, "shared", 0)) / MIB
                    values[f"{name} files"], values[f"{name} threads"] = process.num_fds(), process.num_threads()
            except psutil.NoSuchProcess:
                return None
        return Sample(at_s, values)

    def keys_left(self) -> Counter[str]:
        """Once all runs are over and forgotten: every key that has to do with one, by kind."""
        names = (key.decode().removeprefix(self._keys.prefix) for key in self._client.scan_iter(count=1_000))
        return Counter(kind for name in names if (kind := name.split(":")[0]) not in STAYING)


@dataclass(frozen=True, slots=True)
class Course:
    """What became of one value."""

    name: str
    first: float
    last: float
    an_hour: float
    is_flat: bool


def courses(samples: Sequence[Sample], warm_s: float = 0.0) -> Iterator[Course]:
    """Of every value, in the order of the samples; from this time on, and not before half of it is over."""
    warm = [each for each in samples[int(len(samples) * WARM) :] if each.at_s >= warm_s]
    third = max(1, len(warm) // 3)
    hours = (warm[-1].at_s - warm[0].at_s) / 3_600
    for name in warm[0].values:
        first, last = (median(each.values[name] for each in part) for part in (warm[:third], warm[-third:]))
        if name == FIGURES:
            allowed = inf
        elif name.endswith("MiB"):
            allowed = max(RESOLVED_MIB, MIB_AN_HOUR * hours)
        elif name == "keys":
            allowed = 50 + first / 4  # as many runs are under way as the blows make wait
        elif name == "connections":
            allowed = CONNECTIONS
        else:
            allowed = SLOTS if name == "child threads" else FEW
        yield Course(name, first, last, _slope_an_hour(warm, name), last - first <= allowed)


def _slope_an_hour(samples: Sequence[Sample], name: str) -> float:
    """The median of the slopes of all pairs: single leaps do not count."""
    points = samples[:: max(1, len(samples) // _POINTS)]
    slopes = [
        (other.values[name] - one.values[name]) / (other.at_s - one.at_s)
        for one, other in combinations(points, 2) if other.at_s > one.at_s
    ]  # fmt: skip
    return median(slopes or [0.0]) * 3_600
