"""What a command says when it lets its workers finish."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli.hosting.host import Host
from runner.cli.screen import Screen


@pytest.mark.parametrize(
    ("kind", "said"), [(None, "; Ctrl-C kills them"), (KeyboardInterrupt, "; Ctrl-C again kills them")]
)
def test_again_is_said_to_those_who_pressed_it_before(
    kind: type[BaseException] | None, said: str, capsys: pytest.CaptureFixture[str]
):
    host: Any = Host.__new__(Host)
    host._claims = SimpleNamespace(release=lambda: None)
    host.crew = SimpleNamespace(process=SimpleNamespace(is_idle=False, stop=lambda _grace_s: None))
    host._screen, host._end_engine = Screen(), lambda: None
    host.__exit__(kind, None, None)
    assert said in capsys.readouterr().err


def test_a_run_that_was_taken_up_and_did_not_end_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    rows = [SimpleNamespace(run_id=run_id, status=status) for run_id, status in (
        ("aaaa", "running"), ("bbbb", "stuck"), ("cccc", "running"), ("dddd", "running"),
    )]  # fmt: skip
    monkeypatch.setattr("runner.cli.hosting.host.live_runs", lambda _store: rows)
    host: Any = Host.__new__(Host)
    host._screen, host.reach = Screen(), SimpleNamespace(client=SimpleNamespace(store=None))
    host.check, host._moving = lambda: None, lambda _runs: frozenset()
    host._claims = SimpleNamespace(runs=frozenset({"aaaa", "bbbb", "dddd", "gone", "own"}))
    host.finish(besides="own", quiet=True)
    assert capsys.readouterr().err == ""
    host.finish(besides="own")
    assert capsys.readouterr().err.splitlines() == [
        "! stuck, of what was gone on with: bbbb",
        "· left waiting, of what was gone on with: aaaa, dddd",
    ]
