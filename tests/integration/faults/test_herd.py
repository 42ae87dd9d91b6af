"""Many live runs, and every engine restarted at once: nobody looks at all of them at the same time."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.faults.system import FULL, Server, system
from tests.servers import until

WAITING = """
workflow: waiting
version: 1.0.0
steps: [{id: pause, wait: 1h}]
"""
RUNS = 100_000 if FULL else 1_000
MEASURED_S = 30.0 if FULL else 3.0


def test_many_waiting_runs_cost_next_to_nothing_after_all_engines_were_restarted(server: Server, tmp_path: Path):
    with system(server.url, tmp_path) as house, server.client() as client:
        definition = house.load(WAITING)
        house.engine(threads=2)
        for _ in range(RUNS // 1_000):
            house.client.start_many(definition, [None] * 1_000)
        until(lambda: client.zcard("{faults:00}:timers") == RUNS, "all wait", seconds=900)
        house._ends.close()
        for _ in range(3):
            house.engine()
        before, began_s = client.info("cpu"), time.monotonic()
        time.sleep(MEASURED_S)
        after, took_s = client.info("cpu"), time.monotonic() - began_s
        used = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys")) / took_s
        began_s = time.monotonic()
        house.worker()
        assert house.statuses(house.begin(5)) == {"completed": 5}
        print(f"\n{RUNS:,} waiting runs, three new engines: the server used {used:.1%} of a core; "
              f"five new runs took {time.monotonic() - began_s:.2f} s")
        assert used < (0.8 if FULL else 0.05), "computing time, whatever else the machine does"
        assert house.failures == []
