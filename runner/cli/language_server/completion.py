"""What may be written at one place: keys by the schema, workers and their arguments, and paths in expressions.

While somebody types, the text is seldom whole. A stand-in word is put where the cursor is, so that it can be read, and
what is around the stand-in says what fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runner.cli.language_server.reading import Reading
from runner.cli.language_server.schema import choices_at, keys_at, needs_at
from runner.cli.language_server.wording import arguments_of, contract_text, type_of
from runner.definition.complaint import ACTIONS
from runner.definition.finding import last, parent
from runner.definition.model import ChildAction
from runner.expression.filters import FILTERS
from runner.lint.reading import Text
from runner.lint.shape import UNKNOWN, members_of, schema_of, shape_at

Read = Callable[[str], Reading]
_STAND_IN = "zz9here"
_LONGEST = 1024  # characters of an expression
_WORD = re.compile(r"[\w.$/-]*$")
_PATH = re.compile(r"[\w.\[\]]*$")
_FILTER = re.compile(r"\|\s*(\w*)$")
MEMBERS: Mapping[str, Mapping[str, str]] = {
    "run": {
        "id": "The run's id.", "workflow": "The workflow's name.", "version": "Of the definition that it began with.",
        "started_at": "ISO 8601, UTC.", "status": "What it is going to be; in finally only.",
    },
    "step": {"ref": "Names this operation: the same in its action, its undo and its verification.", "id": "Its id."},
    "error": {
        "code": "What a worker said no with, or one of sagarun's own.", "kind": "business or technical",
        "message": "In words.", "details": "What the worker added.", "step": "The step that failed.",
        "attempt": "Which attempt it was.", "cause": "The error before it.",
    },
}  # fmt: skip
OF_STEP = {"output": "What it gave.", "status": "completed, failed, skipped …", "error": "Why it failed."}
NAMES = {
    "input": "What the run was started with.", "steps": "The steps before this one, by id.", "vars": "Variables.",
    "run": "The run itself.", "step": "This step.", "error": "What is being handled.",
    "result": "This step's own output.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One suggestion: `insert` takes the place of the text from `start` to the cursor."""

    label: str
    start: int
    kind: Literal["key", "value", "worker", "step", "property", "name", "filter"]
    detail: str = ""
    doc: str = ""
    insert: str = ""


def complete(text: str, offset: int, read: Read) -> list[Item]:
    """In the order in which they are to be shown."""
    before = text[:offset]
    begin = before.rfind("{{")
    if begin >= 0 and begin > before.rfind("}}") and offset - begin < _LONGEST and "\n\n" not in before[begin:]:
        return list(_in_expression(text, offset, before[begin + 2 :], read))
    return list(_outside(text, offset, read))


# -- expressions -------------------------------------------------------------------------------------
def _in_expression(text: str, offset: int, written: str, read: Read) -> Iterator[Item]:
    found = _FILTER.search(written)
    if found:
        for name, function in FILTERS.items():
            yield Item(name, offset - len(found[1]), "filter", doc=(function.__doc__ or "").strip())
        return
    match = _PATH.search(written)
    *path, word = (match[0] if match else "").split(".")
    start = offset - len(word)
    reading, place = _readable(text, offset, read)
    if reading is None:
        return
    keys = [key for part in path for key in _keys(part)]
    for name, kind, detail, doc in _members(reading, place, keys):
        yield Item(name, start, kind, detail, doc)


def _readable(text: str, offset: int, read: Read) -> tuple[Reading | None, Text | None]:
    """The text, with what is not closed yet closed; and the template that the cursor is in."""
    line_end = text.find("\n", offset)
    rest = text[offset : line_end if line_end >= 0 else len(text)]
    closings = ("", ' }}"', '"', ' }}"}', '"}', "}}") if "}}" not in rest else ("", '"')
    for closing in closings:
        reading = read(text[:offset] + closing + text[offset:])
        if reading.subject is not None:
            return reading, reading.text_at(reading.at(offset)[0])
    line_start = text.rfind("\n", 0, offset) + 1
    reading = read(text[:line_start] + text[line_end if line_end >= 0 else len(text) :])
    return (reading, None) if reading.subject is not None else (None, None)


def _keys(part: str) -> list[str | int]:
    """lines[0] is two keys."""
    name, *indexes = part.split("[")
    return [name, *(int(each.rstrip("]")) for each in indexes if each.rstrip("]").isdigit())]


_Member = tuple[str, Literal["step", "property", "name"], str, str]


def _members(reading: Reading, place: Text | None, path: list[str | int]) -> Iterator[_Member]:
    assert reading.subject is not None
    assert reading.shapes is not None
    outline = reading.subject.outline
    match path:
        case []:
            names = sorted(place.names) if place is not None else [name for name in NAMES if name != "result"]
            yield from ((name, "name", "", NAMES.get(name, "The item.")) for name in names)
        case ["steps"]:
            for site in outline.sites:
                if place is None or site.step.id in place.view.visible:
                    doc = site.step.summary or contract_text(_asked(reading, site.step.id))
                    yield site.step.id, "step", type_of(schema_of(reading.shapes.output(site))), doc
        case ["steps", _]:
            yield from ((name, "property", "", doc) for name, doc in OF_STEP.items())
        case ["vars"]:
            yield from ((name, "property", "", "") for name in sorted(reading.subject.definition.vars))
        case [str(name)] if name in MEMBERS:
            yield from ((member, "property", "", doc) for member, doc in MEMBERS[name].items())
        case _:
            shape = UNKNOWN
            if place is not None:
                taken, root = reading.shapes.beginning(place, (*path, ""))
                shape = shape_at(root, tuple(path[taken:])) if taken else UNKNOWN
            elif path[0] == "steps" and path[2:3] == ["output"] and path[1] in outline.by_id:
                shape = shape_at(reading.shapes.output(outline.by_id[str(path[1])]), tuple(path[3:]))
            for name, member in members_of(shape).items():
                schema = schema_of(member)
                yield name, "property", type_of(schema), str(schema.get("description", ""))


