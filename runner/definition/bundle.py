"""Makes a data schema self-contained: what its `$ref`s name in other files becomes a member of its `$defs`.

A `$ref` is `FILE`, `FILE#/pointer`, `#/use/schemas/NAME` (in the definition) or `#/pointer` (within the
file, or within the one schema that stands in the definition). Nothing is fetched, and a file or named
schema that leads back to itself is refused: within one file, `#/…` may be as recursive as it likes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs

from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding, child, shown
from runner.definition.problem import Problem
from runner.definition.project_file import FileRefused, ProjectFiles
from runner.errors import DefinitionError

MAX_DEPTH = 8
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAMED = re.compile(r"#/use/schemas/([^/]+)((?:/.*)?)")
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_DATA = frozenset({"const", "enum", "examples", "default"})
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_UNSUPPORTED = frozenset({"$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"})


@dataclass(frozen=True, slots=True)
class _Unit:
    """A schema that is bundled as one: a file, a named schema, or one that stands in the definition."""

    key: str  # "orders/line.json", "#/use/schemas/address" or ""
    root: Any  # its value
    folder: Path  # what files it names are relative to
    inline: bool  # it stands in the definition
    prefix: str = ""  # where it is in the bundle: "" or "/$defs/line"
    pointer: str = ""  # where findings go: its own place in the definition, else that of the $ref that led here
    depth: int = 0


class _Refused(Exception):
    """A $ref that cannot be followed."""

    def __init__(self, message: str, hint: str = "", code: str = "SR110") -> None:
        super().__init__(message)
        self.hint, self.code = hint, code


class Bundler:
    """Bundles the schemas of one definition. What is wrong gathers in `findings`, and in `problems` of other files."""

    def __init__(self, files: ProjectFiles, folder: Path, named: Mapping[str, Any]) -> None:
        self.findings: list[Finding] = []
        self.problems: list[Problem] = []
        self._files, self._folder, self._named = files, folder, named

    def bundle(self, schema: Mapping[str, Any], pointer: str) -> dict[str, Any]:
        """The schema at `pointer` of the definition, with nothing outside itself."""
        key = f"#{pointer}" if pointer.startswith("/use/") else ""
        bundle = _Bundle(self, _Unit(key, schema, self._folder, inline=True, pointer=pointer))
        whole = bundle.whole()
        if not self.findings and not self.problems:  # else it fails for what was found already
            self._check(whole, pointer, exact=bundle.is_plain)
        return whole

    def target(self, reference: str, unit: _Unit) -> tuple[_Unit, str]:
        """The unit that a `$ref` leads to, and the pointer within it. Raises _Refused."""
        named = _NAMED.fullmatch(reference)
        if named and unit.inline:
            name, rest = named.groups()
            if name not in self._named:
                raise _Refused(f"no schema {shown(name)} in use.schemas", did_you_mean(name, self._named), "SR212")
            key = f"/use/schemas/{name}"
            return _Unit(f"#{key}", self._named[name], self._folder, inline=True, pointer=key), rest
        name, _, rest = reference.partition("#")
        path = self._files.locate(name, unit.folder)
        value = self._files.read(path)
        return _Unit(self._files.shown(path), value, path.parent, False, pointer=unit.pointer), rest

    def _check(self, whole: dict[str, Any], pointer: str, exact: bool) -> None:
        """The bundle must be a schema that the validator of payloads takes."""
        try:
            jsonschema_rs.Draft202012Validator(whole, retriever=_never)
        except jsonschema_rs.ValidationError as error:
            path = [str(key) for key in error.instance_path]
            for key in path if exact else ():
                pointer = child(pointer, key)
            message, hint = error.message[:200], ""
            if path and path[-1] == "type" and isinstance(error.instance, str):
                message, hint = f"{shown(error.instance)} is not a type", did_you_mean(error.instance, _TYPES)
            where = "" if exact or not path else f"/{'/'.join(path)}: "
            self.findings.append(Finding("SR111", pointer, f"not a JSON Schema: {where}{message}", hint))


class _Bundle:
    """One schema on its way to being self-contained."""

    def __init__(self, bundler: Bundler, unit: _Unit) -> None:
        self.bundler = bundler
        self.is_plain = True  # still where the definition has it: pointers into it are pointers into the file
        self.places: dict[str, _Unit] = {}  # by key, once they have a name
        self.waiting: list[_Unit] = []
        self.edges: dict[str, dict[str, Finding]] = {}  # from unit to unit, with what to say if that is a way back
        self.main = self._behind_refs(unit)
        own = self.main.root.get("$defs") if isinstance(self.main.root, dict) else None
        self.taken = set(own) if isinstance(own, dict) else set()

    def whole(self) -> dict[str, Any]:
        root = self._schema(self.main.root, self.main, self.main.pointer)
        if not isinstance(root, dict):
            self._refuse(self.main, f"{self.main.key or 'this'} is not a mapping: a schema is needed")
            return {}
        extra: dict[str, Any] = {}
        while self.waiting:
            unit = self.waiting.pop(0)
            part = self._schema(unit.root, unit, unit.pointer)
            if isinstance(part, dict):
                part.pop("$schema", None)
            extra[unit.prefix.rpartition("/")[2]] = part
        self.bundler.findings.extend(self._ways_back())
        if extra:
            own = root.get("$defs", {})
            root["$defs"] = {**(own if isinstance(own, dict) else {}), **extra}
        return root

    def _behind_refs(self, unit: _Unit) -> _Unit:
        """`{$ref: FILE}` alone is the file itself: its title and examples are those of the whole."""
        seen = {unit.key}
        while isinstance(unit.root, dict) and set(unit.root) == {"$ref"} and isinstance(unit.root["$ref"], str):
            reference = unit.root["$ref"]
            if "#" in reference and not _NAMED.fullmatch(reference):
                break
            try:
                found, rest = self.bundler.target(reference, unit)
            except (_Refused, FileRefused, DefinitionError):
                break  # said when the $ref is met again
            if rest or found.key in seen or len(seen) > MAX_DEPTH:
                break
            seen.add(found.key)
            unit = _Unit(found.key, found.root, found.folder, found.inline, "", unit.pointer, unit.depth + 1)
            self.is_plain = False
        return unit

    def _schema(self, node: Any, unit: _Unit, pointer: str) -> Any:
        """A schema with its $refs rewritten. `pointer` is the place of a finding: exact within the definition."""
        if isinstance(node, list):
            return [self._schema(item, unit, self._place(unit, pointer, index)) for index, item in enumerate(node)]
        if not isinstance(node, dict):
            return node
        changed: dict[str, Any] = {}
        for key, value in node.items():
            place = self._place(unit, pointer, key)
            if key in _DATA:
                changed[key] = value
            elif key in _MAPS and isinstance(value, dict):
                names = value.items()
                changed[key] = {name: self._schema(part, unit, self._place(unit, place, name)) for name, part in names}
            elif key in _KEYWORDS:
                _KEYWORDS[key](self, changed, value, unit, place)
            elif key in _UNSUPPORTED:
                self._find(Finding("SR110", place, f'"{key}" is not supported', "use $ref with a pointer", True))
            else:
                changed[key] = self._schema(value, unit, place)
        return changed

    def _id(self, _changed: dict[str, Any], _value: Any, _unit: _Unit, _place: str) -> None:
        """Dropped: it would be the base of every $ref below it, and ours are relative to the file."""

    def _dialect(self, changed: dict[str, Any], value: Any, _unit: _Unit, place: str) -> None:
        if isinstance(value, str) and value.rstrip("#") != _DIALECT:
            self._find(Finding("SR111", place, f"{shown(value)} is not supported", f"data schemas are {_DIALECT}"))
        changed["$schema"] = value

    def _ref(self, changed: dict[str, Any], value: Any, unit: _Unit, place: str) -> None:
        changed["$ref"] = value
        if not isinstance(value, str):
            return  # not a schema, which is found when the whole is checked
        try:
            changed["$ref"] = self._rewritten(value, unit, place)
        except (_Refused, FileRefused) as error:
            of_file = f" (in {unit.key})" if unit.key and not unit.inline else ""
            code = error.code if isinstance(error, _Refused) else "SR110"
            self._find(Finding(code, place, f"$ref {shown(value)}{of_file}: {error}", error.hint))
        except DefinitionError as error:
            self.bundler.problems.extend(error.problems)

    def _rewritten(self, reference: str, unit: _Unit, place: str) -> str:
        if reference.startswith("#") and not (unit.inline and _NAMED.fullmatch(reference)):
            _must_exist(unit.root, reference[1:], unit.key)
            return f"#{unit.prefix}{reference[1:]}"
        found, rest = self.bundler.target(reference, unit)
        _must_exist(found.root, rest, found.key)
        cycle = f"$ref {shown(reference)}: {found.key} leads back to itself"
        way_back = Finding("SR110", place, cycle, "within one file, refer to #/$defs/NAME")
        self.edges.setdefault(unit.key, {}).setdefault(found.key, way_back)
        if found.key not in self.places:
            if unit.depth >= MAX_DEPTH:
                raise _Refused(f"more than {MAX_DEPTH} files deep")
            name = self._free_name(found.key)
            pointer = found.pointer if found.inline else unit.pointer
            found = _Unit(found.key, found.root, found.folder, found.inline, f"/$defs/{name}", pointer, unit.depth + 1)
            self.places[found.key] = found
            self.waiting.append(found)
        return f"#{self.places[found.key].prefix}{rest}"

    def _ways_back(self) -> Iterator[Finding]:
        """The references that close a circle of files. Once over all edges: for each edge it would be quadratic."""
        done: set[str] = set()
        path = {self.main.key: iter(self.edges.get(self.main.key, {}).items())}  # from the main schema to here
        while path:
            here = next(reversed(path))
            for key, finding in path[here]:
                if key in path:
                    yield finding
                elif key not in done:
                    path[key] = iter(self.edges.get(key, {}).items())
                    break
            else:
                del path[here]
                done.add(here)

    def _free_name(self, key: str) -> str:
        stem = re.sub(r"[^A-Za-z0-9_]", "_", key.rpartition("/")[2].split(".")[0]) or "schema"
        name, number = stem, 1
        while name in self.taken:
            number += 1
            name = f"{stem}_{number}"
        self.taken.add(name)
        return name

    def _place(self, unit: _Unit, pointer: str, key: str | int) -> str:
        return child(pointer, key) if unit.inline else pointer

    def _refuse(self, unit: _Unit, message: str) -> None:
        self._find(Finding("SR111", unit.pointer, message))

    def _find(self, finding: Finding) -> None:
        self.bundler.findings.append(finding)


_KEYWORDS: Mapping[str, Callable[[_Bundle, dict[str, Any], Any, _Unit, str], None]] = {
    "$id": _Bundle._id,
    "$schema": _Bundle._dialect,
    "$ref": _Bundle._ref,
}


def _must_exist(root: Any, pointer: str, key: str) -> None:
    """A pointer into a schema leads somewhere. Raises _Refused."""
    if pointer and not pointer.startswith("/"):
        raise _Refused("only pointers (#/…) are followed", "use #/$defs/NAME")
    node = root
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdecimal() and int(part[:9]) < len(node):
            node = node[int(part)]
        else:
            known = node if isinstance(node, dict) else ()
            raise _Refused(f"there is no {shown(part)}{f' in {key}' if key else ''}", did_you_mean(part, known))


def _never(uri: str) -> Any:
    raise ValueError(f"{uri} is not read: data schemas are complete in themselves")
