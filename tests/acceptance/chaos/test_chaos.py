"""The short form: 150 runs, blows every half second, leases of two seconds. The long form: `make chaos`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.chaos.__main__ import report
from tests.acceptance.chaos.conductor import Settings, play
from tests.project.repository import ROOT
from tests.servers import PATIENCE_S, until

RUNS = 150
SEED = 11
MOST_BLOWS = 20  # so that a busy machine comes to an end


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not pytest's tmp_path: its names can be too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        yield Path(name)


def test_under_blows_every_run_ends_as_it_has_to_and_every_effect_happens_once(folder: Path, tmp_path: Path):
    settings = Settings(
        runs=RUNS, seed=SEED, lease_ms=2_000, window=60, workers=2, most_blows=MOST_BLOWS, pause_s=2,
        dump_to=tmp_path, say=lambda _line: None,
    )  # fmt: skip
    result = play(settings, folder)
    assert result.is_good, "\n".join(report(result))
    assert sum(result.struck.values()) >= 5


def test_without_the_barrier_the_verdict_finds_effects_that_happened_twice(folder: Path, tmp_path: Path):
    settings = Settings(
        runs=40, seed=SEED, lease_ms=2_000, workers=2, has_barrier=False, most_blows=MOST_BLOWS, dump_to=tmp_path,
        say=lambda _line: None,
    )  # fmt: skip
    result = play(settings, folder)
    assert {finding.kind for finding in result.findings} >= {"wrong_effects"}


def test_one_that_is_ended_leaves_nothing_and_removes_what_a_killed_one_left(folder: Path, tmp_path: Path):
    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.acceptance.chaos", "--runs", "40", "--dump", str(tmp_path)]
        environment = os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    killed = start()
    until(lambda: list(folder.glob("chaos-*/s")), "its server is there")
    killed.kill()
    killed.communicate()
    (left,) = folder.glob("chaos-*")
    ended = start()
    until(lambda: [found for found in folder.glob("chaos-*/s") if found.parent != left], "its server is there")
    ended.send_signal(signal.SIGTERM)
    told, _ = ended.communicate(timeout=PATIENCE_S)
    assert told.splitlines() == [f"removing {left}, left by a chaos that was killed", "ended by SIGTERM: no verdict"]
    assert ended.returncode == 128 + signal.SIGTERM
    assert list(folder.iterdir()) == []


LEFT = """
import subprocess, sys
from tests.acceptance.chaos.__main__ import folder
from tests.servers import until

writes = "import itertools, pathlib; [pathlib.Path(str(n)).touch() for n in itertools.count()]"
with folder() as place:
    subprocess.Popen([sys.executable, "-c", writes], cwd=place)
    until((place / "0").exists, "it writes")
sys.exit(place.exists())
"""


def test_a_process_that_nobody_has_noted_does_not_keep_the_folder_from_going():
    """In a process of its own: every descendant of this one is ended, and the servers of other tests are such."""
    subprocess.run([sys.executable, "-c", LEFT], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
