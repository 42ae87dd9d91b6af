"""What is known of a value before anything ran: from the input's schema, workers' contracts, and the file itself.

Nothing is guessed: a schema that leaves something open says nothing about it. Only a member that it neither describes
nor forbids, while it describes others, is doubtful: most schemas list all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runner.expression.evaluate import ANYTHING, Known, known_constant

_OPEN_ENDED = frozenset({"allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas", "prefixItems"})
_SIMPLE = {"string": "a text", "integer": "a number", "number": "a number", "boolean": "true or false", "null": "null"}
_SAYS_MORE = (_OPEN_ENDED - {"anyOf", "oneOf"}) | {"properties", "additionalProperties", "items"}
_JSON_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_MAX_REFS = 32
_MAX_ALTERNATIVES = 64
_MAX_VALUES = 200  # of an enumeration that something is compared with

Key = str | int


@dataclass(frozen=True, slots=True)
class Shape:
    """A value's JSON Schema; or, of what is put together in the file, its `parts` or its `item`."""

    schema: Any = None
    root: Any = None
    parts: Mapping[str, Shape] | None = None
    item: Shape | None = None
    either: tuple[Shape, ...] = ()  # it is one of these
    known: Known = ANYTHING  # what an expression was found to give


UNKNOWN = Shape()


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a path leaves what there is: its part at `index` does not exist. `known` are the names that do."""

    index: int
    known: tuple[str, ...] = ()
    what: str = ""  # the value has no members at all: "a list"
    certainty: Literal["error", "warning"] = "error"


def gap_in(shape: Shape, path: tuple[Key, ...]) -> Gap | None:
    """The first part of a path that is not there, if that is known."""
    for index, key in enumerate(path):
        following = _member(shape, key)
        if isinstance(following, Gap):
            return Gap(index, following.known, following.what, following.certainty)
        shape = following
    return None


def shape_at(shape: Shape, path: tuple[Key, ...]) -> Shape:
    for key in path:
        following = _member(shape, key)
        if isinstance(following, Gap):
            return UNKNOWN
        shape = following
    return shape


def kind_of(shape: Shape) -> str:
    """The type of the value, if it is known and only one: "array", "string" …"""
    if shape.parts is not None:
        return "object"
    if shape.item is not None:
        return "array"
    if shape.either:
        kinds = {kind_of(each) for each in shape.either}
        return kinds.pop() if len(kinds) == 1 else ""
    if len(shape.known.kinds) == 1:
        return next(iter(shape.known.kinds))
    schema = _behind_refs(shape.root, shape.schema)
    kind = schema.get("type") if isinstance(schema, dict) and not _OPEN_ENDED & set(schema) else None
    return kind if isinstance(kind, str) else ""


def known_of(shape: Shape) -> Known:
    """The types that the value may have, and the values where the schema lists them."""
    if shape.parts is not None:
        return Known(frozenset({"object"}))
    if shape.item is not None:
        return Known(frozenset({"array"}))
    if shape.either:
        return any_of(known_of(each) for each in shape.either)
    return shape.known if shape.known.kinds else _of_schema(shape.root, shape.schema, 0)


def _of_schema(root: Any, schema: Any, depth: int) -> Known:
    schema = _behind_refs(root, schema)
    if not isinstance(schema, dict) or depth > _MAX_REFS:
        return ANYTHING
    if "const" in schema:
        return known_constant(schema["const"])
    listed = schema.get("enum")
    if isinstance(listed, list) and listed:
        return any_of(known_constant(value) for value in listed)
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(kinds, list) and all(kind in _JSON_TYPES for kind in kinds):
        is_fractional = "number" in kinds and not isinstance(schema.get("multipleOf"), int)
        return Known(frozenset("number" if kind == "integer" else str(kind) for kind in kinds), None, is_fractional)
    several = _alternatives(Shape(schema, root))
    return any_of(_of_schema(root, each.schema, depth + 1) for each in several) if several else ANYTHING


def any_of(several: Iterable[Known]) -> Known:
    found = list(several)
    if not all(each.kinds for each in found):
        return ANYTHING
    values = [value for each in found for value in each.values or ()]
    is_listed = all(each.values is not None for each in found) and len(values) <= _MAX_VALUES
    kinds = frozenset[str]().union(*(each.kinds for each in found))
    return Known(kinds, tuple(values) if is_listed else None, any(each.is_fractional for each in found))


def members_of(shape: Shape, depth: int = 0) -> Mapping[str, Shape]:
    """The members of a mapping, as far as they are known; of alternatives, all that any of them has."""
    if shape.parts is not None:
        return shape.parts
    several = (shape.either or _alternatives(shape)) if depth < _MAX_REFS else ()
    found = {key: below for each in reversed(several) for key, below in members_of(each, depth + 1).items()}
    named = schema_of(shape).get("properties", {})
    return {**found, **{key: Shape(below, shape.root) for key, below in named.items()}}


def schema_of(shape: Shape) -> Mapping[str, Any]:
    """Its JSON Schema, behind references; empty where there is none."""
    schema = _behind_refs(shape.root, shape.schema)
    return schema if isinstance(schema, Mapping) else {}


def _member(shape: Shape, key: Key) -> Shape | Gap:
    alternatives = shape.either or _alternatives(shape)
    if alternatives:
        found = [_member(each, key) for each in alternatives]
        there = _flat(each for each in found if isinstance(each, Shape))
        if len(there) > _MAX_ALTERNATIVES:
            return UNKNOWN  # with each part of a path there might be twice as many
        if there:
            return there[0] if len(there) == 1 else Shape(either=there)
        gaps = [each for each in found if isinstance(each, Gap)]
        names = dict.fromkeys(name for gap in gaps for name in gap.known)
        doubtful = any(gap.certainty == "warning" for gap in gaps)
        what = "" if names else gaps[0].what
        return Gap(0, tuple(names), what, "warning" if doubtful else "error")
    kind = kind_of(shape)
    if kind in _SIMPLE and not (kind == "string" and isinstance(key, int)):
        return Gap(0, what=_SIMPLE[kind])
    if kind == "array" and isinstance(key, str):
        return Gap(0, what="a list")
    if shape.parts is not None:
        return shape.parts[key] if isinstance(key, str) and key in shape.parts else Gap(0, tuple(shape.parts))
    if shape.item is not None:
        return shape.item
    return _in_schema(shape, key)


def _flat(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    """Each once: a schema and what refers to it are the same."""
    found: dict[int, Shape] = {}
    for shape in shapes:
        for each in shape.either or (shape,):
            of_schema = each.parts is None and each.item is None and not each.known.kinds and each.schema is not None
            found[id(_behind_refs(each.root, each.schema)) if of_schema else id(each)] = each
    return tuple(found.values())


def _alternatives(shape: Shape) -> tuple[Shape, ...]:
    """Of a schema that says nothing but that one of several holds: those, each of which says something.

    One that is among its own alternatives adds nothing to them, so each is opened once.
    """
    found: list[Shape] = []
    choices, opened = [_choice(_behind_refs(shape.root, shape.schema))], set()
    while choices and len(found) < _MAX_ALTERNATIVES:
        for each in choices.pop(0):
            below = _behind_refs(shape.root, each)
            if not _choice(below):
                found.append(Shape(each, shape.root))
            elif id(below) not in opened:
                opened.add(id(below))
                choices.append(_choice(below))
    return tuple(found)


def _choice(schema: Any) -> list[Any]:
    if not isinstance(schema, dict) or not {"anyOf", "oneOf"} & set(schema) or set(schema) & _SAYS_MORE:
        return []
    several = schema.get("anyOf", schema.get("oneOf"))
    return several if isinstance(several, list) else []


def _in_schema(shape: Shape, key: Key) -> Shape | Gap:
    schema = _behind_refs(shape.root, shape.schema)
    if not isinstance(schema, dict) or _OPEN_ENDED & set(schema):
        return UNKNOWN
    if isinstance(key, int):
        return Shape(schema.get("items"), shape.root)
    properties = schema.get("properties", {})
    if key in properties:
        return Shape(properties[key], shape.root)
    if schema.get("additionalProperties") is False:
        return Gap(0, tuple(properties))
    if properties and not {"additionalProperties", "unevaluatedProperties"} & set(schema):
        return Gap(0, tuple(properties), certainty="warning")
    return UNKNOWN


def perhaps_absent(shape: Shape, path: tuple[Key, ...]) -> Iterator[int]:
    """The parts of a path that their schema does not require, where it says which ones it does."""
    for index, key in enumerate(path):
        schema = _behind_refs(shape.root, shape.schema)
        if isinstance(schema, dict) and not shape.either and isinstance(key, str):
            properties, required = schema.get("properties"), schema.get("required")
            described = properties.get(key) if isinstance(properties, dict) else None
            is_optional = isinstance(required, list) and key not in required
            if isinstance(described, dict) and is_optional and "default" not in described:
                yield index
        following = _member(shape, key)
        if isinstance(following, Gap):
            return
        shape = following


def _behind_refs(root: Any, schema: Any) -> Any:
    for _ in range(_MAX_REFS):
        if not isinstance(schema, dict) or "$ref" not in schema:
            return schema
        if {"properties", "additionalProperties", "items"} & set(schema):
            return None  # both count, and together they say more than either
        reference, schema = schema["$ref"], root
        for part in str(reference).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            schema = schema.get(key) if isinstance(schema, dict) else None
    return None
