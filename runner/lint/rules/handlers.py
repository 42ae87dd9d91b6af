"""Where handlers and finally are: rethrow needs an error, and finally takes only steps that need no undo."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import FailAction, WorkerAction
from runner.lint.rule import Rule, Subject


def _rethrow_outside(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if isinstance(action, FailAction) and action.rethrow and not site.in_handler:
            yield Finding("SR312", f"{site.pointer}/fail", "there is no error to rethrow outside of a catch")


def _finally_steps(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if site.in_finally and isinstance(action, WorkerAction) and action.kind not in ("readonly", "retriable"):
            message = f'"{site.step.id}" is in finally, where steps are readonly or retriable'
            pointer = f"{site.pointer}/{'kind' if 'kind' in site.raw else 'worker'}"
            yield Finding("SR311", pointer, message, "say kind: retriable, or kind: readonly")


RULES = (
    Rule({"SR311": "A step of finally is neither readonly nor retriable"}, _finally_steps, needs="step"),
    Rule({"SR312": "rethrow outside of a catch"}, _rethrow_outside),
)
