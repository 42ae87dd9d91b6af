"""Durations."""

from __future__ import annotations

import pytest

from runner.definition.duration import MAX_DURATION_MS, parse_duration


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("0ms", 0), ("200ms", 200), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000), ("3650d", MAX_DURATION_MS)],
)
def test_a_duration_is_milliseconds(text: str, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    "text", ["", "5", "5 s", "s", "-5s", "1.5s", "5S", "5s\n", "٣s", "1w", "9" * 20 + "s", "3651d"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a duration|ten years"):
        parse_duration(text)
