"""The schema of definitions, with what this project's workers take: for editors, which complete and check by it.

Rule: it must never refuse what `validate` takes. An expression may stand for any value, so each value may also be one.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from runner.cli.checking.contracts import Contracts
from runner.definition.schema import load_schema

_EXPRESSION = {"type": "string", "pattern": "\\{\\{"}
_KEPT = ("title", "description", "default", "examples")  # what an editor shows, put where it finds it
_DROPPED = ("$defs", "discriminator", "$schema", "$id")


def project_schema(contracts: Contracts) -> dict[str, Any]:
    """draft-07, as the workflow schema is: the draft that editors support best."""
    schema: dict[str, Any] = copy.deepcopy(dict(load_schema("workflow")))
    schema["$id"] = "workflow.project.schema.json"
    definitions: dict[str, Any] = schema["definitions"]
    conditions = []
    for name in sorted(contracts):
        contract = contracts[name]
        for inner, below in contract["input"].get("$defs", {}).items():
            definitions[_place(name, inner)] = _any_value(below, name)
        definitions[f"input of {name}"] = _arguments(contract["input"], name)
        conditions.append(_condition(name, contract))
    if contracts:
        definitions["worker_name"] = _names(contracts, definitions["worker_name"])
    for place in ("step", "call"):
        asked = definitions[place]["properties"]["worker"]
        definitions[place]["properties"]["worker"] = {**asked, "examples": sorted(contracts)[:1]}  # editors offer them
        definitions[place]["allOf"] = [*definitions[place].get("allOf", ()), *conditions]
    return schema


def _names(contracts: Contracts, known: Mapping[str, Any]) -> dict[str, Any]:
    choices = [{"const": name, "description": _doc(contracts[name])} for name in sorted(contracts)]
    return {"title": known["title"], "description": known["description"], "type": "string", "oneOf": choices}


def _doc(contract: Mapping[str, Any]) -> str:
    marks = ["Changes nothing."] if contract["readonly"] else []
    marks += [f"Says no with {', '.join(contract['raises'])}."] if contract["raises"] else []
    return " ".join([str(contract.get("doc", "")), *marks]).strip() or "A worker of this project."


def _condition(name: str, contract: Mapping[str, Any]) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": {"with": {"$ref": f"#/definitions/input of {name}"}}}
    if contract["input"].get("required"):
        then["required"] = ["with"]
    return {"if": {"properties": {"worker": {"const": name}}, "required": ["worker"]}, "then": then}


def _arguments(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Of `with`: an object always, and keys may be computed as well."""
    found = _plain(schema, name)
    if found.get("additionalProperties") is False:
        found["patternProperties"] = {**found.get("patternProperties", {}), "\\{\\{": True}
    return {**found, "title": f"arguments of {name}", "type": "object"}


def _any_value(schema: Any, name: str) -> Any:
    """A value, or an expression in its place."""
    if not isinstance(schema, Mapping):
        return schema
    plain = _plain(schema, name)
    if not plain.keys() - {*_KEPT} or (plain.get("type") == "string" and not plain.keys() - {*_KEPT, "type"}):
        return plain  # takes every text already
    shown = {key: plain.pop(key) for key in _KEPT if key in plain}
    return {**shown, "anyOf": [plain, _EXPRESSION]}


def _plain(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """In draft-07, with everything below as values."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _DROPPED:
            continue
        if key == "$ref":
            found[key] = f"#/definitions/{_place(name, str(value).rpartition('/')[2])}"
        elif key in ("properties", "patternProperties"):
            found[key] = {each: _any_value(below, name) for each, below in value.items()}
        elif key in ("items", "additionalProperties"):
            found[key] = _any_value(value, name)
        elif key == "prefixItems":
            found["items"] = [_any_value(each, name) for each in value]
        elif key in ("anyOf", "oneOf"):  # an expression may fit several
            found["anyOf"] = [_plain(each, name) for each in value]
        elif key == "allOf":
            found[key] = [_any_value(each, name) for each in value]
        else:
            found[key] = value
    if "prefixItems" in schema and "items" in schema:
        found["items"] = [_any_value(each, name) for each in schema["prefixItems"]]
        found["additionalItems"] = _any_value(schema["items"], name)
    return found


def _place(name: str, inner: str) -> str:
    return f"{inner} of {name}"
