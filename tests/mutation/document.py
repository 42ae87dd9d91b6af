"""A definition as plain values that can be changed in one place: every edit is made in a copy of the whole."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runner.expression.evaluate import ExpressionFault, Reference, compile_template

Place = tuple[str | int, ...]
_STEP_LISTS = ("steps", "finally", "else")
CALLS = ("compensate", "verify", "confirm")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. `what` says it to a person."""

    operator: str
    what: str
    value: Any


def at(value: Any, place: Place) -> Any:
    for key in place:
        value = value[key]
    return value


def changed(value: Any, place: Place, change: Callable[[Any], Any]) -> Any:
    """A copy in which what is at the place was changed; `change` gives what is there then."""
    made = copy.deepcopy(value)
    holder = at(made, place[:-1])
    holder[place[-1]] = change(holder[place[-1]])
    return made


def put(value: Any, place: Place, given: Any) -> Any:
    made = copy.deepcopy(value)
    at(made, place[:-1])[place[-1]] = given
    return made


def without(value: Any, place: Place) -> Any:
    """A copy that lacks this member or item."""
    made = copy.deepcopy(value)
    del at(made, place[:-1])[place[-1]]
    return made


def renamed(value: Any, place: Place, name: str) -> Any:
    """A copy in which the member has another name, and stands where it stood."""
    made = copy.deepcopy(value)
    holder = at(made, place[:-1])
    items = [(name if key == place[-1] else key, item) for key, item in holder.items()]
    holder.clear()
    holder.update(items)
    return made


def sequences(value: Any, place: Place = ()) -> Iterator[tuple[Place, list[Any]]]:
    """Every list of steps, wherever it is."""
    if isinstance(value, dict):
        for key, item in value.items():
            if place and key in ("with", "set", "output", "input", "schema", "use"):
                continue
            here = (*place, key)
            is_branch = place[-2:] == ("parallel", "branches")
            if isinstance(item, list) and (key in _STEP_LISTS or is_branch):
                yield here, item
            yield from sequences(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from sequences(item, (*place, index))


def steps(value: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    for place, items in sequences(value):
        for index, step in enumerate(items):
            if isinstance(step, dict):
                yield (*place, index), step


def calls(value: Any) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Everything that asks a worker: steps, their undos, verifications and confirmations."""
    for place, step in steps(value):
        if "worker" in step:
            yield place, step
        for key in CALLS:
            if isinstance(step.get(key), dict):
                yield (*place, key), step[key]


def named(value: Any, place: Place) -> str:
    """The innermost step that a place is in, for people."""
    for end in range(len(place), 0, -1):
        inside = at(value, place[:end])
        if isinstance(inside, dict) and isinstance(inside.get("id"), str):
            rest = ".".join(str(key) for key in place[end:])
            return f"{inside['id']}{': ' + rest if rest else ''}"
    return ".".join(str(key) for key in place)


def texts(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every string that holds an expression."""
    if isinstance(value, str):
        if "{{" in value:
            yield place, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*place, index))


def references(value: Any) -> Iterator[tuple[Place, str, Reference]]:
    for place, text in texts(value):
        try:
            found = compile_template(text).references
        except ExpressionFault:
            continue
        for reference in found:
            yield place, text, reference


def spliced(text: str, reference: Reference, index: int, word: str) -> str:
    """The text with another word for one part of a path."""
    column, length = reference.segments[index]
    start = reference.offset + column - 1
    return text[:start] + word + text[start + length :]
