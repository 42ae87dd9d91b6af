"""The operators of expressions, bounded. None of them is Python's own: each says what it takes and refuses the rest.

`**` does not exist, `*` and `%` are for numbers only (no repeated strings, no formatting), `+` joins two of a kind,
`~` joins texts. Arguments are plain JSON values and, where it says so, Absent.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from runner.expression.fault import Misuse
from runner.expression.limits import MAX_ITEMS
from runner.expression.paths import MISSING, Absent, absence, member
from runner.expression.values import check_length, checked, checked_text, is_number, kind, same, text_of


def add(left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return checked(left + right)
    if type(left) is str and type(right) is str:
        check_length(len(left) + len(right))
        return left + right
    if type(left) is list and type(right) is list:
        if len(left) + len(right) > MAX_ITEMS:
            raise Misuse(f"the list is longer than {MAX_ITEMS:,} items")
        return left + right
    remedy = "; join texts with ~" if str in (type(left), type(right)) else ""
    raise Misuse(f"+ needs two numbers, two strings or two lists, not {kind(left)} and {kind(right)}{remedy}")


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculate(left: Any, right: Any) -> Any:
        if not (is_number(left) and is_number(right)):
            raise Misuse(f"{symbol} needs two numbers, not {kind(left)} and {kind(right)}")
        if right == 0 and symbol in ("/", "//", "%"):
            raise Misuse(f"{symbol} by zero")
        return checked(compute(left, right))

    return calculate


def negative(value: Any) -> Any:
    if not is_number(value):
        raise Misuse(f"- needs a number, not {kind(value)}")
    return checked(-value)


def positive(value: Any) -> Any:
    if not is_number(value):
        raise Misuse(f"+ needs a number, not {kind(value)}")
    return value


def concatenate(*values: Any) -> str:
    texts = [text_of(value) for value in values]
    check_length(sum(map(len, texts)))
    return "".join(texts)


def contains(container: Any, value: Any) -> bool:
    """`value in container`: an item of a list, a key of a mapping, a part of a string."""
    if type(container) is list:
        # First at C speed: what Python does not find is not there, what it finds may be a 1 where `true` is looked for.
        return value in container and any(same(item, value) for item in container)
    if type(container) is str and type(value) is str:
        return value in container
    if isinstance(container, Mapping):
        return type(value) is str and value in container
    raise Misuse(f"in needs a list, a mapping, or two strings, not {kind(value)} in {kind(container)}")


def _ordering(symbol: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        if (is_number(left) and is_number(right)) or (type(left) is str and type(right) is str):
            return compare(left, right)
        raise Misuse(f"{symbol} needs two numbers or two strings, not {kind(left)} and {kind(right)}")

    return ordered


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": same,
    "ne": lambda left, right: not same(left, right),
    "lt": _ordering("<", operator.lt),
    "lteq": _ordering("<=", operator.le),
    "gt": _ordering(">", operator.gt),
    "gteq": _ordering(">=", operator.ge),
    "in": lambda value, container: contains(container, value),
    "notin": lambda value, container: not contains(container, value),
}


def compare(first: Any, names: tuple[str, ...], *others: Any) -> bool:
    """`first < other`, or a chain: `1 <= count < 10`. `names` are Jinja2's names of the operators."""
    left = first
    for name, right in zip(names, others, strict=True):
        if not COMPARISONS[name](left, right):
            return False
        left = right
    return True


def list_of(_nothing: None, *items: Any) -> list[Any]:
    return list(items)


def mapping_of(_nothing: None, *parts: Any) -> dict[str, Any]:
    """The mapping of keys and values in turn."""
    keys = parts[::2]
    for key in keys:
        if type(key) is not str:
            raise Misuse(f"a key must be a string, not {kind(key)}")
    return dict(zip(keys, parts[1::2], strict=True))


def item(value: Any, key: Any, label: str) -> Any:
    """`value[key]` for a key that is computed, or for a value that is. Takes and gives Absent.

    `label` is what `value` is called in messages.
    """
    if type(key) is Absent:
        raise key.fault()
    if type(key) is not str and type(key) is not int:
        raise Misuse(f"a subscript is a name or a whole number, not {kind(key)}")
    if type(value) is Absent:
        return value.child(key)
    found = member(value, key)
    return absence(label, value, key) if found is MISSING else found


def part(value: Any, start: Any, stop: Any) -> Any:
    """`value[start:stop]` of a list or a string."""
    for bound in (start, stop):
        if bound is not None and type(bound) is not int:
            raise Misuse(f"a slice needs whole numbers, not {kind(bound)}")
    if type(value) is not list and type(value) is not str:
        raise Misuse(f"a slice needs a list or a string, not {kind(value)}")
    cut = value[start:stop]
    return checked_text(cut) if type(cut) is str else cut


OPERATORS: Mapping[str, Callable[..., Any]] = {
    "+": add,
    "-": _arithmetic("-", operator.sub),
    "*": _arithmetic("*", operator.mul),
    "/": _arithmetic("/", operator.truediv),
    "//": _arithmetic("//", operator.floordiv),
    "%": _arithmetic("%", operator.mod),
    "negative": negative,
    "positive": positive,
    "~": concatenate,
    "compare": compare,
    "list display": list_of,
    "mapping display": mapping_of,
    "slice": part,
    "item": item,
}
