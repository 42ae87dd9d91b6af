"""`input.x`, `steps.a.output.x`, `result.x`, `line.x`: the value has that member, as far as it is known what it is."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.complaint import did_you_mean, slip
from runner.definition.finding import Finding, shown
from runner.expression.evaluate import Known, Reference
from runner.lint.reading import Text
from runner.lint.rule import Rule, Subject
from runner.lint.shape import Gap, gap_in, perhaps_absent
from runner.lint.shapes import shapes_of, sole_path


def _unknown_members(subject: Subject) -> Iterator[Finding]:
    shapes = shapes_of(subject)
    of_input: dict[tuple[str | int, ...], Gap | None] = {}  # which is read over and over
    for text, reference in subject.references():
        start, shape = shapes.beginning(text, reference.path)
        if start == 1 and reference.path[0] == "input":
            if reference.path not in of_input:
                of_input[reference.path] = gap_in(shape, reference.path[1:])
            gap = of_input[reference.path]
        else:
            gap = gap_in(shape, reference.path[start:]) if start else None
        if gap is not None:
            yield _finding(text, reference, start, gap)


def _finding(text: Text, reference: Reference, start: int, gap: Gap) -> Finding:
    index = start + gap.index
    where = _written(reference.path[:index])
    missing = str(reference.path[index])
    if gap.what:
        message, hint = f"{where} is {gap.what}: it has no member {shown(missing)}", ""
    else:
        message = f"{where} has no {shown(missing)}"
        hint = did_you_mean(missing, gap.known) or (f"it has {', '.join(gap.known[:8])}" if gap.known else "")
    if reference.path[0] == "input":
        why = "allows no other properties" if gap.certainty == "error" else "describes no such property"
        message += "" if gap.what else f": its schema {why}"
    column, length = reference.segments[index]
    code = "SR210" if reference.path[0] == "input" else "SR216"
    return Finding(
        code, text.pointer, message, hint, column=reference.offset + column, length=length, severity=gap.certainty,
        **slip(missing, gap.known),
    )


def _written(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def _perhaps_absent(subject: Subject) -> Iterator[Finding]:
    shapes = shapes_of(subject)
    for text, reference in subject.references():
        if reference.guarded:
            continue
        start, shape = shapes.beginning(text, reference.path)
        for index in perhaps_absent(shape, reference.path[start:]) if start else ():
            path = reference.path[: start + index + 1]
            known = text.view.known | reference.known
            if any(fact[: len(path)] == path for fact in known):
                continue
            where = _written(path)
            column, length = reference.segments[start + index]
            yield Finding(
                "SR225", text.pointer, f"{where} may be absent: its schema does not require it",
                f"use default(), or test it: {where} is defined",
                column=reference.offset + column, length=length, severity="warning",
            )
            break


def _no_lists(subject: Subject) -> Iterator[Finding]:
    shapes = shapes_of(subject)
    for text in subject.texts:
        reference = sole_path(text.value) if text.part == "in" else None
        known = Known() if reference is None else shapes.read(text, reference.path)
        if known.is_none_of("array"):
            message = f"{text.value.strip()[2:-2].strip()} is {known.words}, not a list"
            yield Finding("SR218", text.pointer, message)


RULES = (
    Rule(
        {
            "SR210": "A property that the input's schema does not allow",
            "SR216": "A member that a value does not have",
        },
        _unknown_members,
    ),
    Rule({"SR225": "A property that there may not be, used without default()"}, _perhaps_absent),
    Rule({"SR218": "for_each over what is no list"}, _no_lists),
)
