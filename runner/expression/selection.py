"""The filters that go through a list: map, select, reject, selectattr, rejectattr. They give lists, not generators.

`map` takes an attribute only: in Jinja2 it can also apply any filter by name, which would be a way around the checks.
The name of a test is checked, with the number of its arguments, when the expression is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from runner.expression.fault import Misuse
from runner.expression.limits import MAX_ITEMS, MAX_SCANNED
from runner.expression.paths import MISSING, Absent, Key, absence, member, written
from runner.expression.predicates import PREDICATES, TOLERANT
from runner.expression.values import kind

_UNSET: Any = object()
_WHOLE = re.compile("[0-9]{1,9}")


def map_attribute(value: Any, /, *, attribute: Any, default: Any = _UNSET) -> list[Any]:
    """`attribute` may be a path ("address.city", "lines.0"). One that an item lacks is a fault, or the default."""
    mapped = []
    for index, item in enumerate(_checked_list("map", value)):
        found = _look(index, item, attribute)
        mapped.append(default if default is not _UNSET and type(found) is Absent else _present(found))
    return mapped


def select(value: Any, /, test: Any = None, *arguments: Any) -> list[Any]:
    return _chosen("select", value, None, test, arguments, True)


def reject(value: Any, /, test: Any = None, *arguments: Any) -> list[Any]:
    return _chosen("reject", value, None, test, arguments, False)


def selectattr(value: Any, attribute: Any, /, test: Any = None, *arguments: Any) -> list[Any]:
    return _chosen("selectattr", value, attribute, test, arguments, True)


def rejectattr(value: Any, attribute: Any, /, test: Any = None, *arguments: Any) -> list[Any]:
    return _chosen("rejectattr", value, attribute, test, arguments, False)


def attribute_of(index: int, item: Any, attribute: Any) -> Any:
    """The attribute of the item at `index`; a fault if there is none."""
    return _present(_look(index, item, attribute))


def _chosen(name: str, value: Any, attribute: Any, test: Any, arguments: tuple[Any, ...], wanted: bool) -> list[Any]:
    items = _checked_list(name, value)
    predicate: Callable[..., bool] = bool if test is None else PREDICATES[test]
    # `in` looks each item up in the whole argument: the only work here that grows with a product of two sizes.
    looked_up = len(arguments[0]) if test == "in" and isinstance(arguments[0], (list, str)) else 0
    if len(items) * looked_up > MAX_SCANNED:
        raise Misuse(f'{name}("in", …) would compare more than {MAX_SCANNED:,} times')
    chosen = []
    for index, item in enumerate(items):
        subject = item if attribute is None else _look(index, item, attribute)
        if test not in TOLERANT:
            _present(subject)
        if predicate(subject, *arguments) is wanted:
            chosen.append(item)
    return chosen


def _look(index: int, item: Any, attribute: Any) -> Any:
    if type(attribute) is not str and type(attribute) is not int:
        raise Misuse(f"an attribute is a name or a whole number, not {kind(attribute)}")
    holder, value = f"item {index}", item
    for name in str(attribute).split("."):
        key: Key = int(name) if type(value) is list and _WHOLE.fullmatch(name) else name
        below = member(value, key)
        if below is MISSING:
            return absence(holder, value, key)
        holder, value = holder + written(key), below
    return value


def _present(value: Any) -> Any:
    if type(value) is Absent:
        raise Misuse(value.reason())
    return value


def _checked_list(name: str, value: Any) -> list[Any]:
    if type(value) is not list:
        raise Misuse(f"{name} needs a list, not {kind(value)}")
    if len(value) > MAX_ITEMS:
        raise Misuse(f"{name} takes at most {MAX_ITEMS:,} items, not {len(value):,}")
    return value
