"""What the status of an answer means for the operation: success, an error code, `no_effect`, or `unknown`.

What the definition says about a status comes first: its service is known to it, and not to us.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime

MAX_AFTER_MS = 86_400_000
REJECTED = "http_rejected"
# Sent by a server that has not read the request to its end, or that has seen the client go: who knows what it did.
_UNSURE = frozenset({408, 460, 499})
# Refused before anything was done, and not for ever: too early to be sure that it is no replay, and too many.
_LATER = frozenset({425, 429})


class Meaning:
    """What `expect` and `errors` say. A status is meant by itself before it is meant by its class."""

    def __init__(self, expect: Sequence[int | str], errors: Mapping[str, str]) -> None:
        self._expect = {str(each) for each in expect}
        self._errors = errors

    def named(self, status: int) -> str | None:
        """What `errors` says: a code, `no_effect` or `unknown`."""
        if str(status) in self._errors:
            return self._errors[str(status)]
        return None if str(status) in self._expect else self._errors.get(f"{status // 100}xx")

    def is_expected(self, status: int) -> bool:
        return str(status) in self._expect or f"{status // 100}xx" in self._expect


def meaning_of(status: int, *, is_safe: bool, attempt: int, meaning: Meaning) -> str:
    """Of a status about which `errors` says nothing."""
    if meaning.is_expected(status):
        return "ok"
    if status in _LATER:
        return "no_effect"
    if is_safe:
        return "no_effect" if status >= 500 or status in _UNSURE else REJECTED
    if status < 400 or status >= 500 or status in _UNSURE:
        return "unknown"  # also 2xx and 3xx: something was done, and not what was expected
    if status == 409 and attempt > 1:
        return "unknown"  # services say so of a key whose first request they are still working on
    return REJECTED


def retry_after_ms(headers: Mapping[str, str]) -> int:
    """0: it does not say, or not so that it can be read."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, MAX_AFTER_MS)
    try:
        at = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.datetime.now(datetime.UTC)
        seconds = (at - now).total_seconds()
    except (ValueError, TypeError):
        return 0
    return max(0, min(round(seconds * 1000), MAX_AFTER_MS))