def _asked(reading: Reading, step_id: str) -> Mapping[str, Any]:
    assert reading.subject is not None
    action = reading.subject.outline.by_id[step_id].step.action
    call = getattr(action, "call", None)
    return reading.contract(call.worker) if call is not None else {}


# -- keys and values ---------------------------------------------------------------------------------
def _outside(text: str, offset: int, read: Read) -> Iterator[Item]:
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    if re.search(r"(?:^|\s)#", line):
        return
    found = _WORD.search(line)
    word = found[0] if found else ""
    start = offset - len(word)
    rest = re.sub(r"^[\w.$/-]+", "", text[offset:])
    is_value = re.search(r":\s+[\"']?$", line[: len(line) - len(word)]) is not None
    if not is_value:
        colon = "" if rest.lstrip(" ").startswith(":") else ": 0"
        reading = read(f"{text[:start]}{_STAND_IN}{colon}{rest}")
        pointer = next((each for each in reading.source.keys if last(each) == _STAND_IN), "")
        items = list(_keys_in(reading, parent(pointer), start, needs_colon=bool(colon))) if pointer else []
        yield from items
        if items:
            return
    reading = read(f"{text[:start]}{_STAND_IN}{rest}")
    pointer = next((each for each in reading.source.values if reading.value(each) == _STAND_IN), "")
    if pointer:
        yield from _values_at(reading, pointer, start)


def _keys_in(reading: Reading, pointer: str, start: int, *, needs_colon: bool) -> Iterator[Item]:
    mapping = reading.value(pointer)
    given = [key for key in mapping if key != _STAND_IN] if isinstance(mapping, Mapping) else []
    end = ": " if needs_colon else ""
    holder = reading.value(parent(pointer))
    if last(pointer) == "with" and isinstance(holder, Mapping):
        for name, detail, doc in arguments_of(_input_of(reading, holder)):
            if name not in given:
                yield Item(name, start, "property", detail, doc, f"{name}{end}")
        return
    needs = needs_at(pointer)
    for key, schema in keys_at(pointer).items():
        others = [action for action in ACTIONS if action in given and key in ACTIONS and "id" in keys_at(pointer)]
        is_apart = bool(set(given) & set(ACTIONS)) and key in needs and not set(needs[key]) & {*given, "id"}
        if key not in given and not others and not is_apart:
            title, doc = str(schema.get("title", "")), str(schema.get("description", ""))
            yield Item(key, start, "key", title, doc, f"{key}{end}")


def _input_of(reading: Reading, holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of what a worker or a subworkflow takes."""
    if "worker" in holder:
        return dict(reading.contract(holder["worker"]).get("input", {}))
    if reading.subject is None:
        return {}
    definition = reading.subject.definition
    for site in reading.subject.outline.sites:
        action = site.step.action
        if isinstance(action, ChildAction) and site.raw.get("id") == holder.get("id"):
            child = definition.children.get(action.digest)
            return dict(child.input_schema or {}) if child is not None else {}
    return {}


def _values_at(reading: Reading, pointer: str, start: int) -> Iterator[Item]:
    key = last(pointer) if not last(pointer).isdigit() else last(parent(pointer))
    choices = choices_at(pointer)
    for choice, doc in choices.items():
        yield Item(choice, start, "value", doc=doc)
    match key:
        case "worker":
            for name, contract in sorted((reading.contracts or {}).items()):
                detail = ", ".join(each for each, _, _ in arguments_of(contract.get("input", {})))
                yield Item(name, start, "worker", f"({detail})", contract_text(contract))
        case "retry":
            yield from _named(reading, "/use/retries", start, choices)
        case "raises" | "errors" | "error":
            yield from _named(reading, "/use/errors", start, choices)
            if key == "errors":
                yield from (Item(each, start, "value") for each in ("any", "business", "technical"))
        case "subworkflow":
            yield from (Item(name, start, "value", detail=file) for name, file in _workflows(reading.path))
        case "$ref":
            yield from (Item(name, start, "value") for name in _schemas(reading))


def _named(reading: Reading, pointer: str, start: int, but: Mapping[str, str]) -> Iterator[Item]:
    known = reading.value(pointer)
    for name, said in (known if isinstance(known, Mapping) else {}).items():
        if name not in but:
            yield Item(name, start, "value", doc=str(said.get("title", "")) if isinstance(said, Mapping) else "")


def _workflows(path: Path) -> Iterator[tuple[str, str]]:
    """Those beside the file, with the file that defines each."""
    for other in _files(path.parent, (".yaml", ".yml")):
        found = re.search(r"^workflow:\s*([\w-]+)", other.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        if found and other != path and not other.stem.endswith(".test"):
            yield found[1], other.name


def _schemas(reading: Reading) -> Iterator[str]:
    for file in _files(reading.project.root / "schemas", (".json",)):
        if file.name != "workers.json":
            yield f"{'../' * len(reading.path.parent.relative_to(reading.project.root).parts)}schemas/{file.name}"
    names = reading.value("/use/schemas")
    yield from (f"#/use/schemas/{name}" for name in (names if isinstance(names, Mapping) else ()))


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in suffixes) if folder.is_dir() else []
