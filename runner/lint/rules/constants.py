"""What is always the same: conditions and keys that read nothing, and an `until` that no round can change."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import SetAction
from runner.expression.evaluate import ExpressionFault, compile_condition
from runner.lint.outline import Site, flat, ids_of
from runner.lint.reading import Text
from runner.lint.rule import Rule, Subject

_OF_A_ROUND = frozenset({"result", "step"})


def _constant_conditions(subject: Subject) -> Iterator[Finding]:
    for text in subject.texts:
        if text.part not in ("when", "match") or text.references or text.fault is not None:
            continue
        try:
            value = compile_condition(text.value).evaluate({})
        except ExpressionFault as fault:
            column, length = fault.offset + fault.column, fault.length
            yield Finding("SR405", text.pointer, fault.message, column=column, length=length)
            continue
        message = f"this is always {str(value).lower()}"
        yield Finding("SR405", text.pointer, message, "compare something of the run", severity="warning")


def _endless_rounds(subject: Subject) -> Iterator[Finding]:
    for text in subject.texts:
        site = text.site
        if text.part != "until" or text.fault is not None or site is None:
            continue
        if not text.references and _is_false(text):
            continue  # as many rounds as there are: that can be meant
        if not any(_changes(site, reference.path) for reference in text.references):
            message = "this reads nothing that a round could change: it is the same after each of them"
            hint = "read result, a step of the round, or a variable that it sets"
            yield Finding("SR406", text.pointer, message, hint, severity="warning")


def _is_false(text: Text) -> bool:
    try:
        return compile_condition(text.value).evaluate({}) is False
    except ExpressionFault:
        return False


def _changes(site: Site, path: tuple[str | int, ...]) -> bool:
    if path[0] in _OF_A_ROUND or len(path) < 2:
        return path[0] in _OF_A_ROUND or path[0] in ("steps", "vars")
    inside = site.arms[0].sites
    if path[0] == "steps":
        return path[1] in ids_of(inside)
    sets = (below.step.action for below in flat(inside))
    return path[0] == "vars" and any(isinstance(action, SetAction) and path[1] in action.values for action in sets)


def _constant_keys(subject: Subject) -> Iterator[Finding]:
    definition = subject.definition
    key = definition.idempotency_key
    if key is not None and "{{" not in key:
        message = "this is the same for every run: all starts but the first would be taken for repeats of it"
        yield Finding("SR407", "/idempotency_key", message, "read the input", severity="warning")
    slot = None if definition.concurrency is None else definition.concurrency.key
    if slot is not None and "{{" not in slot:
        message = "this is the same for every run"
        yield Finding("SR407", "/concurrency/key", message, "read the input, or leave it out", severity="warning")


RULES = (
    Rule({"SR405": "A condition that is always the same"}, _constant_conditions),
    Rule({"SR406": "Rounds that cannot change what they wait for"}, _endless_rounds),
    Rule({"SR407": "A key that is the same for every run"}, _constant_keys),
)
