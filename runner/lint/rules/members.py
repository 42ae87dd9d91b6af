"""`input.x`, `steps.a.output.x`, `result.x`, `line.x`: the value has that member, as far as it is known what it is."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.complaint import did_you_mean, slip
from runner.definition.finding import Finding, shown
from runner.definition.model import LoopAction
from runner.expression.evaluate import Reference
from runner.lint.reading import Text
from runner.lint.rule import Rule, Subject
from runner.lint.shape import UNKNOWN, Gap, Shape, Shapes, gap_in, kind_of, shapes_of, sole_path

_KINDS = {
    "object": "a mapping", "string": "a text", "integer": "a number", "number": "a number", "boolean": "true or false",
}


def _unknown_members(subject: Subject) -> Iterator[Finding]:
    shapes = shapes_of(subject)
    for text, reference in subject.references():
        start, shape = _value(shapes, text, reference)
        gap = gap_in(shape, reference.path[start:])
        if gap is not None:
            yield _finding(text, reference, start, gap)


def _value(shapes: Shapes, text: Text, reference: Reference) -> tuple[int, Shape]:
    """What a path begins with, and how many of its parts that takes."""
    path = reference.path
    name = str(path[0])
    if name not in text.names:
        return 0, UNKNOWN
    if name == "input":
        return 1, Shape(shapes.input_schema, shapes.input_schema)
    if name == "steps" and len(path) > 3 and path[2] == "output" and str(path[1]) in text.view.visible:
        return 3, shapes.output(shapes.outline.by_id[str(path[1])])
    if name == "result" and text.site is not None:
        return 1, _result(shapes, text)
    site = text.site
    if site is None:
        return 0, UNKNOWN
    action = site.step.action
    if text.part == "inner" and isinstance(action, LoopAction) and name == action.as_:
        return 1, shapes.item(site)
    return (1, shapes.item(site.items[name])) if name in site.items else (0, UNKNOWN)


def _result(shapes: Shapes, text: Text) -> Shape:
    site = text.site
    if site is None:
        return UNKNOWN
    if text.part == "until":
        return shapes.round(site)
    return shapes.last(site.arms[0]) if text.part == "inner" else shapes.result(site)


def _finding(text: Text, reference: Reference, start: int, gap: Gap) -> Finding:
    index = start + gap.index
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in reference.path[:index])[1:]
    missing = str(reference.path[index])
    if gap.what:
        message, hint = f"{where} is {gap.what}: it has no member {shown(missing)}", ""
    else:
        message = f"{where} has no {shown(missing)}"
        hint = did_you_mean(missing, gap.known) or (f"it has {', '.join(gap.known[:8])}" if gap.known else "")
    if reference.path[0] == "input":
        message += "" if gap.what else ": its schema allows no other properties"
    column, length = reference.segments[index]
    code = "SR210" if reference.path[0] == "input" else "SR216"
    return Finding(
        code, text.pointer, message, hint, column=reference.offset + column, length=length, severity=gap.certainty,
        **slip(missing, gap.known),
    )


def _no_lists(subject: Subject) -> Iterator[Finding]:
    shapes = shapes_of(subject)
    for text in subject.texts:
        reference = sole_path(text.value) if text.part == "in" else None
        kind = "" if reference is None else kind_of(shapes.at(reference, text.site))
        if kind in _KINDS:
            message = f"{text.value.strip()[2:-2].strip()} is {_KINDS[kind]}, not a list"
            yield Finding("SR218", text.pointer, message)


RULES = (
    Rule(
        {
            "SR210": "A property that the input's schema does not allow",
            "SR216": "A member that a value does not have",
        },
        _unknown_members,
    ),
    Rule({"SR218": "for_each over what is no list"}, _no_lists),
)
