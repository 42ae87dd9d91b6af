"""Every step that changes something says how it is undone, or why not. Silence is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runner.definition.finding import Finding
from runner.definition.model import WorkerAction
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject


def _silent_steps(subject: Subject) -> Iterator[Finding]:
    has_pivot = False
    for site, action in _workers(subject):
        given = site.raw
        has_pivot = has_pivot or action.kind == "pivot"
        if site.in_finally or action.kind != "none" or "compensate" in given or "kind" in given:
            continue
        if subject.contracts is not None and action.call.worker not in subject.contracts:
            continue  # whether an unknown worker changes anything, nobody can say
        message = f'"{site.step.id}" may change something, but does not say how that is undone'
        hint = "add compensate, or kind: readonly, or compensate: none with a reason"
        hint += "; behind the pivot kind: retriable" if has_pivot else ""
        yield Finding("SR301", f"{site.pointer}/worker", message, hint)


def _missing_reasons(subject: Subject) -> Iterator[Finding]:
    for site, action in _workers(subject):
        if site.raw.get("compensate") == "none" and not action.reason.strip():
            message = f'"{site.step.id}" does not say why nothing undoes it'
            yield Finding("SR302", f"{site.pointer}/compensate", message, "add a reason")


def _contradictions(subject: Subject) -> Iterator[Finding]:
    for site, _ in _workers(subject):
        kind, undo = site.raw.get("kind"), site.raw.get("compensate")
        if kind == "compensatable" and not isinstance(undo, Mapping):
            message = f'"{site.step.id}" is compensatable, but has no compensate'
            yield Finding("SR305", f"{site.pointer}/kind", message, "say which worker undoes it")
        elif kind in ("readonly", "pivot", "retriable") and isinstance(undo, Mapping):
            message = f'"{site.step.id}" is {kind}: it is never undone, so compensate has no meaning'
            hint = "leave out compensate, or the kind"
            yield Finding("SR305", f"{site.pointer}/compensate", message, hint, on_key=True)


def _undo_inputs(subject: Subject) -> Iterator[Finding]:
    for text in subject.texts:
        site = text.site
        if text.part != "compensate" or site is None or not isinstance(site.step.action, WorkerAction):
            continue
        action = site.step.action
        if action.kind == "readonly" or action.on_unknown in ("verify", "halt"):
            continue  # never undone without a result
        for reference in text.references:
            if reference.path[0] == "result" and not reference.guarded:
                message = "when the outcome is unknown there is no result, and the undo is needed all the same"
                hint = "use step.ref, a default(), or on_unknown: verify"
                column = reference.offset + reference.column
                yield Finding("SR303", text.pointer, message, hint, column=column, length=reference.length)


def _workers(subject: Subject) -> Iterator[tuple[Site, WorkerAction]]:
    for site in subject.outline.sites:
        if isinstance(site.step.action, WorkerAction):
            yield site, site.step.action


RULES = (
    Rule({"SR301": "A step that may change something does not say how that is undone"}, _silent_steps, needs="step"),
    Rule({"SR302": "compensate: none without a reason"}, _missing_reasons, needs="step"),
    Rule({"SR303": "An undo reads a result that there may not be"}, _undo_inputs, needs="step"),
    Rule({"SR305": "kind and compensate contradict each other"}, _contradictions, needs="step"),
)
