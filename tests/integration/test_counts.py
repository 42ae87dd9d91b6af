"""What a workflow costs Redis when the system is busy, in counts: they hardly vary with the machine, as times would.

The numbers come from the benchmark itself, so this also keeps that program running. One round trip an operation, the
toy version, is five reads a step; a batch shares one among many. If a bound is passed, look for a call that has left
its batch, or for a key that is read again; do not raise the bound because that is easier.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.project.repository import ROOT

# Five steps, with the commands that scripts call; measured 34 to 38. Without successors, step by step, it is 66.
COMMANDS_PER_WORKFLOW = 44
READS_PER_STEP = 0.25  # measured 0.12
RUNS = 1000


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    options = f"--no-celery --json --tier standard --rounds 1 --runs {RUNS} --alone 3"
    report = subprocess.run(
        [sys.executable, "benchmarks/throughput.py", *options.split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert report.returncode == 0, report.stderr
    (measurement,) = json.loads(report.stdout)["measurements"]
    assert measurement["workflows"] == RUNS
    return dict(measurement)


def test_commands_per_workflow_stay_few(measured: dict[str, Any]):
    assert measured["commands_per_workflow"] < COMMANDS_PER_WORKFLOW


def test_a_socket_read_is_shared_by_many_steps(measured: dict[str, Any]):
    assert measured["reads_per_step"] < READS_PER_STEP


def test_each_group_of_processes_is_accounted_for(measured: dict[str, Any]):
    """A group that cost nothing was not measured, and the CPU time of the others would be too good."""
    assert set(measured["cpu_per_1000"]) == {"engine", "workers", "submitter", "server"}
    assert min(measured["cpu_per_1000"].values()) > 0
