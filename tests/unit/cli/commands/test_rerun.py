"""What is said of a rerun when it begins."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runner.cli.commands.rerun import announced


@pytest.mark.parametrize(
    ("status", "more"), [("compensated", ""), ("completed", ", which completed: its work is done a second time")]
)
def test_who_runs_again_what_completed_is_told_so(status: str, more: str):
    before = SimpleNamespace(run_id="aaaa", status=status)
    assert announced("bbbb", before) == f"▶ run bbbb, a rerun of aaaa{more}"  # type: ignore[arg-type]
