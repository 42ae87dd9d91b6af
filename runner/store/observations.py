"""What can be seen of a store beside runs: figures, queues, alerts. ports.Store hands them out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Figures(msgspec.Struct, frozen=True, gc=False):
    """What commits counted between two times, by name; `other`: what had a name beyond the bound."""

    counts: Mapping[str, int]
    last: Mapping[str, int]  # names that begin with `@`: when they were last named, ever
    since_ms: int  # of the sum: of the first count, or now
    until_ms: int


class QueueInfo(msgspec.Struct, frozen=True, gc=False):
    """A queue that ever held a task."""

    name: str
    depth: int  # tasks that wait
    oldest_at_ms: int = 0  # when the first of them was queued; 0: none waits
    running: int = 0


class AlertRow(msgspec.Struct, frozen=True, gc=False):
    """An alert as it was noted last. `told_at_ms` is of the latest that somebody was told."""

    name: str
    firing: bool
    since_ms: int
    told_at_ms: int
    body: bytes = b""
