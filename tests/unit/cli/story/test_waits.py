"""What a run waits for, in words."""

from __future__ import annotations

from datetime import datetime

import pytest

from runner.cli.story.waits import signal_command, until_text, wait_text
from runner.definition.model import SignalAction

NOON = int(datetime(2026, 3, 2, 12, 0).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("after_ms", "text"),
    [
        (2 * 3_600_000 + 300_000, "until 14:05 (in 2 h 5 min)"),
        (90_000, "until 12:01:30 (in 1 min 30 s)"),
        (3 * 86_400_000, "until 2026-03-05 12:00 (in 3 d)"),
        (-5, "until 11:59 (in 0 ms)"),
    ],
)
def test_a_time_is_told_with_how_far_it_is(after_ms: int, text: str):
    assert until_text(NOON + after_ms, NOON) == text


def test_without_a_clock_a_time_has_its_date():
    assert until_text(NOON, 0) == "until 2026-03-02 12:00"


def test_a_wait_without_a_limit_says_only_what_for():
    assert wait_text(SignalAction("review"), 0, NOON) == "waits for signal review"
    assert wait_text(SignalAction("review"), NOON + 3_600_000, NOON) == "waits for signal review until 13:00 (in 1 h)"
    assert wait_text(None, NOON + 3_600_000, NOON) == "waits until 13:00 (in 1 h)"


@pytest.mark.parametrize(
    ("schema", "command"),
    [
        (None, "sagarun signal abc review"),
        ({"type": ["object", "null"]}, "sagarun signal abc review --data …"),
        ({"type": "string"}, """sagarun signal abc review --data '"…"'"""),
        (
            {"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}, "by": {}}},
            """sagarun signal abc review --data '{"ok":true}'""",
        ),
        ({"type": "object", "required": ["ok"]}, "sagarun signal abc review --data …"),
        ({"examples": [{"by": "Ann O'Hara"}]}, """sagarun signal abc review --data '{"by":"Ann O'"'"'Hara"}'"""),
    ],
)
def test_the_command_has_an_example_that_a_shell_takes(schema: dict[str, object] | None, command: str):
    assert signal_command("abc", SignalAction("review", schema)) == command
