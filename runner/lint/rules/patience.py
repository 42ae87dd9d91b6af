"""Steps that are tried for longer than the run has, and undos that are given up before their steps would be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.definition.duration import parse_duration, shown_duration
from runner.definition.finding import Finding, child
from runner.definition.model import DEFAULT_TIMEOUT_MS, Retry, WorkerAction
from runner.lint.outline import flat, is_pivot
from runner.lint.rule import Rule, Subject
from runner.lint.timing import Span, Terms, action_ms, call_ms, pauses_ms, step_span

_NO_TIME_MS = 20  # of pauses, all together
_LEAST_MS = 50  # a task on its way to a worker and back, on a machine that does nothing else
_MANY = 1_000


def _longer_than_the_run(subject: Subject) -> Iterator[Finding]:
    limit_ms = subject.definition.timeout_ms
    for site in subject.outline.until_pivot() if limit_ms else ():
        action = site.step.action
        if not isinstance(action, WorkerAction):
            continue
        worst_ms = action_ms(action)
        # Who says nothing of a step's patience made no mistake with it: the run's timeout is the limit then.
        is_given = action.call.retry != Retry() or action.call.timeout_ms != DEFAULT_TIMEOUT_MS
        if action.kind != "retriable" and worst_ms > limit_ms and is_given:
            key = "timeout" if "timeout" in site.raw else "worker"
            message = f"this may be tried for {shown_duration(worst_ms)}, and the run has {shown_duration(limit_ms)}"
            hint = "fewer attempts, a shorter timeout or a total_timeout, or more time for the run"
            yield Finding("SR319", f"{site.pointer}/{key}", message, hint, severity="warning")


def _impatient_undos(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if not isinstance(action, WorkerAction) or action.compensate is None:
            continue
        do_ms, undo_ms = action_ms(action), call_ms(action.compensate)
        if undo_ms < do_ms:
            given_up = shown_duration(undo_ms)
            message = f"the undo is given up after {given_up}, the step only after {shown_duration(do_ms)}"
            hint = "an undo that is given up leaves the run stuck: give it the patience of compensation.retry, or more"
            yield Finding("SR320", f"{site.pointer}/compensate", message, hint, on_key=True, severity="warning")


def _run_too_long(subject: Subject) -> Iterator[Finding]:
    """All that comes before a point of no return. One step that is too long by itself is found on its own."""
    limit_ms, terms = subject.definition.timeout_ms, Terms(subject.definition.children, is_given=True)
    whole, longest = Span(), 0
    for site in subject.outline.steps if limit_ms else ():
        if any(map(is_pivot, flat([site]))):
            break
        span = step_span(site.step, terms)
        whole, longest = whole + span, max(longest, span.ms)
    if longest < limit_ms < whole.ms:
        message = f"the steps may take {shown_duration(whole.ms)} in all, and the run has {shown_duration(limit_ms)}"
        hint = "sagarun explain-time shows the sums"
        yield Finding("SR325", "/timeout", message, hint, severity="warning")


def _pauses(subject: Subject) -> Iterator[Finding]:
    for pointer, raw in _policies(subject.raw):
        try:
            first_ms = parse_duration(raw.get("initial", f"{Retry().initial_ms}ms"))
            most_ms = parse_duration(raw.get("max", f"{Retry().max_ms}ms"))
        except (TypeError, ValueError):
            continue  # found on its own
        attempts = raw.get("max_attempts", Retry().max_attempts)
        if first_ms > most_ms:
            at = "initial" if "initial" in raw else "max"
            message = f"the first pause is longer than the longest: every pause is {shown_duration(most_ms)}"
            hint = f"max is {shown_duration(most_ms)}" + ("" if "max" in raw else " where nothing is said")
            yield Finding("SR326", f"{pointer}/{at}", message, hint, severity="warning")
        elif first_ms > 0 and isinstance(attempts, int) and 1 < attempts <= _MANY:
            policy = Retry(attempts, raw.get("backoff", "exponential"), first_ms, most_ms, raw.get("multiplier", 2.0))
            if pauses_ms(policy) < _NO_TIME_MS:
                message = f"all {attempts} attempts are made within {shown_duration(pauses_ms(policy))} of pauses"
                hint = "what is down is not up again by then"
                at = next((key for key in ("initial", "max") if key in raw), "")
                yield Finding("SR326", f"{pointer}/{at}".rstrip("/"), message, hint, severity="warning")


def _policies(raw: Any, pointer: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every retry policy that is written out."""
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            at = child(pointer, key)
            if isinstance(value, Mapping) and (key == "retry" or pointer == "/use/retries"):
                yield at, value
            elif key not in ("with", "input", "output", "set", "schema", "vars") and isinstance(value, (dict, list)):
                yield from _policies(value, at)
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            yield from _policies(value, child(pointer, index))


def _no_time_at_all(subject: Subject) -> Iterator[Finding]:
    for pointer, value in _timeouts(subject):
        try:
            given_ms = parse_duration(value) if isinstance(value, str) else _LEAST_MS
        except ValueError:
            continue
        if 0 < given_ms < _LEAST_MS:
            message = f"no worker answers within {shown_duration(given_ms)}: each attempt would end unknown"
            yield Finding("SR327", pointer, message, "was a longer unit meant: s, m or h?", severity="warning")


def _timeouts(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Those of attempts, where they are written."""
    defaults = subject.raw.get("defaults")
    if isinstance(defaults, Mapping) and "timeout" in defaults:
        yield "/defaults/timeout", defaults["timeout"]
    for site in subject.outline.sites:
        calls = [(f"/{key}", site.raw.get(key)) for key in ("compensate", "verify", "confirm")]
        for at, raw in (("", site.raw), *calls):
            if isinstance(raw, Mapping) and "worker" in raw and "timeout" in raw:
                yield f"{site.pointer}{at}/timeout", raw["timeout"]


RULES = (
    Rule({"SR319": "A step that may take longer than the run has"}, _longer_than_the_run, needs="file"),
    Rule({"SR325": "A run that may take longer than it has"}, _run_too_long, needs="file"),
    Rule({"SR326": "Pauses between attempts that are not what they seem"}, _pauses, needs="file"),
    Rule({"SR327": "A time limit that nobody can keep"}, _no_time_at_all, needs="file"),
    Rule({"SR320": "An undo that is less patient than its step"}, _impatient_undos, needs="file"),
)
