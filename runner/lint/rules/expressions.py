"""Expressions that cannot be parsed, and expressions where none is evaluated."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding, child
from runner.lint.reading import strings
from runner.lint.rule import Rule, Subject


def _faults(subject: Subject) -> Iterator[Finding]:
    for text in subject.texts:
        fault = text.fault
        if fault is None:
            continue
        if text.is_key:
            yield Finding("SR206", text.pointer, fault.message, "only values may hold expressions", on_key=True)
        else:
            column = fault.offset + fault.column
            yield Finding("SR206", text.pointer, fault.message, column=column, length=fault.length)


def _constants(subject: Subject) -> Iterator[Finding]:
    for name, value in subject.definition.vars.items():
        if isinstance(value, str) and "{{" in value:
            pointer = child("/vars", name)
            yield Finding("SR213", pointer, "vars are constants: no expression is evaluated here", "use a set step")
    schedule = subject.definition.schedule
    for pointer, text, _ in strings("/schedule/input", None if schedule is None else schedule.input):
        if "{{" in text:
            message = "a schedule's input is a constant: no expression is evaluated here"
            yield Finding("SR213", pointer, message, "compute it in a set step, from run.started_at if need be")


RULES = (
    Rule({"SR206": "An expression cannot be parsed"}, _faults),
    Rule({"SR213": "An expression where none is evaluated"}, _constants),
)
