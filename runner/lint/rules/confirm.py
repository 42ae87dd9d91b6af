"""`confirm`: there is something to make final, and time for it."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.finding import Finding
from runner.definition.model import WorkerAction
from runner.lint.rule import Rule, Subject


def _nothing_to_confirm(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if not isinstance(action, WorkerAction) or action.confirm is None:
            continue
        if site.in_finally:
            message = f'"{site.step.id}" is in finally, which runs after the confirmations'
        elif action.kind == "readonly":
            message = f'"{site.step.id}" is readonly: it changes nothing that could be confirmed'
        else:
            continue
        yield Finding("SR316", f"{site.pointer}/confirm", message, "leave confirm out", on_key=True)


RULES = (Rule({"SR316": "confirm where there is nothing to confirm"}, _nothing_to_confirm, needs="step"),)
