"""The clock of deadlines."""

from __future__ import annotations

import subprocess
import sys

from runner.worker.uptime import uptime_s


def test_it_never_runs_backwards():
    readings = [uptime_s() for _ in range(100)]
    assert readings == sorted(readings)


def test_it_is_the_same_in_every_process():
    """A deadline travels from the supervisor to its child as a reading of this clock."""
    before = uptime_s()
    program = "from runner.worker.uptime import uptime_s; print(uptime_s())"
    there = float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    assert before <= there <= uptime_s()
