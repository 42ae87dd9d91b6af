"""Workflows that start by the clock: what is kept of a schedule, when it is due, and what a due one starts.

Rule: a fire time has a run id of its own (derived from the key), so several engines that see it due start it once. What
became of it is noted, so that a time is never made up for twice, however long its run is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal, NamedTuple

import msgspec

from runner.definition.cron import fires, zone_of
from runner.definition.model import Definition
from runner.errors import UsageError
from runner.starting import slot_of
from runner.store.ports import ScheduleRow, Slot

MAX_COUNTED = 1_000  # missed fire times; from there on it is "many"
_SPANS = tuple(timedelta(days=days) for days in (1 / 24, 1, 32, 366))


class StoredSchedule(msgspec.Struct, frozen=True):
    """A schedule as it was added. `since_ms`: fire times before it are none of its business."""

    workflow: str
    version: str
    definition: str  # digest: what its runs are started with, until it is added again
    cron: str
    timezone: str
    overlap: Literal["skip", "queue", "allow"]
    input: Any  # checked, with defaults
    since_ms: int
    paused: bool = False
    by: str = ""


class Fire(msgspec.Struct, frozen=True):
    """What became of a fire time."""

    at_ms: int
    outcome: Literal["started", "skipped", "failed"] = "started"
    run_id: str = ""  # started: the run; skipped: one that was under way
    missed: int = 0  # earlier times for which nothing was started, because no engine ran
    late_ms: int = 0
    why: str = ""


class Due(NamedTuple):
    """The latest fire time that has come, and how many before it were missed."""

    at_ms: int
    missed: int


class KeptSchedule(NamedTuple):
    """A schedule with what became of its latest fire time."""

    schedule: StoredSchedule
    last: Fire | None

    @property
    def after_ms(self) -> int:
        """Fire times after this one are to come."""
        return max(self.schedule.since_ms, self.last.at_ms if self.last is not None else 0)


def read_schedule(row: ScheduleRow) -> KeptSchedule:
    """Raises msgspec.DecodeError for a record that this version cannot read."""
    schedule = msgspec.json.decode(row.body, type=StoredSchedule)
    return KeptSchedule(schedule, msgspec.json.decode(row.note, type=Fire) if row.note else None)


def schedule_of(
    definition: Definition, value: Any, since_ms: int, *, paused: bool = False, by: str = ""
) -> StoredSchedule:
    """What is to be kept. `value` is its input, checked. Raises UsageError if the definition has none, InputError."""
    given = definition.schedule
    if given is None:
        raise UsageError(f"the workflow {definition.workflow} has no `schedule`")
    made = StoredSchedule(
        definition.workflow, definition.version, definition.digest, given.cron, given.timezone, given.overlap, value,
        since_ms, paused, by,
    )
    slot_of_fire(made, definition)  # what cannot be rendered is said now, and not at six in the morning
    return made


# -- when ---------------------------------------------------------------------------------------------
def fires_after(schedule: StoredSchedule, after_ms: int) -> Iterator[int]:
    """Each once and in order, also where a zone's clock is put back and a time of day comes twice."""
    last_ms = after_ms
    after = datetime.fromtimestamp(after_ms / 1_000, UTC)
    for moment in fires(schedule.cron, zone_of(schedule.timezone), after):
        at_ms = round(moment.timestamp()) * 1_000
        if at_ms > last_ms:
            last_ms = at_ms
            yield at_ms


def next_fire(schedule: StoredSchedule, after_ms: int) -> int | None:
    """None: it is never due again."""
    return next(fires_after(schedule, after_ms), None)


def due_fire(schedule: StoredSchedule, after_ms: int, now_ms: int) -> Due | None:
    """Of all the times that came meanwhile, only the latest is made up for."""
    latest_ms = _latest(schedule, after_ms, now_ms)
    if latest_ms is None:
        return None
    missed = 0
    for at_ms in islice(fires_after(schedule, after_ms), MAX_COUNTED):
        if at_ms >= latest_ms:
            break
        missed += 1
    return Due(latest_ms, missed)


def _latest(schedule: StoredSchedule, after_ms: int, now_ms: int) -> int | None:
    """Looked for backwards in growing spans: an outage of months has a million minutes, and a yearly cron one time."""
    for span in _SPANS:
        begin_ms = max(after_ms, now_ms - int(span.total_seconds() * 1_000))
        found = _last_until(schedule, begin_ms, now_ms)
        if found is not None or begin_ms == after_ms:
            return found
    return _last_until(schedule, after_ms, now_ms)


def _last_until(schedule: StoredSchedule, begin_ms: int, now_ms: int) -> int | None:
    latest_ms = None
    for at_ms in fires_after(schedule, begin_ms):
        if at_ms > now_ms:
            break
        latest_ms = at_ms
    return latest_ms


# -- what ---------------------------------------------------------------------------------------------
def key_of_fire(schedule: StoredSchedule, at_ms: int) -> str:
    """schedule:order:2026-03-29T01:00Z"""
    return f"schedule:{schedule.workflow}:{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%dT%H:%MZ}"


def slot_of_fire(schedule: StoredSchedule, definition: Definition) -> Slot | None:
    """skip, queue: one of its runs at a time. allow: what the workflow's `concurrency` says, if it says anything."""
    if schedule.overlap == "allow":
        return slot_of(definition, schedule.input)
    # "/" is in no workflow's name, so this is no slot of a `concurrency`.
    return Slot(f"schedule/{schedule.workflow}", 1, "reject" if schedule.overlap == "skip" else "queue")
