"""Error codes: where `use.errors` lists them, no other is named; and sagarun's own belong to nobody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runner.definition.complaint import did_you_mean
from runner.definition.finding import Finding, child, shown
from runner.definition.model import FailAction, SignalAction, WorkerAction
from runner.lint.outline import Site
from runner.lint.rule import Rule, Subject

UNCATCHABLE = ("cancelled", "run_timeout")  # ends of the run, not errors of a step
KINDS = ("business", "technical", "any")
NO_CODES = ("no_effect", "unknown")  # what http.request may be told of a status instead of a code
OWN_CODES = (
    "already_undone",
    "crash_loop",
    "exception",
    "expression_error",
    "invalid_input",
    "invalid_output",
    "invalid_wait",
    "no_effect",
    "no_winner",
    "queue_timeout",
    "signal_timeout",
    "state_limit",
    "timeout",
    "too_many_items",
    "unknown_worker",
    "worker_lost",
)
RESERVED = frozenset({*KINDS, *OWN_CODES, *UNCATCHABLE})


def _unknown_codes(subject: Subject) -> Iterator[Finding]:
    listed = subject.definition.document.get("use", {}).get("errors", {})
    if not listed:
        return
    for site in subject.outline.sites:
        for pointer, code, is_caught in _codes(site):
            known = [*listed, *KINDS, *OWN_CODES] if is_caught else list(listed)  # to be suggested
            if code not in known and code not in RESERVED:
                hint = did_you_mean(code, known) or "add it there"
                message = f"no error {shown(code)} in use.errors"
                yield Finding("SR212", pointer, message, hint)


def _reserved_codes(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        for pointer, code, is_caught in _codes(site):
            if is_caught and code in UNCATCHABLE:
                yield Finding("SR214", pointer, f"{shown(code)} is an end of the run: no catch takes it")
            elif not is_caught and code in RESERVED:
                message = f"{shown(code)} is a word of sagarun's own"
                yield Finding("SR214", pointer, message, "give the error another code")


def _undeclared_answers(subject: Subject) -> Iterator[Finding]:
    """A status that `errors` of http.request calls by a code: an error of the step, or only a warning in a log."""
    for site in subject.outline.sites:
        action = site.step.action
        if not isinstance(action, WorkerAction) or action.call.worker != "http.request":
            continue
        named = action.call.with_.get("errors")
        for status, code in named.items() if isinstance(named, Mapping) else ():
            if isinstance(code, str) and "{{" not in code and code not in (*action.raises, *NO_CODES):
                pointer = child(f"{site.pointer}/with/errors", status)
                message = f"{shown(code)} is no error that the step raises"
                yield Finding("SR221", pointer, message, "add it to raises", severity="warning")


def _codes(site: Site) -> Iterator[tuple[str, str, bool]]:
    action = site.step.action
    if isinstance(action, WorkerAction):
        for index, code in enumerate(action.raises):
            yield f"{site.pointer}/raises/{index}", code, False
    if isinstance(action, FailAction) and not action.rethrow:
        yield f"{site.pointer}/fail/error", action.error, False
    if isinstance(action, SignalAction) and action.on_timeout not in (None, "signal_timeout"):
        yield f"{site.pointer}/wait_for/on_timeout/fail", str(action.on_timeout), False
    for handler in site.handlers:
        for index, code in enumerate(handler.catch.errors):
            yield f"{handler.pointer}/errors/{index}", code, True


RULES = (
    Rule({"SR212": "An unknown name of use"}, _unknown_codes),
    Rule({"SR214": "An error code that means something else"}, _reserved_codes),
    Rule({"SR221": "An answer that is called an error which the step does not raise"}, _undeclared_answers),
)
