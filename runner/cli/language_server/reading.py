"""A definition as an editor has it open: perhaps half written, never saved. What can be known of it is found here.

Rule: nothing here speaks the protocol of editors. Places are offsets into the text; the server turns them into lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.definition.events import Span
from runner.definition.finding import last, parent
from runner.definition.load import Draft, examine
from runner.definition.problem import Problem
from runner.definition.project import Project
from runner.definition.salvage import node_at
from runner.definition.source import Source, read_text
from runner.errors import DefinitionError
from runner.lint.linter import lint_draft, subject_of
from runner.lint.reading import Text
from runner.lint.rule import Subject
from runner.lint.shapes import Shapes, shapes_of

Contracts = Mapping[str, Mapping[str, Any]]
_EMPTY = Source("", "")


@dataclass(slots=True)
class Reading:
    """One text of one file. `source` is empty where the YAML is broken, `subject` None where too little is sound."""

    path: Path
    text: str
    project: Project
    contracts: Contracts | None
    source: Source = _EMPTY
    draft: Draft | None = None
    subject: Subject | None = None
    _shapes: Shapes | None = field(default=None, repr=False)

    @property
    def shapes(self) -> Shapes | None:
        if self._shapes is None and self.subject is not None:
            self._shapes = shapes_of(self.subject)
        return self._shapes

    def contract(self, worker: Any) -> Mapping[str, Any]:
        """Empty where it is not known."""
        found = (self.contracts or {}).get(worker) if isinstance(worker, str) else None
        return found or {}

    def value(self, pointer: str) -> Any:
        """What the text says there, or None."""
        return node_at(self.source.value, pointer)

    def at(self, offset: int) -> tuple[str, bool]:
        """The pointer of the innermost key (then True) or value around a place; "" for none."""
        keys, values = self.source.keys.items(), self.source.values.items()
        found = [(span.end - span.start, pointer, True) for pointer, span in keys if _in(span, offset)]
        found += [(span.end - span.start, pointer, False) for pointer, span in values if _in(span, offset)]
        _, pointer, is_key = min(found, default=(0, "", False), key=lambda each: (each[0], -len(each[1])))
        return pointer, is_key

    def text_at(self, pointer: str) -> Text | None:
        """The template there, with the names that it may read."""
        if self.subject is None:
            return None
        return next((text for text in self.subject.texts if text.pointer == pointer and not text.is_key), None)

    def step_around(self, pointer: str) -> Mapping[str, Any]:
        """The mapping nearest around a place that says what a step does; empty if there is none."""
        while pointer:
            pointer = parent(pointer)
            value = self.value(pointer)
            if isinstance(value, Mapping) and last(pointer).isdigit():
                return value
        return {}


def read(path: Path, text: str, project: Project, contracts: Contracts | None) -> Reading:
    """All that can be said of a definition's text. Raises nothing for what is wrong with it."""
    text = text.removeprefix("\ufeff")
    reading = Reading(path, text, project, contracts)
    reading.draft = examine(path, root=project.root, contracts=contracts, text=text)
    try:
        reading.source = read_text(text, str(path))
    except DefinitionError:
        return reading  # the draft says why
    if reading.draft.definition is not None and reading.draft.source is not None:
        reading.subject = subject_of(reading.draft.definition, reading.draft.source.value, contracts)
    return reading


def problems_of(reading: Reading) -> list[Problem]:
    """Those of this file that the project wants to know of; what is wrong with others is said of them."""
    from runner.lint.choice import Choice

    assert reading.draft is not None
    wanted = Choice(reading.project.validate.select, reading.project.validate.ignore)
    found = lint_draft(reading.draft, reading.contracts)
    return [problem for problem in found if problem.file == str(reading.path) and wanted.takes(problem)]


def _in(span: Span, offset: int) -> bool:
    return span.start <= offset <= span.end
