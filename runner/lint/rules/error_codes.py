"""Error codes: where `use.errors` lists them, `raises`, `fail` and `catch` name no other, but for sagarun's own."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding, shown
from runner.definition.model import FailAction, WorkerAction
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject

KINDS = ("business", "technical", "any")
OWN_CODES = (
    "already_undone",
    "crash_loop",
    "exception",
    "expression_error",
    "invalid_input",
    "invalid_output",
    "no_effect",
    "queue_timeout",
    "timeout",
    "total_timeout",
    "unknown_worker",
    "worker_lost",
)


def _unknown_codes(subject: Subject) -> Iterator[Finding]:
    listed = subject.definition.document.get("use", {}).get("errors", {})
    if not listed:
        return
    for site in subject.outline.sites:
        for pointer, code, is_caught in _codes(site):
            known = [*listed, *KINDS, *OWN_CODES] if is_caught else list(listed)
            if code not in known:
                hint = did_you_mean(code, known) or "add it there"
                yield Finding("SR212", pointer, f"no error {shown(code)} in use.errors", hint)


def _codes(site: Site) -> Iterator[tuple[str, str, bool]]:
    action = site.step.action
    if isinstance(action, WorkerAction):
        for index, code in enumerate(action.raises):
            yield f"{site.pointer}/raises/{index}", code, False
    if isinstance(action, FailAction) and not action.rethrow:
        yield f"{site.pointer}/fail/error", action.error, False
    for handler in site.handlers:
        for index, code in enumerate(handler.catch.errors):
            yield f"{handler.pointer}/errors/{index}", code, True


RULES = (Rule({"SR212": "An unknown name of use"}, _unknown_codes),)
