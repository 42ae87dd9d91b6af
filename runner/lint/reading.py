"""Every string that is a template, with what it reads and what it may read. Each is compiled once, here.

Which names a text has in scope is section 2 of the language; which steps it sees is the outline's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from runner.definition.finding import child
from runner.definition.model import (
    Action,
    Call,
    ChildAction,
    Definition,
    FailAction,
    LoopAction,
    RepeatAction,
    SetAction,
    SignalAction,
    SwitchAction,
    WaitAction,
    WorkerAction,
)
from runner.expression.evaluate import ExpressionFault, Reference, compile_condition, compile_template
from runner.lint.outline import Outline, Site
from runner.lint.view import View

Part = Literal[
    "key", "with", "compensate", "verify", "confirm", "set", "message", "when", "until", "match", "in", "wait",
    "output", "inner", "catch",
]
_CONDITIONS = frozenset({"when", "until", "match"})
_WORKFLOW = frozenset({"input", "steps", "vars", "run"})
_STEP = _WORKFLOW | {"step"}
_NOTHING = View()
_LIKE_A_PATH = re.compile(r"\s*[$<]?[.%=(]*\s*[a-z_]\w*[.\[]\w+[^\s]*\s*(?:%>)?$")  # and perhaps meant as one


@dataclass(frozen=True, slots=True)
class Text:
    """One templated string. `site` is the step it belongs to; the workflow's own texts have none."""

    pointer: str
    value: str
    part: Part
    site: Site | None
    view: View
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
    view: View
    names: frozenset[str]


def texts_of(definition: Definition, outline: Outline) -> list[Text]:
    """Every templated string of a definition, compiled; and those that only look like a path."""
    texts: list[Text] = []
    for draft in _drafts(definition, outline):
        for pointer, value, is_key in strings(draft.pointer, draft.value):
            if is_key:
                fault = ExpressionFault("a key cannot be computed")
                texts.append(
                    Text(pointer, value, draft.part, draft.site, _NOTHING, frozenset(), (), fault, is_key=True)
                )
            elif "{" in value or draft.part in _CONDITIONS:
                texts.append(_compiled(draft, pointer, value))
            elif _LIKE_A_PATH.match(value):
                texts.append(Text(pointer, value, draft.part, draft.site, draft.view, draft.names))
    return texts


def _compiled(draft: _Draft, pointer: str, value: str) -> Text:
    references: tuple[Reference, ...] = ()
    fault = None
    try:
        compiled = compile_condition(value) if draft.part in _CONDITIONS else compile_template(value)
        references = compiled.references
    except ExpressionFault as error:
        fault = error
    return Text(pointer, value, draft.part, draft.site, draft.view, draft.names, references, fault)


def strings(pointer: str, value: Any) -> Iterator[tuple[str, str, bool]]:
    """Every string with its pointer; of keys, those that look like a template (then True)."""
    if isinstance(value, str):
        yield pointer, value, False
    elif isinstance(value, dict):
        for key, item in value.items():
            if "{{" in key:
                yield child(pointer, key), key, True
            yield from strings(child(pointer, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(child(pointer, index), item)


def _drafts(definition: Definition, outline: Outline) -> Iterator[_Draft]:
    names = frozenset({"input"})
    yield _Draft("/idempotency_key", definition.idempotency_key, "key", None, _NOTHING, names)
    if definition.concurrency is not None:
        yield _Draft("/concurrency/key", definition.concurrency.key, "key", None, _NOTHING, names)
    for site in outline.sites:
        yield from _of_step(site)
    yield _Draft("/output", definition.output, "output", None, outline.at_end, _WORKFLOW)


def _of_step(site: Site) -> Iterator[_Draft]:
    step, at = site.step, site.pointer
    names = _STEP | site.items.keys() | ({"error"} if site.in_handler or site.in_finally else set())
    with_result = names | {"result"}
    yield _Draft(f"{at}/when", step.when, "when", site, site.before, names)
    for part, path, value in _rendered_before(step.action):
        has_result = part in ("compensate", "confirm", "match")
        yield _Draft(f"{at}/{path}", value, part, site, site.within, with_result if has_result else names)
    yield from _of_arms(site, names)
    yield _Draft(f"{at}/output", step.output, "output", site, site.inside, with_result)
    for handler in site.handlers:
        inside = names | {"error"}
        yield _Draft(f"{handler.pointer}/when", handler.catch.when, "when", site, handler.before, inside)
        yield _Draft(f"{handler.pointer}/output", handler.catch.output, "catch", site, handler.after, inside)


def _rendered_before(action: Action) -> Iterator[tuple[Part, str, Any]]:
    """What an action reads from where its step stands, with its place below the step."""
    match action:
        case WorkerAction(call=call):
            yield "with", "with", call.with_
            calls: tuple[tuple[Part, Call | None], ...] = (
                ("compensate", action.compensate), ("verify", action.verify), ("confirm", action.confirm),
            )
            for part, other in calls:
                if other is not None:
                    yield part, f"{part}/with", other.with_
        case ChildAction(with_=given, compensate=undo):
            yield "with", "with", given
            if undo is not None:
                yield "compensate", "compensate/with", undo.with_
        case SetAction(values=values):
            yield "set", "set", values
        case FailAction(message=message):
            yield "message", "fail/message", message
        case LoopAction(in_=items):
            yield "in", "for_each/in", items
        case WaitAction(duration=duration, until=until):
            yield "wait", "wait", duration
            yield "wait", "wait/until", until
        case SignalAction(match=condition, timeout=timeout):
            yield "match", "wait_for/match", condition
            yield "wait", "wait_for/timeout", timeout
        case _:
            pass  # a container's steps are sites of their own


def _of_arms(site: Site, names: frozenset[str]) -> Iterator[_Draft]:
    """What is read at the end of an item or a round, and the conditions of cases."""
    match site.step.action:
        case LoopAction(as_=item, output=output):
            inside = names | {item, "result"}
            yield _Draft(f"{site.pointer}/for_each/output", output, "inner", site, site.arms[0].after, inside)
        case RepeatAction(until=until, output=output):
            after, inside = site.arms[0].after, names | {"result"}
            yield _Draft(f"{site.pointer}/repeat/output", output, "inner", site, after, inside)
            yield _Draft(f"{site.pointer}/repeat/until", until, "until", site, after, inside)
        case SwitchAction():
            view = site.within
            for arm in site.arms:
                yield _Draft(f"{arm.pointer}/when", arm.when, "when", site, view, names)
                view = view.where(arm.when, holds=False)
        case _:
            pass
