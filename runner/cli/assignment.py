"""`--set a.b=text` and `--set a.b:=json`: read with the command line, applied when the input is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import click
import msgspec

from runner.errors import UsageError

_ASSIGNMENT = re.compile(r"([^=]*?)(:?=)(.*)", re.DOTALL)


class Assignment(NamedTuple):
    """A value for one place of the input. `text` is how it was written."""

    text: str
    path: tuple[str, ...]
    value: Any


def assignments(
    _context: click.Context, _parameter: click.Parameter, values: Sequence[str]
) -> tuple[Assignment, ...]:
    """A click callback."""
    try:
        return tuple(parse(value) for value in values)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


def parse(text: str) -> Assignment:
    """Raises UsageError."""
    match = _ASSIGNMENT.fullmatch(text)
    if match is None or not match[1]:
        raise UsageError(f"{text!r}: a.b=text or a.b:=json is needed")
    path, operator, value = match.groups()
    if operator == "=":
        return Assignment(text, tuple(path.split(".")), value)
    try:
        return Assignment(text, tuple(path.split(".")), msgspec.json.decode(value))
    except msgspec.DecodeError as error:
        raise UsageError(f"{text!r}: {value!r} is not JSON ({error}); {path}={value} gives text") from None


def text_for_json(problem: str, given: Sequence[Assignment]) -> str:
    """How to say it, where a problem of the input is that `=` gave a text and another type is wanted; else ""."""
    for assignment in given:
        place = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(assignment.path))
        path, _, text = assignment.text.partition("=")
        if problem.startswith(f"{place}: ") and " is not of type " in problem and path[-1] != ":" and _is_json(text):
            return f"; --set {path}:={text} gives it as JSON"
    return ""


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def unknown_member(schema: Any, path: Sequence[str]) -> tuple[str, list[str]] | None:
    """A part of the path that the schema has no property for, and those that it has. None: it has, or nobody knows."""
    for key in path:
        if not isinstance(schema, dict):
            return None
        if "items" in schema and key.isdecimal():
            schema = schema["items"]
            continue
        known = schema.get("properties")
        if not isinstance(known, dict) or not known or "patternProperties" in schema or "$ref" in schema:
            return None
        if key not in known:
            return (key, list(known)) if schema.get("additionalProperties", True) is True else None
        schema = known[key]
    return None


def assign(value: Any, assignment: Assignment) -> Any:
    """The input with this value in its place; what was given is not changed. Raises UsageError."""
    return _assigned(value, assignment.path, assignment)


def _assigned(value: Any, path: Sequence[str], assignment: Assignment) -> Any:
    if not path:
        return assignment.value
    key, rest = path[0], path[1:]
    if isinstance(value, list):
        if not key.isdecimal() or int(key) > len(value):
            raise UsageError(f"--set {assignment.text!r}: {key!r} is no place in a list of {len(value)}")
        index = int(key)
        before = value[index] if index < len(value) else None
        return [*value[:index], _assigned(before, rest, assignment), *value[index + 1 :]]
    if value is None:
        value = {}
    if not isinstance(value, dict) or not key:
        there = msgspec.json.encode(value).decode()
        raise UsageError(f"--set {assignment.text!r}: {key!r} cannot be set in {there}")
    return {**value, key: _assigned(value.get(key), rest, assignment)}
