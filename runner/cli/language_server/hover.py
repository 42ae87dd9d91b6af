"""What is told of the word under the cursor: a key, a worker, a step, a type, a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.cli.checking.explanations import explanation
from runner.cli.language_server.completion import MEMBERS, NAMES, OF_STEP
from runner.cli.language_server.pointing import Place, place_at
from runner.cli.language_server.reading import Reading
from runner.cli.language_server.schema import choices_at, shown_at
from runner.cli.language_server.wording import arguments_of, contract_text, schema_text
from runner.definition.finding import last, parent, shown
from runner.definition.problem import Problem
from runner.lint.shape import schema_of, shape_at


def hover(reading: Reading, offset: int, problems: Sequence[Problem]) -> tuple[int, int, str] | None:
    """Where the word is, and what is said of it in Markdown."""
    place = place_at(reading, offset)
    told = [] if place is None else list(filter(None, _about(reading, place)))
    start, end = (place.start, place.end) if place is not None and told else (offset, offset)
    line, column = reading.source.at(offset)
    for problem in problems:
        if problem.line == line and problem.column <= column <= problem.column + problem.length:
            told += _rule(problem.code)
    return (start, end, "\n\n---\n\n".join(dict.fromkeys(told))) if told else None


def _rule(code: str) -> list[str]:
    page = explanation(code)
    if page is None:
        return []
    meaning = page.meaning.strip().split("\n\n")[0]
    return [f"**{code}: {page.title}**\n\n{meaning}\n\n`sagarun explain {code}` shows examples."]


def _about(reading: Reading, place: Place) -> Iterator[str]:
    if place.path:
        yield _of_path(reading, place)
    elif place.is_key:
        yield _of_key(reading, place.pointer)
    else:
        yield _of_value(reading, place.pointer)


def _of_path(reading: Reading, place: Place) -> str:
    if reading.shapes is None or place.text is None or reading.subject is None:
        return ""
    path, name = place.path, str(place.path[0])
    if path[1:] and name in MEMBERS:
        return MEMBERS[name].get(str(path[1]), "")
    if name == "steps" and len(path) > 1:
        site = reading.subject.outline.by_id.get(str(path[1]))
        if site is None:
            return ""
        if len(path) == 2:
            call = getattr(site.step.action, "call", None)
            asked = contract_text(reading.contract(call.worker)) if call is not None else ""
            return "\n\n".join(filter(None, [f"step **{site.step.id}**", site.step.summary, asked]))
        if len(path) == 3:
            known = schema_of(reading.shapes.output(site)) if path[2] == "output" else {}
            return schema_text(_written(path), known) if known else OF_STEP.get(str(path[2]), "")
    taken, root = reading.shapes.beginning(place.text, (*path, ""))
    schema = schema_of(shape_at(root, tuple(path[taken:]))) if taken else {}
    return schema_text(_written(path), schema) if schema else NAMES.get(name, "") if len(path) == 1 else ""


def _written(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def _of_key(reading: Reading, pointer: str) -> str:
    holder = reading.value(parent(parent(pointer)))
    if last(parent(pointer)) == "with" and isinstance(holder, Mapping) and "worker" in holder:
        for name, type_, doc in arguments_of(reading.contract(holder["worker"]).get("input", {})):
            if name == last(pointer):
                return "\n\n".join(filter(None, [f"`{name}`: {type_}", doc]))
        return ""
    title, description = shown_at(pointer)
    return f"**{title}**\n\n{description}" if description else ""


def _of_value(reading: Reading, pointer: str) -> str:
    value = reading.value(pointer)
    key = last(parent(pointer)) if last(pointer).isdigit() else last(pointer)
    if key == "worker":
        return contract_text(reading.contract(value))
    if key in ("raises", "errors", "error") and isinstance(value, str):
        return _named(reading.value(f"/use/errors/{value}"), value)
    if key == "retry" and isinstance(value, str):
        return _named(reading.value(f"/use/retries/{value}"), value)
    return choices_at(pointer).get(value, "") if isinstance(value, str) else ""


def _named(said: Any, name: str) -> str:
    if not isinstance(said, Mapping):
        return ""
    text = str(said.get("description") or said.get("title") or "")
    return f"**{name}**: {text}" if text else f"**{name}**: `{shown(said)}`"
