"""What is under the cursor: a key, a value, or a part of a path in an expression."""

from __future__ import annotations

from dataclasses import dataclass

from runner.cli.language_server.reading import Reading
from runner.definition.finding import Finding
from runner.expression.evaluate import Reference
from runner.lint.reading import Text


@dataclass(frozen=True, slots=True)
class Place:
    """`path` is that of the expression up to the part under the cursor; empty outside of expressions."""

    start: int
    end: int
    pointer: str
    is_key: bool = False
    text: Text | None = None
    path: tuple[str | int, ...] = ()


def place_at(reading: Reading, offset: int) -> Place | None:
    pointer, is_key = reading.at(offset)
    if not pointer:
        return None
    text = None if is_key else reading.text_at(pointer)
    for reference in text.references if text is not None else ():
        found = _segment(reading, text, reference, offset)
        if found is not None:
            return found
    if is_key:
        span = reading.source.keys[pointer]
    else:
        span = reading.source.values[pointer]
        if span.is_collection:
            return None
    return Place(span.start, span.end, pointer, is_key, text)


def _segment(reading: Reading, text: Text | None, reference: Reference, offset: int) -> Place | None:
    source = reading.draft.source if reading.draft is not None else None
    if text is None or source is None:
        return None
    for index, (column, length) in enumerate(reference.segments):
        found = Finding("", text.pointer, "", column=reference.offset + column, length=length)
        start, end = source.extent(found)
        if start <= offset <= end:
            return Place(start, end, text.pointer, text=text, path=reference.path[: index + 1])
    return None
