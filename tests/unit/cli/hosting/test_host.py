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
