"""The shell's clock. Decisions never read it: they go by the times that the store stamps on events."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """Milliseconds since the epoch, for people."""
    return time.time_ns() // 1_000_000


class VirtualClock:
    """A clock that moves when it is told to. Calling it gives milliseconds, so it can stand in for a store's clock."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, delay_ms: int) -> None:
        if delay_ms < 0:
            raise ValueError(f"a clock does not run backwards (asked to move by {delay_ms} ms)")
        self.now_ms += delay_ms
