"""What a lint rule is: codes, titles, and a function from the subject to findings. Rules know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from runner.builtin import builtin_contracts
from runner.definition.complaint import slip
from runner.definition.finding import Finding
from runner.definition.model import Call, Definition, WorkerAction
from runner.expression.evaluate import Reference
from runner.lint.outline import Outline, Site
from runner.lint.reading import Text


@dataclass(frozen=True, slots=True)
class Subject:
    """A definition as rules see it. `contracts` is None where nobody knows which workers there are."""

    definition: Definition
    outline: Outline
    texts: list[Text]
    contracts: Mapping[str, Mapping[str, Any]] | None
    raw: Mapping[str, Any] = field(default_factory=dict)  # what the file says
    kept: dict[str, Any] = field(default_factory=dict)  # what several rules need, by the name of who made it

    def contract(self, worker: str) -> Mapping[str, Any]:
        """Empty where it is not known. Those of the workers that come with sagarun always are."""
        known = builtin_contracts() if self.contracts is None else self.contracts
        return known.get(worker, {})

    def errors_of(self, action: WorkerAction) -> set[str]:
        """The codes that it may say no with: those that the step names, and those of its worker's contract."""
        return {*action.raises, *(self.contract(action.call.worker).get("raises") or ())}

    def references(self) -> Iterator[tuple[Text, Reference]]:
        for text in self.texts:
            for reference in text.references:
                yield text, reference


@dataclass(frozen=True, slots=True)
class Rule:
    """One check and the codes that it can find. Codes are stable: never reuse one.

    `needs` says what must be sound for a finding to be more than a consequence of another: nothing, the
    step that it is about, or the whole file.
    """

    codes: Mapping[str, str]  # code -> title
    check: Callable[[Subject], Iterator[Finding]]
    needs: Literal["nothing", "step", "file"] = "nothing"


def calls_of(site: Site) -> Iterator[tuple[str, Call]]:
    """The workers that a step may ask, each with the pointer of what asks it."""
    action = site.step.action
    if isinstance(action, WorkerAction):
        yield site.pointer, action.call
    for key in ("compensate", "verify", "confirm"):
        call = getattr(action, key, None)
        if isinstance(call, Call):
            yield f"{site.pointer}/{key}", call


def at_segment(
    code: str, text: Text, reference: Reference, index: int, message: str, hint: str = "", known: Iterable[str] = ()
) -> Finding:
    """A finding that underlines one part of a path: index 1 of steps.charge.output is "charge".

    `known` are the words that can stand there, one of which it may be a slip of.
    """
    column, length = reference.segments[index]
    meant = slip(str(reference.path[index]), known)
    return Finding(code, text.pointer, message, hint, column=reference.offset + column, length=length, **meant)
