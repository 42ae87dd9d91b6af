"""What the schema of definitions says about one place of a document: for the keys and values that fit there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.definition.schema import load_schema

Schema = Mapping[str, Any]
_ALTERNATIVES = ("oneOf", "anyOf", "allOf")
_DEEP = 16


def schemas_at(pointer: str) -> list[Schema]:
    """Every schema that a value there may have to fit, alternatives side by side; references are followed."""
    found = list(_opened(load_schema("workflow")))
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        found = [each for schema in found for below in _below(schema, key) for each in _opened(below)]
    return found


def shown_at(pointer: str) -> tuple[str, str]:
    """Title and description of a key: those nearest to where it is used."""
    for schema in schemas_at(pointer):
        if "description" in schema:
            return str(schema.get("title", "")), str(schema["description"])
    return "", ""


def keys_at(pointer: str) -> dict[str, Schema]:
    """The keys of a mapping there."""
    found: dict[str, Schema] = {}
    for schema in schemas_at(pointer):
        for key, below in schema.get("properties", {}).items():
            opened = next((each for each in _opened(below) if "description" in each), below)
            found.setdefault(key, opened)
    return found


def needs_at(pointer: str) -> dict[str, list[str]]:
    """By key: the keys of which one has to stand beside it."""
    found: dict[str, list[str]] = {}
    for schema in schemas_at(pointer):
        for key, wanted in schema.get("dependencies", {}).items():
            listed = wanted if isinstance(wanted, list) else [each["required"][0] for each in wanted.get("anyOf", ())]
            found.setdefault(key, listed)
    return found


def choices_at(pointer: str) -> dict[str, str]:
    """The words that a value there may be, with what each means."""
    found: dict[str, str] = {}
    for schema in schemas_at(pointer):
        if isinstance(schema.get("const"), str):
            found.setdefault(schema["const"], str(schema.get("description", "")))
        for word in schema.get("enum", ()):
            found.setdefault(str(word), "")
        if schema.get("type") == "boolean":
            found |= {"true": "", "false": ""}
    return found


def _opened(schema: Any, depth: int = 0) -> Iterator[Schema]:
    """The schema, what it refers to, and its alternatives. What stands beside a reference comes first."""
    if not isinstance(schema, Mapping) or depth > _DEEP:
        return
    yield schema
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        yield from _opened(load_schema("workflow")["definitions"].get(name, {}), depth + 1)
    for key in _ALTERNATIVES:
        for each in schema.get(key, ()):
            yield from _opened(each, depth + 1)


def _below(schema: Schema, key: str) -> Iterator[Any]:
    if key in schema.get("properties", {}):
        yield schema["properties"][key]
        return
    patterns = [below for pattern, below in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
    yield from patterns
    if not patterns and isinstance(schema.get("additionalProperties"), Mapping):
        yield schema["additionalProperties"]
    if key.isdigit() and isinstance(schema.get("items"), Mapping):
        yield schema["items"]
