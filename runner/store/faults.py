"""What commits say of errors, and what the store has counted of them. To it they are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

MAX_FAULT_GROUPS = 1_000  # kept: those that were seen last
MAX_FAULT_MARKS = 100  # different ones of a group
MAX_FAULT_SAMPLES = 20  # of a group
FAULT_HOURS = 168  # counted apart


class Fault(msgspec.Struct, frozen=True, gc=False):
    """Something went wrong in a run, `count` times more; counted in its group. Opaque: the store only counts.

    about: what the group is, for people; that of the latest fault is kept. marks: what is counted apart in the group.
    """

    group: str
    about: bytes
    marks: tuple[str, ...] = ()
    count: int = 1


FaultState = Literal["open", "resolved", "ignored"]


class FaultGroup(msgspec.Struct, frozen=True, gc=False):
    """What was counted of the faults of one group. The MAX_FAULT_GROUPS that were seen last are kept."""

    group: str
    about: bytes
    count: int
    first_at_ms: int
    last_at_ms: int
    hours: Mapping[int, int]  # count by hours since 1970, of the last FAULT_HOURS; hours without any are left out
    marks: Mapping[str, int]  # the first MAX_FAULT_MARKS different ones
    samples: tuple[tuple[str, int], ...]  # the runs that had it last, each with when; the latest first
    state: FaultState = "open"
    note: bytes = b""  # of who changed the state last
    regressed_at_ms: int = 0  # when it came back after it was resolved; 0: it did not
