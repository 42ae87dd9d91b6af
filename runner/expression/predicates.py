"""The tests of expressions (`x is …`, `selectattr("x", …)`). A name that is not in PREDICATES cannot be asked.

They are stricter than Jinja2's where that is a trap: `true is number` is false, and a string is no sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.expression.fault import Misuse
from runner.expression.operators import COMPARISONS, contains
from runner.expression.paths import Absent
from runner.expression.values import is_number, kind


def is_defined(value: Any, /) -> bool:
    return type(value) is not Absent


def is_undefined(value: Any, /) -> bool:
    return type(value) is Absent


def is_none(value: Any, /) -> bool:
    return value is None


def is_boolean(value: Any, /) -> bool:
    return type(value) is bool


def is_true(value: Any, /) -> bool:
    return value is True


def is_false(value: Any, /) -> bool:
    return value is False


def is_a_number(value: Any, /) -> bool:
    return is_number(value)


def is_integer(value: Any, /) -> bool:
    return type(value) is int


def is_float(value: Any, /) -> bool:
    return type(value) is float


def is_string(value: Any, /) -> bool:
    return type(value) is str


def is_mapping(value: Any, /) -> bool:
    return isinstance(value, Mapping)


def is_sequence(value: Any, /) -> bool:
    return type(value) is list


def is_in(value: Any, seq: Any, /) -> bool:
    return contains(seq, value)


def is_odd(value: Any, /) -> bool:
    return _whole(value) % 2 == 1


def is_even(value: Any, /) -> bool:
    return _whole(value) % 2 == 0


def is_divisibleby(value: Any, num: Any, /) -> bool:
    if _whole(num) == 0:
        raise Misuse("divisibleby zero")
    return _whole(value) % _whole(num) == 0


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise Misuse(f"a whole number is needed, not {kind(value)}")
    return value


def _comparison(name: str) -> Callable[[Any, Any], bool]:
    decide = COMPARISONS[name]

    def compared(value: Any, other: Any, /) -> bool:
        return decide(value, other)

    return compared


_COMPARED = {
    "eq": ("eq", "equalto", "=="),
    "ne": ("ne", "!="),
    "lt": ("lt", "lessthan", "<"),
    "lteq": ("le", "<="),
    "gt": ("gt", "greaterthan", ">"),
    "gteq": ("ge", ">="),
}
TOLERANT = frozenset({"defined", "undefined"})  # may be asked of an Absent
_NAMED: dict[str, Callable[..., bool]] = {
    "defined": is_defined,
    "undefined": is_undefined,
    "none": is_none,
    "boolean": is_boolean,
    "true": is_true,
    "false": is_false,
    "number": is_a_number,
    "integer": is_integer,
    "float": is_float,
    "string": is_string,
    "mapping": is_mapping,
    "sequence": is_sequence,
    "in": is_in,
    "odd": is_odd,
    "even": is_even,
    "divisibleby": is_divisibleby,
}
PREDICATES: Mapping[str, Callable[..., bool]] = {
    **_NAMED,
    **{alias: _comparison(name) for name, aliases in _COMPARED.items() for alias in aliases},
}
