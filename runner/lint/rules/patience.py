"""Steps that are tried for longer than the run has, and undos that are given up before their steps would be."""

from __future__ import annotations

from collections.abc import Iterator

from runner.definition.duration import shown_duration
from runner.definition.finding import Finding
from runner.definition.model import DEFAULT_TIMEOUT_MS, Retry, WorkerAction
from runner.lint.rule import Rule, Subject
from runner.lint.timing import action_ms, call_ms


def _longer_than_the_run(subject: Subject) -> Iterator[Finding]:
    limit_ms = subject.definition.timeout_ms
    for site in subject.outline.sites:
        action = site.step.action
        # A pivot and what comes after it are tried on, whatever the run's timeout says: then it only alerts.
        # And who says nothing of a step's patience made no mistake with it: the run's timeout is the limit then.
        if not limit_ms or site.in_finally or not isinstance(action, WorkerAction):
            continue
        worst_ms = action_ms(action)
        is_given = action.call.retry != Retry() or action.call.timeout_ms != DEFAULT_TIMEOUT_MS
        if action.kind not in ("pivot", "retriable") and worst_ms > limit_ms and is_given:
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


RULES = (
    Rule({"SR319": "A step that may take longer than the run has"}, _longer_than_the_run, needs="file"),
    Rule({"SR320": "An undo that is less patient than its step"}, _impatient_undos, needs="file"),
)
