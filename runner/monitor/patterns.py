"""Groups of errors as people look at them: how often, since when, where, how it goes, and whether there is a spike.

Pure. Hours are those of the clock (UTC), as they are counted: a window takes in every hour that it touches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from runner.store.faults import FAULT_HOURS, FaultGroup

HOUR_MS = 3_600_000
TREND_HOURS = 24
# A spike: in this hour, or the one before, at least so many, and more than so many times what the 24 hours before those
# two had on average.
SPIKE_LEAST, SPIKE_FACTOR = 10, 3
_MARKS = ("workflow", "version", "step", "worker", "phase")


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """`in_window` is how often in the hours that were asked for; `trend` the last 24 hours, the latest last."""

    id: str
    type: str
    code: str
    kind: str
    where: str
    message: str
    pattern: str
    by: str  # which rule made the group: fingerprint, traceback, message
    count: int
    in_window: int
    first_at_ms: int
    last_at_ms: int
    state: str
    regressed_at_ms: int = 0
    is_spike: bool = False
    is_new: bool = False  # it was first seen in the window
    trend: tuple[int, ...] = ()
    marks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # workflow, version, step, … -> count by name
    samples: tuple[tuple[str, int], ...] = ()
    note: Mapping[str, Any] = field(default_factory=dict)  # of the last change of state: by, at_ms, reason

    @property
    def short(self) -> str:
        """What a person types; the beginning of the id, without the version of the rules."""
        return self.id.partition(":")[2][:8]

    @property
    def title(self) -> str:
        text = self.message.split("\n", 1)[0]
        return text if self.code == "exception" or not text else f"{self.code}: {text}"


def error_groups(found: Iterable[FaultGroup], now_ms: int, window_ms: int = 0) -> list[ErrorGroup]:
    """The latest first. With a window only those that were seen in it. `window_ms`: at most a week; 0: ever."""
    views = [view_group(group, now_ms, window_ms) for group in found]
    return [view for view in views if view.in_window]


def view_group(group: FaultGroup, now_ms: int, window_ms: int = 0) -> ErrorGroup:
    about: Mapping[str, Any] = msgspec.json.decode(group.about) if group.about else {}
    first_hour, hour = max(0, now_ms - window_ms) // HOUR_MS, now_ms // HOUR_MS
    counted = sum(count for at, count in group.hours.items() if at >= first_hour)
    marks: dict[str, dict[str, int]] = {}
    for mark, count in group.marks.items():
        kind, _, name = mark.partition("=")
        marks.setdefault(kind, {})[name] = count
    return ErrorGroup(
        id=group.group, **{name: str(about.get(name, "")) for name in _TEXTS},
        count=group.count, in_window=counted if window_ms else group.count,
        first_at_ms=group.first_at_ms, last_at_ms=group.last_at_ms, state=group.state,
        regressed_at_ms=group.regressed_at_ms, is_spike=is_spike(group.hours, now_ms),
        is_new=bool(window_ms) and group.first_at_ms >= now_ms - window_ms,
        trend=tuple(group.hours.get(at, 0) for at in range(hour - TREND_HOURS + 1, hour + 1)),
        marks={kind: _most_first(marks[kind]) for kind in _MARKS if kind in marks}, samples=group.samples,
        note=msgspec.json.decode(group.note) if group.note else {},
    )


def is_spike(hours: Mapping[int, int], now_ms: int) -> bool:
    """See SPIKE_LEAST."""
    hour = now_ms // HOUR_MS
    recent = max(hours.get(hour, 0), hours.get(hour - 1, 0))
    usual = sum(hours.get(at, 0) for at in range(hour - 25, hour - 1)) / 24
    return recent >= SPIKE_LEAST and recent > SPIKE_FACTOR * usual


def _most_first(counts: Mapping[str, int]) -> Mapping[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


_TEXTS = ("type", "code", "kind", "where", "message", "pattern", "by")
MAX_WINDOW_MS = FAULT_HOURS * HOUR_MS
