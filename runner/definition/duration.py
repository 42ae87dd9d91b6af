"""Durations as definitions write them: "200ms", "10s", "5m", "2h", "1d". In the model they are milliseconds."""

from __future__ import annotations

import re

_DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MAX_DURATION_MS = 3_650 * _UNIT_MS["d"]  # far below 2^53, where a score of Redis stops being exact


def parse_duration(text: str) -> int:
    """Milliseconds. Raises ValueError for anything else than a duration of at most ten years."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text[:40]}" is not a duration such as 200ms, 10s, 5m, 2h or 1d')
    duration_ms = int(match[1]) * _UNIT_MS[match[2]]
    if duration_ms > MAX_DURATION_MS:
        raise ValueError(f'"{text}" is more than ten years (3650d)')
    return duration_ms


def shown_duration(duration_ms: int) -> str:
    """'10s', '27m 3s', '2d 4h': its two largest units."""
    parts = []
    for unit, length in reversed(_UNIT_MS.items()):
        count, duration_ms = divmod(duration_ms, length)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0s"
