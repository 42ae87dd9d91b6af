"""Handlers, and what must not fail: rethrow, finally, and the declared errors of steps that cannot go back."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import FailAction, WorkerAction
from runner.lint.outline import Site
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


def _uncaught_errors(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if site.in_finally or not isinstance(action, WorkerAction) or action.kind != "retriable":
            continue
        for index, code in enumerate(action.raises):
            if not any(_catches(around, code) for around in subject.outline.around(site)):
                message = f'"{site.step.id}" is retriable: nothing undoes the run when it says "{code}"'
                hint = "catch it, or on_failure: continue"
                yield Finding("SR313", f"{site.pointer}/raises/{index}", message, hint)


def _catches(site: Site, code: str) -> bool:
    return any(
        handler.catch.when is None and {code, "business", "any"} & set(handler.catch.errors)
        for handler in site.handlers
    )


RULES = (
    Rule({"SR311": "A step of finally is neither readonly nor retriable"}, _finally_steps, needs="step"),
    Rule({"SR312": "rethrow outside of a catch"}, _rethrow_outside),
    Rule({"SR313": "A declared error after the pivot that nothing catches"}, _uncaught_errors, needs="step"),
)
