"""Where what is under the cursor is defined: a step, a worker's source, a named part, a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.cli.language_server.pointing import Place, place_at
from runner.cli.language_server.reading import Reading
from runner.definition.finding import child, last, parent


@dataclass(frozen=True, slots=True)
class Target:
    """A line of a file, 1-based; in the file itself, the offsets of the word."""

    path: Path
    line: int = 1
    start: int = -1
    end: int = -1


def definition(reading: Reading, offset: int) -> Target | None:
    place = place_at(reading, offset)
    if place is None or place.is_key:
        return None
    if place.path:
        return _of_path(reading, place)
    value = reading.value(place.pointer)
    if not isinstance(value, str):
        return None
    key = last(parent(place.pointer)) if last(place.pointer).isdigit() else last(place.pointer)
    match key:
        case "worker":
            return worker_source(reading.project.root, reading.contract(value))
        case "retry":
            return _here(reading, child("/use/retries", value), on_key=True)
        case "raises" | "errors" | "error":
            return _here(reading, child("/use/errors", value), on_key=True)
        case "subworkflow":
            return _workflow(reading.path, value)
        case "$ref":
            return _reference(reading, value)
        case _:
            return None


def _of_path(reading: Reading, place: Place) -> Target | None:
    name, *rest = (str(part) for part in place.path)
    if reading.subject is None:
        return None
    if name == "steps" and rest:
        site = reading.subject.outline.by_id.get(rest[0])
        return None if site is None else _here(reading, f"{site.pointer}/id") or _here(reading, site.pointer)
    if name == "vars" and rest:
        return _here(reading, child("/vars", rest[0]), on_key=True)
    if name == "input":
        pointer = f"/input/properties/{'/properties/'.join(rest)}" if rest else "/input"
        reference = reading.value("/input/$ref")
        if isinstance(reference, str):
            return _reference(reading, reference, rest)
        return _here(reading, pointer, on_key=True) or _here(reading, "/input", on_key=True)
    if place.text is not None and place.text.site is not None:
        loop = place.text.site.items.get(name)
        return None if loop is None else _here(reading, f"{loop.pointer}/for_each/as")
    return None


def _here(reading: Reading, pointer: str, *, on_key: bool = False) -> Target | None:
    span = (reading.source.keys if on_key else reading.source.values).get(pointer)
    if span is None:
        return None
    end = span.start if span.is_collection else span.end
    return Target(reading.path, reading.source.at(span.start)[0], span.start, end)


def _workflow(path: Path, name: str) -> Target | None:
    for file in sorted(path.parent.glob("*.y*ml")):
        found = re.search(rf"^workflow:\s*[\"']?{re.escape(name)}\b", _text(file), re.MULTILINE)
        if found and not file.stem.endswith(".test"):
            return Target(file, _text(file).count("\n", 0, found.start()) + 1)
    return None


def _reference(reading: Reading, reference: str, members: list[str] | None = None) -> Target | None:
    """A file under the project root, at the last part of what is wanted of it; or a place in this one."""
    name, _, fragment = reference.partition("#")
    if not name:
        return _here(reading, fragment, on_key=True)
    file = (reading.path.parent / name).resolve()
    if not file.is_file() or not file.is_relative_to(reading.project.root.resolve()):
        return None
    parts = [part for part in fragment.split("/") if part] + (members or [])
    text, at = _text(file), 0
    for part in parts:
        found = re.compile(rf"^\s*[{{,]?\s*[\"']?{re.escape(part)}[\"']?\s*:", re.MULTILINE).search(text, at)
        at = found.start() if found else at
    return Target(file, text.count("\n", 0, at + 1 if parts and at else 0) + 1)


def worker_source(root: Path, contract: Mapping[str, object]) -> Target | None:
    """Where a contract says that its worker is. The lock file leaves the line out: then it is looked for."""
    name, _, line = str(contract.get("location", "")).partition(":")
    file = root / name
    if not name or not file.is_file():
        return None
    if line.isdigit():
        return Target(file, int(line))
    worker, text = str(contract.get("name", "")), _text(file)
    function = re.escape(worker.rpartition(".")[2])
    for pattern in (rf"[\"']{re.escape(worker)}[\"']", rf"^\s*(?:async\s+)?def {function}\b"):
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            return Target(file, text.count("\n", 0, found.end()) + 1)
    return Target(file)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
