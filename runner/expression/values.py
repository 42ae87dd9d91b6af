"""JSON values as expressions see them: their kinds, their text, their equality, their size. Never their attributes.

Equality is JSON's: `true` is not 1 (Python says it is), 1 is 1.0. A dict holds JSON only; a Mapping that is no dict
may be a lazy view, and `plain` turns it into a dict before an operation sees it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from json.encoder import encode_basestring
from typing import Any

from runner.expression.fault import Misuse
from runner.expression.limits import INT_MAX, INT_MIN, MAX_RESULT, MAX_TEXT

_JSON_TYPES = frozenset({type(None), bool, int, float, str, list, dict})
_KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a mapping",
}


def kind(value: Any) -> str:
    """What to call a value in a message."""
    return _KINDS.get(type(value)) or ("a mapping" if isinstance(value, Mapping) else f"a {type(value).__name__}")


def is_number(value: Any) -> bool:
    """A boolean is none, whatever Python says."""
    return type(value) is int or type(value) is float


def plain(value: Any) -> Any:
    """`value` as JSON types. They are returned as they are; views, tuples and subclasses of str are copied."""
    if type(value) in _JSON_TYPES:
        return value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return str.__str__(value)
    raise Misuse(f"{kind(value)} is not a JSON value")


def text_of(value: Any) -> str:
    """A scalar as it stands in a text: strings as they are, numbers and booleans as in JSON (true, not True)."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if is_number(value):
        return repr(checked(value))
    if value is None:
        raise Misuse('null cannot be part of a text; give it a default: | default("", true)')
    remedy = '| join(", ") or | tojson' if type(value) is list else "| tojson, or read one of its values"
    raise Misuse(f"{kind(value)} cannot be part of a text; use {remedy}")


def checked(number: Any) -> Any:
    """The number, if it is one that JSON and 64 bits can hold."""
    if type(number) is int:
        if not INT_MIN <= number <= INT_MAX:
            raise Misuse("the number does not fit into 64 bits")
    elif not math.isfinite(number):
        raise Misuse("the result is not a finite number")
    return number


def check_length(characters: int) -> None:
    """For a text that is not built yet."""
    if characters > MAX_TEXT:
        raise Misuse(f"the text would be longer than {MAX_TEXT:,} characters")


def checked_text(text: str) -> str:
    """The string, if it may go on to the next operation."""
    check_length(len(text))
    return text


def checked_result(value: Any) -> Any:
    """The computed value, if its JSON is within the limit."""
    if json_size(value) > MAX_RESULT:
        raise Misuse(f"the result is larger than {MAX_RESULT // 1024} KiB of JSON")
    return value


def json_size(value: Any, limit: int = MAX_RESULT) -> int:
    """The bytes of `value` as compact JSON in UTF-8; stops counting as soon as there are more than `limit`.

    A list that holds one large value a hundred times is small in memory and huge as JSON, so nothing is encoded here.
    """
    size = 0
    waiting = [value]
    while waiting and size <= limit:
        item = waiting.pop()
        if isinstance(item, Mapping):
            size += 1 + 2 * len(item) if item else 2  # {} and per pair a colon and a comma, less one comma
            if size <= limit:
                waiting.extend(item.keys())
                waiting.extend(item.values())
        elif type(item) is list:
            size += 1 + len(item) if item else 2
            if size <= limit:
                waiting.extend(item)
        else:
            size += _scalar_size(item, limit)
    return size


def _scalar_size(value: Any, limit: int) -> int:
    if type(value) is str:
        if len(value) > limit:
            return len(value)
        return len(encode_basestring(value).encode("utf-8", "surrogatepass"))
    if type(value) is int and not INT_MIN <= value <= INT_MAX:
        return value.bit_length() // 3 + 1  # repr() of a very long int is slow, then refused
    return 5 if value is False else 4 if value is None or value is True else len(repr(value))


def same(left: Any, right: Any) -> bool:
    """JSON equality, at any depth."""
    if left is right:
        return True
    if left != right:  # at C speed; Python's equality is the looser one, so this answer holds
        return False
    waiting = [(left, right)]
    while waiting:
        one, other = waiting.pop()
        if (type(one) is bool) is not (type(other) is bool):
            return False
        if type(one) is dict:
            waiting.extend((value, other[key]) for key, value in one.items())
        elif type(one) is list:
            waiting.extend(zip(one, other, strict=True))
    return True


def hashable(value: Any) -> Hashable:
    """Equal for two values exactly when `same` is true for them."""
    if type(value) is dict:
        return ("mapping", frozenset((key, hashable(item)) for key, item in value.items()))
    if type(value) is list:
        return ("list", *map(hashable, value))
    return ("boolean", value) if type(value) is bool else value
