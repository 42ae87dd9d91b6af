"""Which values of a run's input nobody is to see: those that the input schema marks with `x-secret: true`.

They are stored, because steps need them; but whatever is shown of a run goes through `Redaction`, which hides the
values where they stand in the input, and everywhere else that they turn up: in outputs, errors, tracebacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from runner.definition.inputs import MARK, MAX_DEPTH, has_secrets, resolve_local
from runner.shown import HIDDEN, MIN_LENGTH, Redactor

# What definitions and sagarun itself say; a secret that is a common word must not blot it out.
_OUR_OWN = frozenset({
    "at_ms", "choice", "code", "definition", "digest", "ending", "handler", "held_by", "id", "item_path", "kind",
    "outcome", "parent", "parent_path", "parent_step", "path", "phase", "process", "rerun_of", "run_id", "status",
    "step", "stuck_run", "summary", "timer", "type", "verb", "verdict", "version", "worker", "workflow",
})


_Place = tuple[str | int, ...]


class Redaction:
    """Of one run, by the schema and value of its input. `is_needed` is False where nothing has to be hidden."""

    def __init__(self, schema: Mapping[str, Any] | None = None, value: Any = None) -> None:
        self.is_needed = has_secrets(schema)
        search = _Search(schema)
        search.look(schema, value, ())
        self.input = search.hidden(value, ()) if self.is_needed else value
        texts = {str(leaf) for leaf in search.leaves if not isinstance(leaf, bool)}
        self._redactor = Redactor(text for text in texts if len(text) >= MIN_LENGTH)

    def text(self, text: str) -> str:
        return self._redactor.text(text)

    def of(self, value: Any) -> Any:
        """The same value, event or view, with what is secret hidden."""
        if not self.is_needed:
            return value
        if isinstance(value, msgspec.Struct):
            fields = value.__struct_fields__
            return msgspec.structs.replace(value, **self._changed(value, fields))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = tuple(each.name for each in dataclasses.fields(value) if each.init)
            return dataclasses.replace(value, **self._changed(value, names))
        if isinstance(value, tuple):
            return tuple(self.of(item) for item in value)
        return self._redactor.value(value)

    def record(self, value: Any) -> Any:
        """The same for a record of ours as JSON: the numbers at its top, and what cannot be a secret, are left."""
        if not self.is_needed or not isinstance(value, dict):
            return self.of(value)
        return {
            name: inner if name in _OUR_OWN or isinstance(inner, int | float) else self._redactor.value(inner)
            for name, inner in value.items()
        }

    def _changed(self, record: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """Fields that are not ours, as they may be shown."""
        values = {name: getattr(record, name) for name in names if name not in _OUR_OWN}
        return {name: self.of(value) for name, value in values.items() if value}


class _Search:
    """The marked places of a value. Each schema is held against each place once, however they refer to each other."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._seen: set[tuple[int, _Place]] = set()
        self._marked: set[_Place] = set()
        self.leaves: list[Any] = []

    def look(self, schema: Any, value: Any, place: _Place) -> None:
        if not isinstance(schema, Mapping) or (id(schema), place) in self._seen or len(place) > MAX_DEPTH:
            return
        self._seen.add((id(schema), place))
        if schema.get(MARK) is True and value is not None:
            self._marked.add(place)
            self.leaves.extend(_leaves(value))
        for same in self._alternatives(schema):
            self.look(same, value, place)
        for key, item in _parts(value):
            for below in _schemas_of(schema, key):
                self.look(below, item, (*place, key))

    def hidden(self, value: Any, place: _Place) -> Any:
        if place in self._marked:
            return HIDDEN
        if isinstance(value, dict):
            return {key: self.hidden(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.hidden(item, (*place, key)) for key, item in enumerate(value)]
        return value

    def _alternatives(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        """Other schemas of the same value. Which of them fits is not asked: one that marks it is enough."""
        if isinstance(schema.get("$ref"), str):
            yield resolve_local(self._root, schema["$ref"])
        for name in ("allOf", "anyOf", "oneOf"):
            yield from schema.get(name) or []
        for name in ("if", "then", "else"):
            yield schema.get(name)


def _parts(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _schemas_of(schema: Mapping[str, Any], key: str | int) -> list[Any]:
    """What is said of a member or item. A pattern is not matched: where one member is secret, all it might name are."""
    if isinstance(key, int):
        before = schema.get("prefixItems") or []
        return [before[key] if key < len(before) else schema.get("items")]
    properties = schema.get("properties") or {}
    others = (schema.get("patternProperties") or {}).values()
    return [properties[key], *others] if key in properties else [schema.get("additionalProperties"), *others]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, str | int | float):
        yield value
    for _, item in _parts(value):
        yield from _leaves(item)


NOTHING_SECRET = Redaction()
