"""The filters of expressions, bounded. A name that is not in FILTERS cannot be used.

They are Jinja2's by name and meaning, but strict: a filter takes the kind of value it is for and never guesses
(`"x" | int` is a fault, not 0; strings are compared as they are, not without their case; nothing is HTML-escaped).
Whatever could blow up is predicted before it is built. No filter changes its argument.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from runner.expression.fault import Misuse
from runner.expression.limits import MAX_ITEMS, MAX_SORTED
from runner.expression.paths import Absent
from runner.expression.selection import attribute_of, map_attribute, reject, rejectattr, select, selectattr
from runner.expression.values import (
    check_length,
    checked,
    checked_result,
    checked_text,
    hashable,
    is_number,
    kind,
    text_of,
)

_NUMBER = re.compile(r"\s*[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\s*", re.ASCII)
_NUMBER_LENGTH = 64
_MAX_DIGITS = 15
_UNSET: Any = object()


def default(value: Any, /, default_value: Any = "", boolean: bool = False) -> Any:
    """The value, unless it is absent (or, with `boolean`, empty, zero, false or null)."""
    return default_value if type(value) is Absent or (boolean is True and not value) else value


def length(value: Any, /) -> int:
    if not isinstance(value, (str, list, Mapping)):
        raise Misuse(f"length needs a string, a list or a mapping, not {kind(value)}")
    return len(value)


def lower(value: Any, /) -> str:
    return checked_text(_text("lower", value).lower())


def upper(value: Any, /) -> str:
    return checked_text(_text("upper", value).upper())


def trim(value: Any, /) -> str:
    return _text("trim", value).strip()


def replace(value: Any, /, old: Any, new: Any) -> str:
    text, old, new = _text("replace", value), _text("replace", old), _text("replace", new)
    if not old:
        raise Misuse("replace needs a text to look for")
    check_length(len(text) + text.count(old) * (len(new) - len(old)))
    return text.replace(old, new)


def join(value: Any, /, d: Any = "", attribute: Any = None) -> str:
    separator = _text("join", d)
    texts = [text_of(item) for item in _items("join", value, attribute)]
    check_length(sum(map(len, texts)) + len(separator) * max(len(texts) - 1, 0))
    return separator.join(texts)


def round_(value: Any, /, precision: Any = 0, method: Any = "common") -> Any:
    """As Jinja2 does: a whole number stays one with `common`; everything else gives a float."""
    number = _number("round", value)
    if type(precision) is not int or abs(precision) > _MAX_DIGITS:
        raise Misuse(f"round takes at most {_MAX_DIGITS} digits")
    if method == "common":
        return checked(round(number, precision))
    if method not in ("ceil", "floor"):
        raise Misuse('round knows the methods "common", "ceil" and "floor"')
    scale = 10**precision
    return checked((math.ceil if method == "ceil" else math.floor)(number * scale) / scale)


def int_(value: Any, /, default: Any = _UNSET) -> Any:
    """A number without its fraction, or a text that is one; what is neither is a fault, or the default."""
    number = _parsed(value)
    if number is None:
        return _fallback("int", value, default)
    return checked(int(number))


def float_(value: Any, /, default: Any = _UNSET) -> Any:
    number = _parsed(value)
    if number is None:
        return _fallback("float", value, default)
    return checked(float(number))


def string(value: Any, /) -> str:
    return checked_text(text_of(value))


def abs_(value: Any, /) -> Any:
    return checked(abs(_number("abs", value)))


def min_(value: Any, /, attribute: Any = None) -> Any:
    return _extreme("min", min, value, attribute)


def max_(value: Any, /, attribute: Any = None) -> Any:
    return _extreme("max", max, value, attribute)


def sum_(value: Any, /, attribute: Any = None, start: Any = 0) -> Any:
    numbers = [_number("sum", item) for item in _items("sum", value, attribute)]
    return checked(sum(numbers, _number("sum", start)))


def sort(value: Any, /, reverse: Any = False, attribute: Any = None) -> list[Any]:
    """All numbers or all strings, or mappings by an attribute that is."""
    keys = _items("sort", value, attribute, most=MAX_SORTED)
    _comparable("sort", keys)
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse is True)
    return [value[index] for index in order]


def unique(value: Any, /, attribute: Any = None) -> list[Any]:
    """The first of each, in their order."""
    first: dict[Any, Any] = {}
    for item, key in zip(value, _items("unique", value, attribute, most=MAX_SORTED), strict=False):
        first.setdefault(hashable(key), item)
    return list(first.values())


def first(value: Any, /) -> Any:
    return _end("first", value, 0)


def last(value: Any, /) -> Any:
    return _end("last", value, -1)


def list_(value: Any, /) -> list[Any]:
    """A copy of a list; the keys of a mapping."""
    if type(value) is not list and not isinstance(value, Mapping):
        raise Misuse(f"list needs a list or a mapping, not {kind(value)}")
    return list(value)


def tojson(value: Any, /) -> str:
    """Compact JSON with its keys sorted, so that equal values give equal texts."""
    return json.dumps(checked_result(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _text(name: str, value: Any) -> str:
    if type(value) is not str:
        raise Misuse(f"{name} needs a string, not {kind(value)}")
    return value


def _number(name: str, value: Any) -> Any:
    if not is_number(value):
        raise Misuse(f"{name} needs a number, not {kind(value)}")
    return value


def _items(name: str, value: Any, attribute: Any, most: int = MAX_ITEMS) -> list[Any]:
    """The items of a list, or an attribute of each."""
    if type(value) is not list:
        raise Misuse(f"{name} needs a list, not {kind(value)}")
    if len(value) > most:
        raise Misuse(f"{name} takes at most {most:,} items, not {len(value):,}")
    if attribute is None:
        return value
    return [attribute_of(index, item, attribute) for index, item in enumerate(value)]


def _comparable(name: str, values: list[Any]) -> None:
    if all(map(is_number, values)) or all(type(value) is str for value in values):
        return
    kinds = sorted({kind(value) for value in values})
    raise Misuse(f"{name} needs all numbers or all strings, not {' and '.join(kinds)}; or give attribute=")


def _extreme(name: str, choose: Callable[..., Any], value: Any, attribute: Any) -> Any:
    keys = _items(name, value, attribute)
    if not keys:
        return Absent(f"the {name} of a list", _empty)
    _comparable(name, keys)
    return value[choose(range(len(keys)), key=keys.__getitem__)]


def _end(name: str, value: Any, index: int) -> Any:
    if type(value) is not list and type(value) is not str:
        raise Misuse(f"{name} needs a list or a string, not {kind(value)}")
    return value[index] if value else Absent(f"the {name} of a list", _empty)


def _empty() -> str:
    return "it is empty"


def _parsed(value: Any) -> Any:
    """A number, or the number that a text is; None if it is none."""
    if is_number(value):
        return value
    if type(value) is not str or len(value) > _NUMBER_LENGTH:
        return None
    match = _NUMBER.fullmatch(value)
    if match is None:
        return None
    return checked(float(value) if match[1] or match[2] else int(value))


def _fallback(name: str, value: Any, default: Any) -> Any:
    if default is _UNSET:
        what = "this string" if type(value) is str else kind(value)
        raise Misuse(f"{name} cannot read {what} as a number; {name}(default=0) would give 0")
    return default


FILTERS: Mapping[str, Callable[..., Any]] = {
    "default": default,
    "d": default,
    "length": length,
    "count": length,
    "lower": lower,
    "upper": upper,
    "trim": trim,
    "replace": replace,
    "join": join,
    "round": round_,
    "int": int_,
    "float": float_,
    "string": string,
    "abs": abs_,
    "min": min_,
    "max": max_,
    "sum": sum_,
    "sort": sort,
    "unique": unique,
    "first": first,
    "last": last,
    "list": list_,
    "tojson": tojson,
    "map": map_attribute,
    "select": select,
    "reject": reject,
    "selectattr": selectattr,
    "rejectattr": rejectattr,
}
