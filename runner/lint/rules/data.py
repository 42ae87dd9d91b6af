"""`vars.x` and `input.x`: the variable is set somewhere, and the input's schema allows the property."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding, shown
from runner.definition.model import SetAction
from runner.lint.rule import Rule, Subject, at_segment

_OPEN_ENDED = frozenset({"allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas", "prefixItems"})
_MAX_REFS = 32


def _unknown_variables(subject: Subject) -> Iterator[Finding]:
    known = set(subject.definition.vars)
    for site in subject.outline.sites:
        if isinstance(site.step.action, SetAction):
            known.update(site.step.action.values)
    for text, reference in subject.references():
        if reference.path[0] == "vars" and len(reference.path) > 1 and reference.path[1] not in known:
            name = str(reference.path[1])
            hint = did_you_mean(name, known) or "declare it under vars"
            yield at_segment("SR209", text, reference, 1, f"there is no variable {shown(name)}", hint)


def _unknown_properties(subject: Subject) -> Iterator[Finding]:
    schema = subject.definition.input_schema
    if schema is None:
        return
    for text, reference in subject.references():
        if reference.path[0] != "input":
            continue
        index, known = _first_missing(schema, reference.path)
        if index:
            where = ".".join(str(part) for part in reference.path[:index])
            message = f"{where} has no {shown(reference.path[index])}: its schema allows no other properties"
            hint = did_you_mean(str(reference.path[index]), known)
            yield at_segment("SR210", text, reference, index, message, hint)


def _first_missing(root: Mapping[str, Any], path: tuple[Any, ...]) -> tuple[int, list[str]]:
    """The index of the first part that a closed object does not have, and what it has; 0: none is known to miss."""
    schema: Any = root
    for index, part in enumerate(path[1:], 1):
        schema = _behind_refs(root, schema)
        if not isinstance(schema, Mapping) or _OPEN_ENDED & set(schema):
            return 0, []
        properties = schema.get("properties", {})
        if isinstance(part, int):
            schema = schema.get("items")
        elif part in properties:
            schema = properties[part]
        elif schema.get("additionalProperties") is False:
            return index, list(properties)
        else:
            return 0, []
    return 0, []


def _behind_refs(root: Mapping[str, Any], schema: Any) -> Any:
    for _ in range(_MAX_REFS):
        if not isinstance(schema, Mapping) or "$ref" not in schema:
            return schema
        if {"properties", "additionalProperties", "items"} & set(schema):
            return None  # both count, and together they say more than either
        reference, schema = schema["$ref"], root
        for part in reference.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            schema = schema.get(key) if isinstance(schema, Mapping) else None
    return None


RULES = (
    Rule({"SR209": "An unknown variable"}, _unknown_variables),
    Rule({"SR210": "A property that the input's schema does not allow"}, _unknown_properties),
)
