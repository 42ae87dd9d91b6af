"""Starts what schedules are due for. Part of the tick of a process that stays; any number of them may look at once.

Rule: first started, under a key that the fire time gives it, and then noted. An engine that dies between the two is
followed by one that starts the same run again, which is the run that is there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from runner.catalogue import Catalogue
from runner.errors import StoreError, StoreUnavailable
from runner.schedules import Due, Fire, KeptSchedule, due_fire, key_of_fire, next_fire, read_schedule, slot_of_fire
from runner.starting import new_run
from runner.store.ports import NewRun, ScheduleRow, Store

log = logging.getLogger("sagarun.schedule")

READ_MS = 2_000  # how soon a schedule that was added, changed or removed is known here
LATE_MS = 60_000  # later than this is said: no engine was there
RETRY_MS = 10_000  # after the store refused (it is full, say)


class _Known(NamedTuple):
    """A schedule as it was read, and when it is due next."""

    row: ScheduleRow
    kept: KeptSchedule
    next_ms: int | None


class Scheduler:
    """`look` is cheap: it reads the schedules every other second, and asks the store for nothing in between."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._catalogue = Catalogue(store)
        self._known: Mapping[str, _Known] = {}
        self._unreadable: set[bytes] = set()
        self._read_at_ms = 0
        self._not_before_ms: dict[str, int] = {}

    def look(self, now_ms: int) -> int:
        """Start what is due by the store's clock; how many fire times were dealt with. Raises StoreError."""
        if now_ms - self._read_at_ms >= READ_MS:
            self._read_at_ms = now_ms
            self._read()
        dealt_with = sum(self._fire(known, now_ms) for known in self._known.values() if self._is_due(known, now_ms))
        if dealt_with:
            self._read()
        return dealt_with

    def _is_due(self, known: _Known, now_ms: int) -> bool:
        ready = now_ms >= self._not_before_ms.get(known.row.workflow, 0)
        return ready and known.next_ms is not None and known.next_ms <= now_ms

    def _read(self) -> None:
        self._known = {row.workflow: known for row in self._store.schedules() if (known := self._understand(row))}

    def _understand(self, row: ScheduleRow) -> _Known | None:
        before = self._known.get(row.workflow)
        if before is not None and before.row == row:
            return before
        try:
            kept = read_schedule(row)
            return _Known(row, kept, None if kept.schedule.paused else next_fire(kept.schedule, kept.after_ms))
        except (msgspec.DecodeError, ValueError) as error:
            if row.body not in self._unreadable:
                self._unreadable.add(row.body)
                log.error("the schedule of %s cannot be read: %s", row.workflow, error)
            return None

    def _fire(self, known: _Known, now_ms: int) -> bool:
        """True if it is dealt with; otherwise it is tried again later, and then for the latest time."""
        kept = known.kept
        due = due_fire(kept.schedule, kept.after_ms, now_ms)
        if due is None:
            return False
        try:
            run = self._run_of(kept, due)
            fire = self._started(run, due, now_ms) if isinstance(run, NewRun) else run
            if self._store.note_fire(kept.schedule.workflow, due.at_ms, msgspec.json.encode(fire)):
                _report(kept, fire)
        except StoreUnavailable:
            raise
        except StoreError as error:
            self._not_before_ms[kept.schedule.workflow] = now_ms + RETRY_MS
            log.error("the schedule of %s is due, and: %s", kept.schedule.workflow, error)
            return False
        return True

    def _run_of(self, kept: KeptSchedule, due: Due) -> NewRun | Fire:
        """What is to be started, or why that cannot be made, now or later."""
        schedule = kept.schedule
        try:
            definition = self._catalogue.definition(schedule.definition)
            return new_run(
                self._store.namespace, definition, schedule.input, key_of_fire(schedule, due.at_ms), by="schedule",
                slot=slot_of_fire(schedule, definition),
            )
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("no run can be made of the schedule of %s", schedule.workflow)
            return Fire(due.at_ms, "failed", missed=due.missed, why=f"{type(error).__name__}: {error}"[:1_000])

    def _started(self, run: NewRun, due: Due, now_ms: int) -> Fire:
        answer = self._store.start([run])[0]
        late_ms = now_ms - due.at_ms if now_ms - due.at_ms >= LATE_MS else 0
        if answer.answer == "tampered":
            why = f"what is stored under the keys of run {run.run_id} does not fit"
            return Fire(due.at_ms, "failed", missed=due.missed, why=why)
        if answer.answer == "undefined":
            why = "its definition is not in the store any more"
            return Fire(due.at_ms, "failed", missed=due.missed, why=why)
        if answer.answer == "limited":
            return Fire(due.at_ms, "skipped", answer.holders[0], missed=due.missed, late_ms=late_ms)
        return Fire(due.at_ms, "started", run.run_id, missed=due.missed, late_ms=late_ms)


def _report(kept: KeptSchedule, fire: Fire) -> None:
    fields = {
        "workflow": kept.schedule.workflow, "run_id": fire.run_id, "key": key_of_fire(kept.schedule, fire.at_ms),
    }
    if fire.missed:
        log.warning("%d fire times were missed; only the latest is made up for", fire.missed, extra=fields)
    if fire.outcome == "started":
        log.info("started by its schedule", extra=fields)
    elif fire.outcome == "skipped":
        log.info("not started by its schedule: one before it is under way", extra=fields)
    else:
        log.error("not started by its schedule: %s", fire.why, extra=fields)
