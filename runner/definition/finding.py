"""A finding names a node of the document, a problem a place in a file. Only `Source.problem` makes one of the other.

Whatever checks a definition (schema, structure, lint rules) yields findings, so that none of it counts columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from runner.definition.problem import Severity

MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """`pointer` is a JSON pointer into the document, "" for all of it.

    `on_key` underlines the key instead of its value. `column` (1-based) and `length` underline a part
    of the string at `pointer`; column 0 underlines all of it.
    """

    code: str
    pointer: str
    message: str
    hint: str = ""
    on_key: bool = False
    column: int = 0
    length: int = 0
    severity: Severity = "error"
    instead: str = ""  # what was probably meant, where that is one word
    is_slip: bool = False  # and nothing else can have been meant: it may be written in its place


def child(pointer: str, key: str | int) -> str:
    """The pointer of a member: child("/steps", 0) is "/steps/0"."""
    if isinstance(key, str) and ("~" in key or "/" in key):
        key = key.replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{key}"


def parent(pointer: str) -> str:
    """The pointer of what holds it; "" for a member of the top level."""
    return pointer.rpartition("/")[0]


def last(pointer: str) -> str:
    """The key or index at the end of a pointer."""
    return pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")


def shown(value: Any) -> str:
    """A value as a message quotes it: JSON, one line, and short, whatever somebody wrote."""
    text = msgspec.json.encode(value).decode() if not isinstance(value, float) else repr(value)
    return cut(clean(text))


def clean(text: str) -> str:
    """Without control characters: what somebody wrote is shown on terminals."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
