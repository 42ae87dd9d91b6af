"""What workers and subworkflows are given: constants and paths of a known type, against what they take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runner.definition.complaint import did_you_mean, slip
from runner.definition.finding import Finding, child, shown
from runner.definition.inputs import InputChecker
from runner.definition.model import Call, ChildAction
from runner.errors import InputError
from runner.expression.evaluate import ExpressionFault, Known, inferred
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject, calls_of
from runner.lint.shape import Shape, kind_of, known_of
from runner.lint.shapes import shapes_of

_Look = Callable[[tuple[str | int, ...]], Known]


def _worker_arguments(subject: Subject) -> Iterator[Finding]:
    shapes = shapes_of(subject)
    for site in subject.outline.sites:
        for pointer, call in calls_of(site):
            schema = subject.contract(call.worker).get("input")
            if isinstance(schema, Mapping) and isinstance(call.with_, Mapping):
                look = shapes.seen_from(site, with_result=pointer.endswith(("/compensate", "/confirm")))
                yield from _of_call(look, f"{pointer}/with", call, schema)


def _of_call(look: _Look, pointer: str, call: Call, schema: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in call.with_.items():
        wanted = schema.get("properties", {}).get(name)
        if not isinstance(wanted, Mapping):
            continue
        message = _misfit(look, value, wanted, schema)
        if message:
            at = child(pointer, name)
            yield Finding("SR219", at, f"{call.worker}: {shown(name)}: {message}", severity="warning")


def _misfit(look: _Look, value: Any, wanted: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if is_constant(value):
        try:
            InputChecker({"$defs": root.get("$defs", {}), **wanted}).prepare(value)
        except InputError as error:
            return error.problems[0]
        return ""
    takes = known_of(Shape(wanted, root))
    if not takes.kinds:
        return ""
    try:
        given, _ = inferred(value, look)
    except ExpressionFault:
        return ""  # found on its own
    if given.kinds and given.kinds.isdisjoint(takes.kinds):
        return f"this is {given.words}; it takes {_word(kind_of(Shape(wanted, root))) or takes.words}"
    if given.values is not None and takes.values is not None and not any(each in takes.values for each in given.values):
        return f"this is none of what it takes: {', '.join(map(shown, takes.values[:8]))}"
    if given.is_fractional and not takes.is_fractional and "number" in takes.kinds:
        return "this may have a fraction; it takes a whole number"
    return ""


def _word(kind: str) -> str:
    return "a whole number" if kind == "integer" else ""


def is_constant(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(is_constant(item) for item in value.values())
    if isinstance(value, list):
        return all(is_constant(item) for item in value)
    return not isinstance(value, str) or "{{" not in value


def _child_inputs(subject: Subject) -> Iterator[Finding]:
    shapes = shapes_of(subject)
    for site in subject.outline.sites:
        action = site.step.action
        if not isinstance(action, ChildAction) or action.digest not in subject.definition.children:
            continue
        schema, given = subject.definition.children[action.digest].input_schema, action.with_
        if schema is None or not isinstance(given, Mapping):
            continue
        yield from _of_child(shapes.seen_from(site, with_result=False), site, action, schema)


def _of_child(look: _Look, site: Site, action: ChildAction, schema: Mapping[str, Any]) -> Iterator[Finding]:
    known = schema.get("properties", {})
    given = action.with_
    if is_constant(given):
        try:
            InputChecker(schema).prepare(given)
        except InputError as error:
            at = f"{site.pointer}/{'with' if 'with' in site.raw else 'subworkflow'}"
            yield Finding("SR220", at, f"this is no input of {action.workflow}: {error.problems[0]}", on_key=True)
        return
    for name in given:
        if name not in known and schema.get("additionalProperties") is False:
            hint = did_you_mean(name, known) or f"it takes {', '.join(known) or 'nothing'}"
            at, message = child(f"{site.pointer}/with", name), f"{action.workflow} takes no {shown(name)}"
            meant = slip(name, [each for each in known if each not in given])
            yield Finding("SR220", at, message, hint, on_key=True, **meant)
    for name in schema.get("required", ()):
        has_default = isinstance(known.get(name), Mapping) and "default" in known[name]
        if name not in given and not has_default:
            at = f"{site.pointer}/{'with' if 'with' in site.raw else 'subworkflow'}"
            yield Finding("SR220", at, f"{action.workflow} needs {shown(name)}", on_key=True)
    for name, value in given.items():
        message = _misfit(look, value, known[name], schema) if isinstance(known.get(name), Mapping) else ""
        if message:
            at = child(f"{site.pointer}/with", name)
            yield Finding("SR220", at, f"{action.workflow}: {shown(name)}: {message}")


RULES = (
    Rule({"SR219": "An argument of another type than the worker takes"}, _worker_arguments, needs="step"),
    Rule({"SR220": "What a subworkflow is given is no input of it"}, _child_inputs, needs="step"),
)
