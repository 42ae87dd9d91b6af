"""`schedule`: it is due at some time, in a zone that there is, and what it starts can start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from runner.definition.cron import fires, zone_of
from runner.definition.finding import Finding
from runner.definition.inputs import InputChecker
from runner.errors import InputError
from runner.lint.rule import Rule, Subject

_WORDS = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
_ANY_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def _times(subject: Subject) -> Iterator[Finding]:
    schedule = subject.definition.schedule
    if schedule is None:
        return
    try:
        next(fires(schedule.cron, UTC, _ANY_DAY))
    except ValueError as error:
        message = f"this is no cron expression: {error}"
        meant = _WORDS.get(schedule.cron.strip())
        hint = f'write "{meant}"' if meant else "such as 0 6 * * 1-5: at six, Monday to Friday"
        yield Finding("SR501", "/schedule/cron", message, hint)
    except StopIteration:
        yield Finding("SR501", "/schedule/cron", "this is never due")
    try:
        zone_of(schedule.timezone)
    except ValueError as error:
        yield Finding("SR502", "/schedule/timezone", str(error), "such as Europe/Berlin, or UTC")


def _overlap(subject: Subject) -> Iterator[Finding]:
    schedule, concurrency = subject.definition.schedule, subject.definition.concurrency
    if schedule is not None and concurrency is not None and schedule.overlap != "allow":
        message = f"overlap: {schedule.overlap} and concurrency would both say when a run may start"
        hint = "say overlap: allow, or leave out concurrency"
        yield Finding("SR503", "/schedule/overlap", message, hint, on_key=True)


def _input(subject: Subject) -> Iterator[Finding]:
    definition = subject.definition
    if definition.schedule is None or definition.input_schema is None:
        return
    given = definition.schedule.input
    try:
        InputChecker(definition.input_schema).prepare({} if given is None else given)
    except InputError as error:
        what = "without an input this schedule cannot start a run" if given is None else "a run cannot start with this"
        yield Finding("SR504", "/schedule/input", f"{what}: {error.problems[0]}", on_key=given is None)


RULES = (
    Rule({"SR501": "No cron expression", "SR502": "No time zone"}, _times, needs="file"),
    Rule({"SR503": "overlap where concurrency decides"}, _overlap),
    Rule({"SR504": "A schedule's input that does not fit"}, _input, needs="file"),
)
