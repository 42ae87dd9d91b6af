"""Reading a value by its path, without Jinja2: `input.items[0].sku`. The only way from an expression to data.

Only keys of mappings and indexes of lists and strings can be read. Attributes of Python objects do not exist here:
`input.items` is the order's items, and `input.__class__` is a key that the order does not have.
A path that leads nowhere gives an Absent, which can be read through and tested; using it is a fault naming the path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from runner.expression.fault import ExpressionFault
from runner.expression.values import kind

Key = str | int
MISSING: Any = object()
_LISTED = 8  # keys that a message lists
_CUT = 40  # characters of each


@dataclass(frozen=True, slots=True, eq=False)
class Absent:
    """What a path leads to when there is nothing. `reason` is only worked out for a message."""

    path: str
    reason: Callable[[], str]
    column: int = 0  # 0: not yet known
    length: int = 1

    def child(self, key: Key) -> Absent:
        """Absence can be read through: the child of nothing is nothing, for the same reason."""
        return Absent(self.path + written(key), self.reason, self.column, self.length)

    def fault(self) -> ExpressionFault:
        message = f"{self.path} is absent: {self.reason()}"
        return ExpressionFault(message, column=self.column or 1, length=self.length)

    def __bool__(self) -> NoReturn:
        """`and`, `or`, `not` and `if` ask: to be absent is neither true nor false."""
        raise self.fault()


def is_absent(value: Any) -> bool:
    """Whether `value` stands for nothing having been found. `evaluate` and `render` never give one."""
    return type(value) is Absent


def member(value: Any, key: Key) -> Any:
    """The value under a key or at an index, or MISSING. Nothing else of `value` can be reached."""
    if isinstance(value, Mapping):
        try:
            return value[key] if type(key) is str else MISSING
        except KeyError:
            return MISSING
    if isinstance(value, (list, tuple, str)) and type(key) is int and -len(value) <= key < len(value):
        return value[key]
    return MISSING


def absence(holder: str, value: Any, key: Key) -> Absent:
    """The Absent for a `member` that is MISSING; `holder` is what `value` is called."""
    return Absent(holder + written(key), partial(_why, holder, value, key))


def written(key: Key) -> str:
    """A key as it is written after what it belongs to."""
    if type(key) is str:
        return f".{key}" if key.isidentifier() else f'["{key[:_CUT]}"]'
    return f"[{key}]"


def _why(holder: str, value: Any, key: Key) -> str:
    if isinstance(value, Mapping) and type(key) is str:
        return f'{holder} has no "{key[:_CUT]}" ({_listed("has", value)})'
    if isinstance(value, (list, str)):
        if type(key) is int:
            return f"{holder} has {len(value)} {'items' if isinstance(value, list) else 'characters'}"
        if isinstance(value, list):
            return f'{holder} is a list; read one item ([0]), or the "{key}" of each (| map(attribute="{key}"))'
    return f"{holder} is {kind(value)}"


def _listed(what: str, mapping: Mapping[str, Any]) -> str:
    keys = sorted(str(key)[:_CUT] for key in mapping)
    if not keys:
        return "it is empty"
    return f"{what}: {', '.join(keys[:_LISTED])}{', …' if len(keys) > _LISTED else ''}"


@dataclass(frozen=True, slots=True)
class Path:
    """A static path. `places` are the column and length of each segment in the source."""

    segments: tuple[Key, ...]
    places: tuple[tuple[int, int], ...]

    @property
    def text(self) -> str:
        return str(self.segments[0]) + "".join(map(written, self.segments[1:]))

    @property
    def column(self) -> int:
        return self.places[0][0]

    @property
    def length(self) -> int:
        last_column, last_length = self.places[-1]
        return last_column + last_length - self.column

    def read(self, scope: Mapping[str, Any]) -> Any:
        """The value or an Absent: `member` after `member`. Nearly every expression of every step comes to this."""
        value: Any = scope
        for key in self.segments:
            # Plain dicts are nearly all there is; asking for an ABC first would make this five times slower.
            value = value.get(key, MISSING) if type(value) is dict else member(value, key)
            if value is MISSING:
                return self._absent(scope)
        return value

    def _absent(self, scope: Mapping[str, Any]) -> Absent:
        value, depth = member(scope, self.segments[0]), 1
        if value is MISSING:
            return Absent(self.text, partial(_unknown_name, scope, str(self.segments[0])), *self.places[0])
        while (below := member(value, self.segments[depth])) is not MISSING:
            value, depth = below, depth + 1
        holder = Path(self.segments[:depth], self.places[:depth]).text
        return Absent(self.text, partial(_why, holder, value, self.segments[depth]), *self.places[depth])


def _unknown_name(scope: Mapping[str, Any], name: str) -> str:
    return f'there is no "{name[:_CUT]}" here ({_listed("there are", scope)})'
