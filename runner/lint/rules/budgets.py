"""Time limits that are over before they matter, and waits that a run has no time for."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.duration import parse_duration, shown_duration
from runner.definition.finding import Finding
from runner.definition.model import SignalAction, WaitAction, WorkerAction
from runner.lint.rule import Rule, Subject


def _limits_without_effect(subject: Subject) -> Iterator[Finding]:
    for site in subject.outline.sites:
        action = site.step.action
        if not isinstance(action, WorkerAction):
            continue
        timeout_ms = action.call.timeout_ms
        if action.heartbeat_ms and action.heartbeat_ms >= timeout_ms:
            message = "an attempt is over before its first heartbeat is missed"
            hint = f"its timeout is {shown_duration(timeout_ms)}"
            yield Finding("SR317", f"{site.pointer}/heartbeat", message, hint, severity="warning")
        if action.total_timeout_ms and action.total_timeout_ms < timeout_ms and "timeout" in site.raw:
            message = "all attempts together are given less time than one of them"
            hint = f"its timeout is {shown_duration(timeout_ms)}"
            yield Finding("SR317", f"{site.pointer}/total_timeout", message, hint, severity="warning")


def _waits_too_long(subject: Subject) -> Iterator[Finding]:
    limit_ms = subject.definition.timeout_ms
    for site in subject.outline.until_pivot() if limit_ms else ():
        action = site.step.action
        if isinstance(action, WaitAction):
            given, at = action.duration, "wait"
        elif isinstance(action, SignalAction):
            given, at = action.timeout, "wait_for/timeout"
        else:
            continue
        if isinstance(given, str) and "{{" not in given and parse_duration(given) >= limit_ms:
            message = f"the run has no time for this: its timeout is {shown_duration(limit_ms)}"
            yield Finding("SR318", f"{site.pointer}/{at}", message, "give the run a longer one", severity="warning")


RULES = (
    Rule({"SR317": "A time limit without effect"}, _limits_without_effect, needs="step"),
    Rule({"SR318": "A wait that the run has no time for"}, _waits_too_long, needs="step"),
)
