"""What is known of a value before anything ran: from the input's schema, workers' contracts, and the file itself.

Nothing is guessed: a schema that leaves something open says nothing about it, but for a worker's contract. That is made
from a function's annotations, which list what it returns; a member that is not in it is doubtful.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.definition.model import (
    BlockAction,
    ChildAction,
    LoopAction,
    ParallelAction,
    RepeatAction,
    SetAction,
    SignalAction,
    WorkerAction,
)
from runner.expression.evaluate import ExpressionFault, Reference, compile_template
from runner.lint.outline import Arm, Outline, Site
from runner.lint.rule import Subject

_OPEN_ENDED = frozenset({"allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas", "prefixItems"})
_SIMPLE = {"string": "a text", "integer": "a number", "number": "a number", "boolean": "true or false", "null": "null"}
_MAX_REFS = 32

Key = str | int


@dataclass(frozen=True, slots=True)
class Shape:
    """A value's JSON Schema; or, of what is put together in the file, its `parts` or its `item`."""

    schema: Any = None
    root: Any = None
    is_contract: bool = False
    parts: Mapping[str, Shape] | None = None
    item: Shape | None = None


UNKNOWN = Shape()


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a path leaves what there is: its part at `index` does not exist. `known` are the names that do."""

    index: int
    known: tuple[str, ...] = ()
    what: str = ""  # the value has no members at all: "a list"
    certainty: Literal["error", "warning"] = "error"


def gap_in(shape: Shape, path: tuple[Key, ...]) -> Gap | None:
    """The first part of a path that is not there, if that is known."""
    for index, key in enumerate(path):
        following = _member(shape, key)
        if isinstance(following, Gap):
            return Gap(index, following.known, following.what, following.certainty)
        shape = following
    return None


def shape_at(shape: Shape, path: tuple[Key, ...]) -> Shape:
    for key in path:
        following = _member(shape, key)
        if isinstance(following, Gap):
            return UNKNOWN
        shape = following
    return shape


def kind_of(shape: Shape) -> str:
    """The type of the value, if it is known and only one: "array", "string" …"""
    if shape.parts is not None:
        return "object"
    if shape.item is not None:
        return "array"
    schema = _behind_refs(shape.root, shape.schema)
    kind = schema.get("type") if isinstance(schema, Mapping) and not _OPEN_ENDED & set(schema) else None
    return kind if isinstance(kind, str) else ""


def _member(shape: Shape, key: Key) -> Shape | Gap:
    kind = kind_of(shape)
    if kind in _SIMPLE and not (kind == "string" and isinstance(key, int)):
        return Gap(0, what=_SIMPLE[kind])
    if kind == "array" and isinstance(key, str):
        return Gap(0, what="a list")
    if shape.parts is not None:
        return shape.parts[key] if isinstance(key, str) and key in shape.parts else Gap(0, tuple(shape.parts))
    if shape.item is not None:
        return shape.item
    schema = _behind_refs(shape.root, shape.schema)
    if not isinstance(schema, Mapping) or _OPEN_ENDED & set(schema):
        return UNKNOWN
    if isinstance(key, int):
        return Shape(schema.get("items"), shape.root, shape.is_contract)
    properties = schema.get("properties", {})
    if key in properties:
        return Shape(properties[key], shape.root, shape.is_contract)
    if schema.get("additionalProperties") is False:
        return Gap(0, tuple(properties))
    if shape.is_contract and properties and "additionalProperties" not in schema:
        return Gap(0, tuple(properties), certainty="warning")
    return UNKNOWN


def _behind_refs(root: Any, schema: Any) -> Any:
    for _ in range(_MAX_REFS):
        if not isinstance(schema, Mapping) or "$ref" not in schema:
            return schema
        if {"properties", "additionalProperties", "items"} & set(schema):
            return None  # both count, and together they say more than either
        reference, schema = schema["$ref"], root
        for part in str(reference).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            schema = schema.get(key) if isinstance(schema, Mapping) else None
    return None


@dataclass(slots=True)
class Shapes:
    """The shapes of one definition's values."""

    outline: Outline
    input_schema: Mapping[str, Any] | None
    contracts: Mapping[str, Mapping[str, Any]]
    children: Mapping[str, Any] = field(default_factory=dict)  # the templates of their outputs, by digest
    _outputs: dict[str, Shape] = field(default_factory=dict)

    def output(self, site: Site) -> Shape:
        """What `steps.<id>.output` is."""
        known = self._outputs.get(site.step.id)
        if known is None:
            self._outputs[site.step.id] = UNKNOWN  # while it is looked for: nothing reads itself
            known = UNKNOWN
            if not site.handlers:  # else it may be that of a handler
                known = self.result(site) if site.step.output is None else self._template(site.step.output, site)
            self._outputs[site.step.id] = known
        return known

    def result(self, site: Site) -> Shape:
        """What `result` is in the step's own output and undo."""
        match site.step.action:
            case WorkerAction(call=call):
                schema = self.contracts.get(call.worker, {}).get("output")
                return Shape(schema, schema, is_contract=True)
            case SignalAction(schema=schema):
                return Shape(schema, schema)
            case ChildAction(digest=digest):
                return self._template(self.children.get(digest), None)
            case SetAction(values=values):
                return Shape(parts=dict.fromkeys(values, UNKNOWN))
            case ParallelAction():
                return Shape(parts={arm.name: self.last(arm) for arm in site.arms})
            case LoopAction(on_item_failure=on_failure):
                item = self.round(site)
                return Shape(item=item if on_failure == "fail" else Shape(parts={"output": item, "error": UNKNOWN}))
            case RepeatAction():
                return self.round(site)
            case BlockAction():
                return self.last(site.arms[0])
            case _:
                return UNKNOWN

    def round(self, site: Site) -> Shape:
        """The output of one item or one round."""
        output = getattr(site.step.action, "output", None)
        return self.last(site.arms[0]) if output is None else self._template(output, site, of_round=True)

    def last(self, arm: Arm) -> Shape:
        return self.output(arm.sites[-1]) if arm.sites else UNKNOWN

    def item(self, loop: Site) -> Shape:
        """What the name after `as` is."""
        action = loop.step.action
        items = self._template(action.in_, loop) if isinstance(action, LoopAction) else UNKNOWN
        return shape_at(items, (0,))

    def at(self, reference: Reference, site: Site | None) -> Shape:
        """What a path that does not begin with `result` leads to."""
        name, *path = reference.path
        if name == "input":
            return shape_at(Shape(self.input_schema, self.input_schema), tuple(path))
        if name == "steps" and len(path) > 1 and path[1] == "output" and str(path[0]) in self.outline.by_id:
            return shape_at(self.output(self.outline.by_id[str(path[0])]), tuple(path[2:]))
        if site is not None and name in site.items:
            return shape_at(self.item(site.items[str(name)]), tuple(path))
        return UNKNOWN

    def _template(self, template: Any, site: Site | None, *, of_round: bool = False) -> Shape:
        if isinstance(template, Mapping):
            return Shape(parts={key: self._template(value, site, of_round=of_round) for key, value in template.items()})
        if isinstance(template, list):
            return Shape(item=UNKNOWN)
        path = sole_path(template)
        if path is None:
            return UNKNOWN
        if path.path[0] != "result":
            return self.at(path, site)
        if site is None:
            return UNKNOWN
        result = self.last(site.arms[0]) if of_round else self.result(site)
        return shape_at(result, path.path[1:])


def shapes_of(subject: Subject) -> Shapes:
    children = {digest: child.output for digest, child in subject.definition.children.items()}
    return Shapes(subject.outline, subject.definition.input_schema, subject.contracts or {}, children)


def sole_path(template: Any) -> Reference | None:
    """The path, if a string is exactly one `{{ path }}`."""
    if not isinstance(template, str):
        return None
    try:
        references = compile_template(template).references
    except ExpressionFault:
        return None
    source = template.strip()
    if len(references) != 1 or not source.startswith("{{"):
        return None
    rest = source[2:-2].strip()[references[0].length :]  # a path ends before its last bracket
    return references[0] if rest in ("", "]") else None
