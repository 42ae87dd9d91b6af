"""What somebody who interrupts a verb is told: whether it was asked of the run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli import asking, main
from runner.cli.failure import Exit


@pytest.mark.parametrize(
    ("is_asked", "said"),
    [
        (False, "interrupted; nothing was asked of the run"),
        (True, "interrupted; cancel was asked for: sagarun show 0123456789abcdef says what came of it"),
    ],
)
def test_who_interrupts_a_verb_is_told_whether_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], is_asked: bool, said: str
):
    def follow(_chosen: Any, _run: str, _verb: str, ask: asking.Ask, _modules: Any) -> int:
        if is_asked:
            client: Any = SimpleNamespace(cancel=lambda *_, **__: "asked")
            ask(client, "0123456789abcdef")
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(asking, "_ask_and_follow", follow)
    assert main.invoke(["cancel", "0123"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == f"{said}\n"


def test_who_interrupts_a_rerun_before_it_began_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def settings() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runner.cli.settings.settings", settings)
    assert main.invoke(["rerun", "0123"]) == Exit.INTERRUPTED
    assert capsys.readouterr().err == "interrupted; nothing was started\n"
