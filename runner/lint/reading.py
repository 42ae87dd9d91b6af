"""Every string that is a template, with what it reads and what it may read. Each is compiled once, here.

Which names a text has in scope is section 2 of the language; which steps it sees is the outline's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from runner.definition.finding import child
from runner.definition.model import BlockAction, Definition, FailAction, SetAction, WorkerAction
from runner.expression.evaluate import ExpressionFault, Reference, compile_condition, compile_template
from runner.lint.outline import Outline, Site

Part = Literal["key", "with", "compensate", "verify", "set", "message", "when", "output", "catch"]
_WORKFLOW = frozenset({"input", "steps", "vars", "run"})
_STEP = _WORKFLOW | {"step"}


@dataclass(frozen=True, slots=True)
class Text:
    """One templated string. `site` is the step it belongs to; the workflow's own texts have none."""

    pointer: str
    value: str
    part: Part
    site: Site | None
    visible: frozenset[str]
    names: frozenset[str]
    references: tuple[Reference, ...] = ()
    fault: ExpressionFault | None = None
    is_key: bool = False  # of a mapping, which is never a template

    @property
    def subject(self) -> str:
        """What it is of, in a message."""
        return f'"{self.site.step.id}"' if self.site else "the workflow's output"


@dataclass(frozen=True, slots=True)
class _Draft:
    pointer: str
    value: Any
    part: Part
    site: Site | None
    visible: frozenset[str]
    names: frozenset[str]


def texts_of(definition: Definition, outline: Outline) -> list[Text]:
    """Every templated string of a definition, compiled."""
    texts: list[Text] = []
    for draft in _drafts(definition, outline):
        for pointer, value, is_key in _strings(draft.pointer, draft.value):
            if is_key:
                fault = ExpressionFault("a key cannot be computed")
                none: frozenset[str] = frozenset()
                texts.append(Text(pointer, value, draft.part, draft.site, none, none, (), fault, is_key=True))
            elif "{" in value or draft.part == "when":
                texts.append(_compiled(draft, pointer, value))
    return texts


def _compiled(draft: _Draft, pointer: str, value: str) -> Text:
    references: tuple[Reference, ...] = ()
    fault = None
    try:
        compiled = compile_condition(value) if draft.part == "when" else compile_template(value)
        references = compiled.references
    except ExpressionFault as error:
        fault = error
    return Text(pointer, value, draft.part, draft.site, draft.visible, draft.names, references, fault)


def _strings(pointer: str, value: Any) -> Iterator[tuple[str, str, bool]]:
    """Every string with its pointer; of keys, those that look like a template (then True)."""
    if isinstance(value, str):
        yield pointer, value, False
    elif isinstance(value, dict):
        for key, item in value.items():
            if "{{" in key:
                yield child(pointer, key), key, True
            yield from _strings(child(pointer, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(child(pointer, index), item)


def _drafts(definition: Definition, outline: Outline) -> Iterator[_Draft]:
    nothing: frozenset[str] = frozenset()
    yield _Draft("/idempotency_key", definition.idempotency_key, "key", None, nothing, frozenset({"input"}))
    for site in outline.sites:
        yield from _of_step(site)
    yield _Draft("/output", definition.output, "output", None, outline.visible_at_end, _WORKFLOW)


def _of_step(site: Site) -> Iterator[_Draft]:
    step, at = site.step, site.pointer
    names = _STEP | {"error"} if site.in_handler or site.in_finally else _STEP
    yield _Draft(f"{at}/when", step.when, "when", site, site.visible, names)
    match step.action:
        case WorkerAction() as action:
            yield _Draft(f"{at}/with", action.call.with_, "with", site, site.visible, names)
            if action.compensate is not None:
                undo = action.compensate.with_
                yield _Draft(f"{at}/compensate/with", undo, "compensate", site, site.visible, names | {"result"})
            if action.verify is not None:
                yield _Draft(f"{at}/verify/with", action.verify.with_, "verify", site, site.visible, names)
        case SetAction(values=values):
            yield _Draft(f"{at}/set", values, "set", site, site.visible, names)
        case FailAction(message=message):
            yield _Draft(f"{at}/fail/message", message, "message", site, site.visible, names)
        case BlockAction():
            pass  # its steps are sites of their own
    yield _Draft(f"{at}/output", step.output, "output", site, site.visible_inside, names | {"result"})
    for handler in site.handlers:
        inside = names | {"error"}
        yield _Draft(f"{handler.pointer}/when", handler.catch.when, "when", site, handler.visible, inside)
        yield _Draft(f"{handler.pointer}/output", handler.catch.output, "catch", site, handler.visible_after, inside)
