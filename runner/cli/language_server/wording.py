"""Contracts and schemas in words, as a popup of an editor shows them (Markdown)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]


def type_of(schema: Schema) -> str:
    """'string', 'array of Line'; "" where nothing is known."""
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return " | ".join(repr(each) for each in schema["enum"])
    if "anyOf" in schema or "oneOf" in schema:
        return " | ".join(filter(None, (type_of(each) for each in schema.get("anyOf", schema.get("oneOf", ())))))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    kind = schema.get("type", "")
    if isinstance(kind, list):
        return " | ".join(kind)
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        inner = type_of(schema["items"])
        return f"array of {inner}" if inner else "array"
    if kind == "object" and schema.get("properties"):
        return f"{{{', '.join(schema['properties'])}}}"
    return str(kind)


def arguments_of(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """Name, type and description; one that may be left out has a question mark in its type."""
    required = schema.get("required", ())
    for name, below in schema.get("properties", {}).items():
        optional = "" if name in required else " (optional)"
        yield name, f"{type_of(below)}{optional}", str(below.get("description", ""))


def contract_text(contract: Mapping[str, Any]) -> str:
    """A worker, as its signature and its docstring say it."""
    if not contract:
        return ""
    arguments = arguments_of(contract["input"])
    taken = ", ".join(f"{name}: {type_.replace(' (optional)', '?')}" for name, type_, _ in arguments)
    given = type_of(contract.get("output") or {}) or "anything"
    lines = [f"```\n{contract.get('name', '')}({taken})\n  → {given}\n```"]
    lines += [str(contract["doc"])] if contract.get("doc") else []
    lines += ["Changes nothing."] if contract.get("readonly") else []
    codes = ", ".join(f"`{code}`" for code in contract.get("raises", ()))
    lines += [f"Says no with {codes}."] if codes else []
    lines += [f"`{contract['location']}`"] if contract.get("location") else []
    return "\n\n".join(lines)


def schema_text(path: str, schema: Schema) -> str:
    lines = [f"`{path}`: {type_of(schema) or 'any value'}"]
    lines += [str(schema["description"])] if schema.get("description") else []
    members = [f"- `{name}`: {type_}" + (f": {doc}" if doc else "") for name, type_, doc in arguments_of(schema)]
    return "\n\n".join([*lines, *(["\n".join(members)] if members else [])])
