"""Handlers of an error that nothing below their step raises: misspelt, or left over from a step that is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runner.definition.complaint import closest, did_you_mean
from runner.definition.finding import Finding, shown
from runner.definition.model import (
    ChildAction,
    Definition,
    FailAction,
    SignalAction,
    Step,
    WorkerAction,
    sequences_of,
    steps_below,
)
from runner.lint.rule import Rule, Subject
from runner.lint.rules.error_codes import RESERVED

_DEPTH = 16  # of workflows that start each other


def _never_raised(subject: Subject) -> Iterator[Finding]:
    children = subject.definition.children
    for site in subject.outline.sites:
        if not site.handlers:
            continue
        below = [site.step, *(inner for each in _own(site.step) for inner in steps_below((each,)))]
        raised = _raised(subject, below, children, 0)
        if raised is None:
            continue
        listed = subject.definition.document.get("use", {}).get("errors", {})
        misspelt = raised - listed.keys() if listed else set()  # found on its own, and perhaps this is what was meant
        for handler in site.handlers:
            for index, code in enumerate(handler.catch.errors):
                is_known = code in raised or code in RESERVED or (listed and code not in listed)
                if not is_known and not closest(code, misspelt):
                    message = f'nothing in "{site.step.id}" raises {shown(code)}'
                    hint = did_you_mean(code, sorted(raised & set(listed) if listed else raised))
                    if not hint:
                        hint = f"it raises {', '.join(sorted(raised)[:6])}" if raised else "add it to raises there"
                    yield Finding("SR410", f"{handler.pointer}/errors/{index}", message, hint, severity="warning")


def _own(step: Step) -> Iterator[Step]:
    """The steps right in it. A failure of a handler is not one of the step that it belongs to."""
    handled = [catch.steps for catch in step.catch]
    for sequence in sequences_of(step):
        if not any(sequence is each for each in handled):
            yield from sequence


def _raised(
    subject: Subject, steps: list[Step], children: Mapping[str, Definition], depth: int
) -> set[str] | None:
    """The codes that these steps may fail with; None where nobody knows."""
    codes: set[str] = set()
    for step in steps:
        match step.action:
            case WorkerAction(call=call) as action:
                codes |= subject.errors_of(action)
                if call.worker == "http.request" and isinstance(call.with_, Mapping) and "errors" in call.with_:
                    named = call.with_["errors"]
                    if not isinstance(named, Mapping):
                        return None
                    codes.update(str(code) for code in named.values())
            case FailAction(error=error):
                codes.add(error)
            case SignalAction(on_timeout=code) if code is not None:
                codes.add(code)
            case ChildAction(digest=digest):
                child = children.get(digest)
                if child is None or depth > _DEPTH:
                    return None
                inside = _raised(subject, list(steps_below(child.steps)), children, depth + 1)
                if inside is None:
                    return None
                codes |= inside
    return codes


RULES = (Rule({"SR410": "An error that is caught, and that nothing raises"}, _never_raised, needs="file"),)
