"""Moments as definitions write them: ISO 8601 with date, time and zone. A run waits in milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_ZONED = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,6})?)?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str) -> int:
    """Milliseconds since 1970. Raises ValueError for anything that is not one certain moment."""
    if _ZONED.fullmatch(text) is None:
        raise ValueError(f'"{text[:40]}" is not a time with its date and zone')
    try:
        moment = datetime.fromisoformat(text.upper().replace(",", "."))
        since = moment - _EPOCH
    except (ValueError, OverflowError) as error:
        raise ValueError(f'"{text[:40]}" is no time that there is') from error
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
