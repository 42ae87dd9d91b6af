"""The clock of deadlines and leases within one machine: it never steps, and it goes on while the machine sleeps.

CLOCK_MONOTONIC stands still during a suspend, so a laptop that wakes up would believe that its leases still hold.
Both clocks are the same in every process of the machine, which is why a deadline may travel over a pipe.
"""

from __future__ import annotations

import time

if hasattr(time, "CLOCK_BOOTTIME"):

    def uptime_s() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:  # pragma: no cover - not Linux

    def uptime_s() -> float:
        return time.monotonic()
