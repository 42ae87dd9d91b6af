"""Which cases `-k` means: texts that a name has, joined by and, or, not and parentheses. Nothing is evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable

from runner.errors import UsageError

Matcher = Callable[[str], bool]
_TOKEN = re.compile(r"\s*(?:(?P<sign>[()])|(?P<word>[^\s()]+))")


def matcher(expression: str) -> Matcher:
    """Takes every name for an empty one. Raises UsageError."""
    tokens = [match["sign"] or match["word"] for match in _TOKEN.finditer(expression)]
    if not tokens:
        return lambda _name: True
    reader = _Reader(tokens, expression)
    found = reader.either()
    if reader.next is not None:
        raise reader.wrong()
    return found


class _Reader:
    def __init__(self, tokens: list[str], expression: str) -> None:
        self._tokens = tokens
        self._expression = expression

    @property
    def next(self) -> str | None:
        return self._tokens[0] if self._tokens else None

    def wrong(self) -> UsageError:
        found = "it ends too early" if self.next is None else f'"{self.next}" cannot stand there'
        return UsageError(f"-k {self._expression!r}: {found}; texts are joined by and, or, not and parentheses")

    def either(self) -> Matcher:
        parts = [self.both()]
        while self.next == "or":
            self._tokens.pop(0)
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda name: any(part(name) for part in parts)

    def both(self) -> Matcher:
        parts = [self.one()]
        while self.next == "and":
            self._tokens.pop(0)
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else lambda name: all(part(name) for part in parts)

    def one(self) -> Matcher:
        if self.next in (None, "and", "or", ")"):
            raise self.wrong()
        token = self._tokens.pop(0)
        if token == "not":
            refused = self.one()
            return lambda name: not refused(name)
        if token == "(":
            inner = self.either()
            if self.next != ")":
                raise self.wrong()
            self._tokens.pop(0)
            return inner
        return lambda name: token.lower() in name.lower()
