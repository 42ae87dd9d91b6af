"""Figures: what commits count, on its way into commit_runs.lua and back, and the same in memory.

The store knows their names only by how they begin (ports.Commit). Which hashes a window is made of is said here once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from runner.store import limits
from runner.store.observations import Figures
from runner.store.ports import Commit

OTHER, SINCE = "other", ""  # fields: of what is beyond the bound; of `last`: when the first figure was kept

_PACKED = msgspec.msgpack.Encoder()
_JSON = msgspec.json.Encoder()


def pack_counts(commits: Sequence[Commit]) -> bytes:
    """As the header of commit_runs.lua describes it: nearly always all are accepted, and then their sums are enough."""
    last = limits.MAX_COUNTED - 1
    places: dict[str, int] = {}
    sums: list[int] = []
    parts: list[str] = []
    for commit in commits:
        flat: list[int] = []
        for name, by in commit.counts:
            at = places.get(name)
            if at is None:
                at = places[name] = min(len(places), last)
                if at == len(sums):
                    sums.append(0)
            sums[at] += by
            flat += (at, by)
        parts.append(_JSON.encode(flat).decode())
    names = list(places)
    if len(names) > last + 1:
        names[last:] = [OTHER]
    return _PACKED.encode((names, sums, parts)) if names else b""


def spans(window_ms: int, now_ms: int) -> tuple[list[str], int]:
    """The hashes that hold what was counted in this window, and since when they do. 0: the sum since ever."""
    limits.check_number("window_ms", window_ms, limits.DAY_MS)
    if not window_ms:
        return ["all"], 0
    kind, ms = ("m", limits.MINUTE_MS) if window_ms <= limits.HOUR_MS else ("t", limits.TENS_MS)
    first, last = max(0, now_ms - window_ms) // ms, now_ms // ms
    return [f"{kind}:{number}" for number in range(first, last + 1)], first * ms


def figures_of(hashes: Iterable[Mapping[str, int]], last: Mapping[str, int], since_ms: int, until_ms: int) -> Figures:
    """What these hashes hold together."""
    counts: Counter[str] = Counter()
    for counted in hashes:
        for name, by in counted.items():
            counts[name] += by
    latest = {name: at_ms for name, at_ms in last.items() if name != SINCE}
    return Figures(dict(counts), latest, since_ms or last.get(SINCE, until_ms), until_ms)


@dataclass(slots=True)
class FiguresInMemory:
    """The twin of keep_figures in commit_runs.lua."""

    spans: dict[str, dict[str, int]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def keep(self, counts: Iterable[tuple[str, int]], now_ms: int) -> None:
        """The counts of the accepted commits of one call."""
        sums: Counter[str] = Counter()
        for names, by in counts:
            for name in names.split("\n"):
                sums[name] += by
        latest = [name for name, by in sums.items() if by and name.startswith("@")]
        windows = [spans(ms, now_ms)[0][-1] for ms in (limits.MINUTE_MS, limits.DAY_MS)]
        for name, by in sums.items():
            if by == 0 or name.startswith("@"):
                continue
            if not name.startswith("~") and self._grow("all", name, by):
                self.last.setdefault(SINCE, now_ms)
            if not name.startswith("="):
                for window in windows:
                    self._grow(window, name, by)
        if len(self.last) < limits.MAX_SERIES:
            self.last.update(dict.fromkeys(latest, now_ms))

    def _grow(self, span: str, name: str, by: int) -> bool:
        if span not in self.spans and span != "all":
            self._expire(span)
        counted = self.spans.setdefault(span, {})
        is_new = name not in counted
        if is_new and len(counted) >= limits.MAX_SERIES and name != OTHER:
            counted[OTHER] = counted.get(OTHER, 0) + by
            return True
        counted[name] = counted.get(name, 0) + by
        if counted[name] == 0:
            del counted[name]
        return is_new

    def _expire(self, span: str) -> None:
        """Of its kind, what no window reaches back to any more."""
        kind, number = span[0], int(span[2:])
        kept = 70 if kind == "m" else 150
        for old in [name for name in self.spans if name[0] == kind and int(name[2:]) < number - kept]:
            del self.spans[old]

    def read(self, window_ms: int, now_ms: int) -> Figures:
        names, since_ms = spans(window_ms, now_ms)
        return figures_of([self.spans.get(name, {}) for name in names], self.last, since_ms, now_ms)
