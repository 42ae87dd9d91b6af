"""Applies the JSON Schemas of our own files: workflow, test and config. What a violation means is in complaint.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from runner.definition.complaint import complaints
from runner.definition.finding import Finding, parent
from runner.definition.problem import Problem
from runner.definition.source import Source


@cache
def load_schema(name: str) -> Mapping[str, Any]:
    """The schema called `name`. Installed, the schemas lie in the package; in a checkout, beside it."""
    package = Path(__file__).parents[1]
    folder = package / "schemas"
    if not folder.is_dir():
        folder = package.parent / "schemas"
    schema: Mapping[str, Any] = json.loads((folder / f"{name}.schema.json").read_bytes())
    return schema


def check_schema(source: Source, name: str) -> list[Problem]:
    """Every problem that a file has with one of our schemas, by place."""
    return sorted(source.problem(finding) for finding in schema_findings(source, name))


def schema_findings(source: Source, name: str) -> list[Finding]:
    """The same, unplaced; one for each mistake."""
    if _fits(name, source.value):
        return []
    found = (finding for error in _validator(name).iter_errors(source.value) for finding in complaints(error, source))
    return list(dict.fromkeys(found))


def findings_beside_flaws(source: Source, name: str) -> list[Finding]:
    """Those of a file with flaws in its YAML that hold however these are mended: of values and of mappings that were
    read whole, and keys that are not known where they stand."""
    return [
        finding
        for finding in schema_findings(source, name)
        if finding.pointer not in source.unread
        and (not finding.on_key or finding.code == "SR102" or parent(finding.pointer) not in source.unread)
    ]


def _pattern(_: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Python's `$` also matches before a last newline; the `$` of a JSON Schema does not."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _fits(name: str, value: Any) -> bool:
    """Whether nothing is wrong: told fifty times faster, and without a word on what it would be."""
    try:
        return bool(_quick(name).is_valid(value))
    except ValueError:  # what it cannot take, such as half of a surrogate pair
        return False


@cache
def _quick(name: str) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(dict(load_schema(name)), validate_formats=False)


@cache
def _validator(name: str) -> Any:
    ours: Any = extend  # its stub is untyped
    return ours(Draft7Validator, {"pattern": _pattern})(load_schema(name))
