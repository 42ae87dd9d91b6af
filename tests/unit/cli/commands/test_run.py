"""What somebody who interrupts a start is told of the run: money may hang on it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli import main
from runner.cli.commands import run
from runner.cli.failure import Exit


def interrupt(*_: Any) -> Any:
    raise KeyboardInterrupt


def started(*_: Any) -> Any:
    return SimpleNamespace(id="0123456789abcdef")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (None, "interrupted; nothing was started"),
        (interrupt, "interrupted; it was being started; sagarun list says whether it was"),
        (started, "interrupted; it was started, as run 0123456789abcdef: sagarun watch 0123456789abcdef"),
    ],
)
def test_who_interrupts_a_start_is_told_whether_there_is_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], start: Any, said: str
):
    def run_here(order: run.Order, _chosen: Any) -> int:
        if start is not None:
            run._start(order, SimpleNamespace(start=start), None, None)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.delenv("SAGARUN_REDIS_URL", raising=False)
    monkeypatch.setattr(run, "_run_here", run_here)
    assert main.invoke(["run", str(tmp_path / "order.yaml")]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == f"{said}\n"
