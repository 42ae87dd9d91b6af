"""What an unquoted YAML scalar means: the YAML 1.2 core schema, less what two readers would read differently.

`on`, `no`, `12:30` and `2020-01-01` are text, as editors have it (YAML 1.1 makes them true, false, 750 and a date).
`True` and `NULL` would be text by our rule and a boolean and null by theirs, and `010` is ten to one reader and eight
to another, so they are refused: quoted, in lower case or without the zero they are clear.
"""

from __future__ import annotations

import math
import re
from typing import Any

_NUMBERS = re.compile(
    r"""(?P<int>[-+]?[0-9]+)
    |   (?P<oct>0o[0-7]+)
    |   (?P<hex>0x[0-9a-fA-F]+)
    |   (?P<float>[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)
    |   (?P<endless>[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))""",
    re.VERBOSE,
)
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_UNCLEAR = {"Null": "null", "NULL": "null", "True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
_LARGEST = 2**63 - 1  # every JSON reader of the other side keeps it exactly, or says that it does not


def resolve(text: str) -> Any:
    """The value of a plain scalar. Raises ValueError, with what to write instead, for one that JSON does not have."""
    if text in _WORDS:
        return _WORDS[text]
    if text in _UNCLEAR:
        raise ValueError(f'write {_UNCLEAR[text]}, or "{text}" for the text')
    match = _NUMBERS.fullmatch(text)
    if match is None:
        return text
    if match.lastgroup == "endless":
        raise ValueError(f'{text} is not a number of JSON; write "{text}" for the text')
    if match["float"]:
        number = float(text)
        if math.isinf(number):
            raise ValueError("the number is too large; put it in quotes to keep it as text")
        return number
    return _integer(match)


def _integer(match: re.Match[str]) -> int:
    text = match[0]
    digits = text.lstrip("+-")
    if match["int"] and len(digits) > 1 and digits[0] == "0":
        raise ValueError(f"a number that begins with 0 is octal to some readers; write {_without_zeros(text, digits)}")
    if len(text) > 64:  # int() refuses thousands of digits in words of its own
        raise ValueError("the number is too large; put it in quotes to keep it as text")
    number = int(text, 8) if match["oct"] else int(text, 16) if match["hex"] else int(text)
    if abs(number) > _LARGEST:
        raise ValueError("the number is too large; put it in quotes to keep it as text")
    return number


def _without_zeros(text: str, digits: str) -> str:
    """What may have been meant by 012."""
    rest = digits.lstrip("0")
    if len(rest) > 20:
        return "it without them, or in quotes"
    octal = f"0o{rest} for the octal number, " if rest and text == digits and not set(rest) & {"8", "9"} else ""
    return f'{text[: -len(digits)]}{rest or "0"}, {octal}or "{text}" for the text'
