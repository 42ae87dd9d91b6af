"""Who looks after which run, among commands that run at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.hosting.claims import Claims

HOLDER = """
import sys
from pathlib import Path
from runner.cli.hosting.claims import Claims
claims = Claims(Path(sys.argv[1]))
print(",".join(sorted(claims.take_unclaimed(sys.argv[2].split(",")))), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path):
    """Another process that takes up runs a and b, and lives until it is killed or its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), "a,b"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "a,b\n"
    yield process
    process.kill()
    process.communicate()


def test_a_run_that_a_living_command_looks_after_is_left_to_it(tmp_path: Path, other: subprocess.Popen[str]):
    claims = Claims(tmp_path)
    assert claims.take_unclaimed(["a", "b", "c"]) == {"c"}
    claims.release()


def test_the_runs_of_a_killed_command_are_free_at_once(tmp_path: Path, other: subprocess.Popen[str]):
    other.kill()
    other.wait()
    claims = Claims(tmp_path)
    assert claims.take_unclaimed(["a", "b", "c"]) == {"a", "b", "c"}
    claims.release()


def test_a_run_of_ones_own_may_be_taken_whoever_else_has_it(tmp_path: Path, other: subprocess.Popen[str]):
    claims = Claims(tmp_path)
    claims.take("a")
    claims.take("z")
    assert claims.runs == {"a", "z"}
    claims.release()


def test_a_host_that_stays_looks_after_what_is_live_now_and_nothing_else(
    tmp_path: Path, other: subprocess.Popen[str]
):
    claims = Claims(tmp_path)
    assert claims.take_unclaimed(["a", "c", "d"]) == {"c", "d"}
    assert claims.take_unclaimed(["a", "d", "e"]) == {"e"}
    assert claims.runs == {"d", "e"}
    claims.release()


def test_released_claims_leave_no_file(tmp_path: Path):
    claims = Claims(tmp_path)
    claims.take("a")
    claims.release()
    assert list(tmp_path.glob("*.json")) == []


def test_what_a_dead_process_with_the_same_id_left_is_not_taken_over(tmp_path: Path):
    first = Claims(tmp_path)
    (tmp_path / first._path.name).write_text('["old"]')
    first.take("new")
    assert first.runs == {"new"}
    assert "old" not in first._path.read_text()
    first.release()
