"""Memory and CPU of a process and its children, as /proc tells them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.store.vitals import Vitals, VitalsReader

PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def tell(root: Path, pid: int, *, ticks: int, pages: int) -> None:
    (root / str(pid)).mkdir(exist_ok=True)
    counted = ["S", *["0"] * 10, str(ticks), "0", *["0"] * 8, str(pages), "0"]
    (root / str(pid) / "stat").write_text(f"{pid} (a (strange) name) {' '.join(counted)}\n")


def test_the_process_and_its_children_are_added_up(tmp_path: Path):
    now = [100.0]
    reader = VitalsReader(slots=64, root=tmp_path, clock=lambda: now[0])
    tell(tmp_path, os.getpid(), ticks=3 * TICKS, pages=100)
    tell(tmp_path, 7, ticks=TICKS, pages=50)
    assert reader.read([7]) == Vitals(150 * PAGE, 4.0, 0.0, children=1, slots=64)
    now[0] = 102.0
    tell(tmp_path, 7, ticks=4 * TICKS, pages=60)
    assert reader.read([7]) == Vitals(160 * PAGE, 7.0, 1.5, children=1, slots=64)


def test_a_child_that_ended_takes_nothing_below_zero(tmp_path: Path):
    now = [1.0]
    reader = VitalsReader(root=tmp_path, clock=lambda: now[0])
    tell(tmp_path, os.getpid(), ticks=TICKS, pages=1)
    tell(tmp_path, 7, ticks=9 * TICKS, pages=1)
    reader.read([7])
    now[0] = 2.0
    assert reader.read([8]).cpu_share == 0.0


def test_where_there_is_no_proc_the_process_tells_of_itself(tmp_path: Path):
    found = VitalsReader(root=tmp_path / "none").read()
    assert found.rss_bytes > 1_000_000
    assert found.cpu_s > 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_this_very_process_uses_something():
    found = VitalsReader().read()
    assert 1_000_000 < found.rss_bytes < 10**12
    assert found.cpu_s > 0
