"""Groups of faults in memory; the twin of count_faults and write_faults in commit_runs.lua."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.store.faults import (
    FAULT_HOURS,
    MAX_FAULT_GROUPS,
    MAX_FAULT_MARKS,
    MAX_FAULT_SAMPLES,
    Fault,
    FaultGroup,
    FaultState,
)
from runner.store.records import HOUR_MS


@dataclass(slots=True)
class FaultCounts:
    """What is counted of one group."""

    first_at_ms: int
    about: bytes = b""
    count: int = 0
    last_at_ms: int = 0
    ring: dict[int, tuple[int, int]] = field(default_factory=dict)  # place -> hour, count
    marks: dict[str, int] = field(default_factory=dict)
    samples: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=MAX_FAULT_SAMPLES))
    state: FaultState = "open"
    note: bytes = b""
    regressed_at_ms: int = 0


def count_faults(groups: dict[str, FaultCounts], run_id: str, faults: Sequence[Fault], now_ms: int) -> None:
    for fault in faults:
        found = groups.setdefault(fault.group, FaultCounts(now_ms))
        _count(found, fault, now_ms)
        if not found.samples or found.samples[-1][0] != run_id:
            found.samples.append((run_id, now_ms))


def _count(found: FaultCounts, fault: Fault, now_ms: int) -> None:
    hour = now_ms // HOUR_MS
    of_hour, in_hour = found.ring.get(hour % FAULT_HOURS, (hour, 0))
    found.ring[hour % FAULT_HOURS] = (hour, (in_hour if of_hour == hour else 0) + fault.count)
    found.about, found.count, found.last_at_ms = fault.about, found.count + fault.count, now_ms
    for mark in fault.marks:
        if mark in found.marks or len(found.marks) < MAX_FAULT_MARKS:
            found.marks[mark] = found.marks.get(mark, 0) + fault.count
    if found.state == "resolved":
        found.state, found.regressed_at_ms = "open", now_ms


def forget_spare(groups: dict[str, FaultCounts]) -> None:
    """After a batch, as the script does it: the longest unseen go."""
    spare = max(0, len(groups) - MAX_FAULT_GROUPS)
    if spare:
        for group in sorted(groups, key=lambda group: (groups[group].last_at_ms, group))[:spare]:
            del groups[group]


def note_fault(groups: dict[str, FaultCounts], group: str, state: FaultState, note: bytes) -> bool:
    found = groups.get(group)
    if found is None:
        return False
    found.state, found.note = state, note
    if state == "resolved":
        found.regressed_at_ms = 0
    return True


def fault_groups(groups: dict[str, FaultCounts], since_ms: int) -> list[FaultGroup]:
    found = [(counts.last_at_ms, group) for group, counts in groups.items() if counts.last_at_ms >= since_ms]
    return [_row(group, groups[group]) for _, group in sorted(found, reverse=True)]


def _row(group: str, found: FaultCounts) -> FaultGroup:
    oldest = found.last_at_ms // HOUR_MS - FAULT_HOURS
    latest = dict(found.samples)  # of a run that is there twice the later time
    return FaultGroup(
        group=group, about=found.about, count=found.count, first_at_ms=found.first_at_ms,
        last_at_ms=found.last_at_ms,
        hours={hour: count for hour, count in sorted(found.ring.values()) if hour > oldest},
        marks=dict(sorted(found.marks.items())),
        samples=tuple(sorted(latest.items(), key=lambda sample: (-sample[1], sample[0]))),
        state=found.state, note=found.note, regressed_at_ms=found.regressed_at_ms,
    )
