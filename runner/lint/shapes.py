"""What is known of the values of one definition: of its steps' outputs, its variables, its items, and of any template.

A value is looked for once and kept; one that is made of itself is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from runner.builtin import builtin_contracts
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
from runner.expression.evaluate import (
    ExpressionFault,
    Known,
    Reference,
    compile_template,
    inferred,
    known_constant,
)
from runner.lint.outline import Arm, Outline, Site
from runner.lint.reading import Text
from runner.lint.rule import Subject
from runner.lint.shape import UNKNOWN, Key, Shape, any_of, known_of, shape_at

_TEXT, _NUMBER = (Shape({"type": kind}) for kind in ("string", "number"))
_NAMES: Mapping[tuple[Key, ...], Shape] = {
    **{("run", name): _TEXT for name in ("id", "workflow", "version", "started_at")},
    ("run", "status"): Shape({"enum": ["completed", "compensated", "cancelled", "abandoned"]}),
    **{("step", name): _TEXT for name in ("id", "ref")},
    **{("error", name): _TEXT for name in ("code", "message", "step")},
    ("error", "kind"): Shape({"enum": ["business", "technical"]}),
    ("error", "attempt"): _NUMBER,
}
_STEP_STATUS = Shape({
    "enum": [
        "pending", "running", "completed", "failed", "unknown", "skipped", "compensating", "compensated",
        "compensation_failed",
    ]
})  # fmt: skip


@dataclass(slots=True)
class Shapes:
    """The shapes of one definition's values."""

    outline: Outline
    input_schema: Mapping[str, Any] | None
    contracts: Mapping[str, Mapping[str, Any]]
    children: Mapping[str, Any] = field(default_factory=dict)  # the templates of their outputs, by digest
    vars: Mapping[str, Any] = field(default_factory=dict)
    _outputs: dict[str, Shape] = field(default_factory=dict)
    _variables: dict[str, Shape] = field(default_factory=dict)
    _inputs: dict[tuple[Key, ...], Known] = field(default_factory=dict)

    def output(self, site: Site) -> Shape:
        """What `steps.<id>.output` is."""
        known = self._outputs.get(site.step.id)
        if known is None:
            self._outputs[site.step.id] = UNKNOWN  # while it is looked for: nothing reads itself
            known = UNKNOWN
            known = self.result(site) if site.step.output is None else self._template(site.step.output, site)
            if site.handlers:
                known = self._with_handlers(site, known)
            self._outputs[site.step.id] = known
        return known

    def _with_handlers(self, site: Site, own: Shape) -> Shape:
        """The output may be that of any handler that a run gets through."""
        several = [own]
        for handler, handled in zip(site.handlers, site.handled, strict=True):
            if handler.catch.output is not None:
                several.append(self._template(handler.catch.output, None))
            elif handled and handler.ends:
                several.append(self.output(handled[-1]))
        return several[0] if len(several) == 1 else Shape(either=tuple(several))

    def result(self, site: Site) -> Shape:
        """What `result` is in the step's own output and undo."""
        match site.step.action:
            case WorkerAction(call=call):
                schema = self.contracts.get(call.worker, {}).get("output")
                return Shape(schema, schema)
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

    def at(self, whole: tuple[Key, ...], site: Site | None) -> Shape:
        """What a path that does not begin with `result` leads to."""
        name, *path = whole
        if name == "input":
            return shape_at(Shape(self.input_schema, self.input_schema), tuple(path))
        if name == "steps" and len(path) > 1 and path[1] == "output" and str(path[0]) in self.outline.by_id:
            return shape_at(self.output(self.outline.by_id[str(path[0])]), tuple(path[2:]))
        if name == "steps" and len(path) == 2 and path[1] == "status":
            return _STEP_STATUS
        if name == "vars" and len(path) == 1:
            return self.variable(str(path[0]))
        if len(whole) == 2 and whole in _NAMES:
            return _NAMES[whole]
        if site is not None and name in site.items:
            return shape_at(self.item(site.items[str(name)]), tuple(path))
        return UNKNOWN

    def beginning(self, text: Text, path: tuple[Key, ...]) -> tuple[int, Shape]:
        """What a path in a text begins with, and how many of its parts that takes."""
        name, site = str(path[0]), text.site
        if name not in text.names:
            return 0, UNKNOWN
        if name == "input":
            return 1, Shape(self.input_schema, self.input_schema)
        if name == "steps" and len(path) > 3 and path[2] == "output" and str(path[1]) in text.view.visible:
            return 3, self.output(self.outline.by_id[str(path[1])])
        if site is None:
            return 0, UNKNOWN
        if name == "result":
            return 1, self._result_in(text, site)
        action = site.step.action
        if text.part == "inner" and isinstance(action, LoopAction) and name == action.as_:
            return 1, self.item(site)
        return (1, self.item(site.items[name])) if name in site.items else (0, UNKNOWN)

    def _result_in(self, text: Text, site: Site) -> Shape:
        if text.part == "until":
            return self.round(site)
        return self.last(site.arms[0]) if text.part == "inner" else self.result(site)

    def read(self, text: Text, path: tuple[Key, ...]) -> Known:
        """What is known of a path, where a text reads it."""
        if path[0] == "input":
            return self._known(path)
        start, shape = self.beginning(text, path)
        if start:
            return known_of(shape_at(shape, path[start:]))
        if path[0] not in text.names or (path[0] == "steps" and {*path[1:2]} - text.view.visible):
            return Known()  # found on its own
        return known_of(self.at(path, text.site))

    def _known(self, path: tuple[Key, ...]) -> Known:
        """Of a part of the input, which is read over and over."""
        known = self._inputs.get(path)
        if known is None:
            known = self._inputs[path] = known_of(self.at(path, None))
        return known

    def seen_from(self, site: Site, *, with_result: bool) -> Callable[[tuple[Key, ...]], Known]:
        """What is known of the paths that a step's calls read."""

        def look(path: tuple[Key, ...]) -> Known:
            if path[0] == "input":
                return self._known(path)
            if path[0] == "result":
                return known_of(shape_at(self.result(site), path[1:])) if with_result else Known()
            if path[0] == "steps" and {*path[1:2]} - site.within.visible:
                return Known()  # found on its own
            return known_of(self.at(path, site))

        return look

    def variable(self, name: str) -> Shape:
        """The types of all that a variable is ever given."""
        known = self._variables.get(name)
        if known is None:
            self._variables[name] = UNKNOWN  # it may be made of itself
            given = [known_constant(self.vars[name])] if name in self.vars else []
            for site in self.outline.sites:
                if isinstance(site.step.action, SetAction) and name in site.step.action.values:
                    given.append(known_of(self._template(site.step.action.values[name], site)))
            known = Shape(known=any_of(given).typed) if given else UNKNOWN
            self._variables[name] = known
        return known

    def _template(self, template: Any, site: Site | None, *, of_round: bool = False) -> Shape:
        if isinstance(template, Mapping):
            return Shape(parts={key: self._template(value, site, of_round=of_round) for key, value in template.items()})
        if isinstance(template, list):
            return Shape(item=UNKNOWN)
        path = sole_path(template)
        if path is None:
            return self._computed(template, site)
        if path.path[0] != "result":
            return self.at(path.path, site)
        if site is None:
            return UNKNOWN
        result = self.last(site.arms[0]) if of_round else self.result(site)
        return shape_at(result, path.path[1:])

    def _computed(self, template: Any, site: Site | None) -> Shape:
        """What an expression gives that is more than a path."""
        try:
            known, _ = inferred(template, lambda path: known_of(self.at(path, site)))
        except ExpressionFault:
            return UNKNOWN
        return Shape(known=known.typed) if known.kinds else UNKNOWN


def shapes_of(subject: Subject) -> Shapes:
    """One for all rules."""
    made: Shapes | None = subject.kept.get("shapes")
    if made is None:
        definition = subject.definition
        children = {digest: child.output for digest, child in definition.children.items()}
        known = subject.contracts if subject.contracts is not None else builtin_contracts()
        made = Shapes(subject.outline, definition.input_schema, known, children, definition.vars)
        subject.kept["shapes"] = made
    return made


def sole_path(template: Any) -> Reference | None:
    """The path, if a string is exactly one `{{ path }}`."""
    return _sole_path(template) if isinstance(template, str) and "{{" in template else None


@lru_cache(maxsize=2_048)
def _sole_path(template: str) -> Reference | None:
    try:
        references = compile_template(template).references
    except ExpressionFault:
        return None
    source = template.strip()
    if len(references) != 1 or not source.startswith("{{"):
        return None
    rest = source[2:-2].strip()[references[0].length :]  # a path ends before its last bracket
    return references[0] if rest in ("", "]") else None
