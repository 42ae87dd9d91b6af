"""What an expression computes, where the types of what it reads are known: conditions, comparisons, operations."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding
from runner.expression.evaluate import Clash, inferred
from runner.lint.reading import Text
from runner.lint.rule import Rule, Subject
from runner.lint.shapes import shapes_of, sole_path

_CONDITIONS = ("when", "until", "match")


def _clashes(subject: Subject) -> Iterator[Finding]:
    shapes = shapes_of(subject)
    for text in subject.texts:
        if text.fault is not None or text.is_key or "{{" not in text.value:
            continue
        if text.part not in _CONDITIONS and sole_path(text.value) is not None:
            continue  # nothing is done with it
        known, clashes = inferred(text.value, lambda path, text=text: shapes.read(text, path))  # type: ignore[misc]
        for clash in clashes:
            yield _finding(text, clash)
        if text.part in _CONDITIONS and text.references and known.is_none_of("boolean"):
            source = text.value.strip()[2:-2].strip()
            column = text.value.index(source) + 1
            hint = "compare it with something"
            yield Finding(
                "SR222", text.pointer, f"a condition is true or false, and this is {known.words}", hint,
                column=column, length=len(source),
            )


def _finding(text: Text, clash: Clash) -> Finding:
    if clash.what == "comparison":
        hint = did_you_mean(clash.word, clash.instead) if clash.word else ""
        hint = hint or (f"it is one of {', '.join(clash.instead[:8])}" if clash.instead else "")
        return Finding(
            "SR223", text.pointer, clash.message, hint, column=clash.column, length=clash.length, severity="warning"
        )
    hint = f"write it out with {clash.instead[0]}" if clash.instead else ""
    return Finding("SR224", text.pointer, clash.message, hint, column=clash.column, length=clash.length)


RULES = (
    Rule(
        {
            "SR222": "A condition that is neither true nor false",
            "SR223": "A comparison that always gives the same",
            "SR224": "An operation on a value that it does not work on",
        },
        _clashes,
    ),
)
