"""`on_unknown`: what is to settle the step must be there to do so."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import WorkerAction
from runner.lint.rule import Rule, Subject


def _impossible(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if not isinstance(action, WorkerAction) or "on_unknown" not in site.raw:
            continue
        pointer = f"{site.pointer}/on_unknown"
        if action.on_unknown == "verify" and action.verify is None:
            message = f'"{site.step.id}" has no verify that could be asked'
            yield Finding("SR304", pointer, message, "add verify: {worker: …}")
        elif action.on_unknown == "compensate" and action.kind == "pivot":
            message = f'"{site.step.id}" is a pivot: it is verified or tried again, never undone'
            yield Finding("SR306", pointer, message, "say verify or retry")
        elif action.on_unknown == "compensate" and action.kind in ("retriable", "none"):
            message = f'"{site.step.id}" has no compensate that could undo it'
            yield Finding("SR306", pointer, message, "say retry, verify or halt")


RULES = (
    Rule(
        {"SR304": "on_unknown: verify without verify", "SR306": "on_unknown: compensate where nothing is undone"},
        _impossible,
        needs="step",
    ),
)
