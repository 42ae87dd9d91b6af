"""What of users' data may be shown: secrets are taken out, and characters that would command a terminal are spelled.

Rule: nothing of a run reaches a screen or a log but through here. What is stored is left as it is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

MIN_LENGTH = 4  # anything shorter could not be taken out of an answer without spoiling it
HIDDEN = "***"

# C0 but tab and line feed, DEL, C1; marks and overrides of direction; separators of lines; the byte order mark.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def spelled(text: str) -> str:
    """With control characters as JSON writes them: in JSON it is the same value, elsewhere it does nothing."""
    if text.isprintable():
        return text
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Redactor:
    """Takes secrets out of texts and JSON: as they are, and in the forms in which services repeat them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)

    def text(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text

    def value(self, value: Any) -> Any:
        """The same for JSON, with its names and numbers."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self.value(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        if isinstance(value, int | float) and str(value) in self._forms:
            return HIDDEN
        return value


def _forms(secret: str) -> Iterable[str]:
    data = secret.encode()
    yield secret
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    yield base64.b64encode(data).decode().rstrip("=")
    yield base64.urlsafe_b64encode(data).decode().rstrip("=")
