"""MemoryStore: every verb of ports.Store in this process's memory, for tests and `sagarun test`.

It keeps the same promises as RedisStore, also those about repeats, and the same conformance suite holds
it to them. Every verb runs under one lock; nothing of it survives the process.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from runner.store.faults import FaultGroup, FaultState
from runner.store.limits import LEASE_MS, TICK_MS, check_alert, check_name, check_number, check_schedule
from runner.store.memory import faults
from runner.store.memory.runs import RunsInMemory
from runner.store.memory.state import Run
from runner.store.memory.tasks import TasksInMemory
from runner.store.memory.tick import TickInMemory
from runner.store.observations import AlertRow, Figures, QueueInfo
from runner.store.ports import HELD_MS, MAX_HOLDERS, RunRow, ScheduleRow, SlotInfo, StoredRun


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class MemoryStore(RunsInMemory, TickInMemory, TasksInMemory):
    """ports.Store in memory. `clock` gives milliseconds; `lease_ms` and `tick_ms` bound the outage grace."""

    def __init__(
        self, *, namespace: str = "test", clock: Callable[[], int] = _wall_clock_ms, lease_ms: int = LEASE_MS,
        tick_ms: int = TICK_MS,
    ) -> None:
        super().__init__(namespace=namespace, clock=clock, lease_ms=lease_ms, tick_ms=tick_ms)

    def put_definition(self, digest: str, document: bytes) -> None:
        with self._changed:
            self._tables.definitions.setdefault(digest, document)

    def get_definition(self, digest: str) -> bytes | None:
        return self._tables.definitions.get(digest)

    def put_workers(self, contracts: Mapping[str, bytes]) -> None:
        with self._changed:
            self._tables.workers.update(contracts)

    def get_workers(self) -> Mapping[str, bytes]:
        with self._changed:
            return dict(self._tables.workers)

    def put_run(self, stored: StoredRun, history: Sequence[bytes]) -> None:
        """A run that is over and was kept elsewhere, to be looked at."""
        with self._changed:
            run = Run(
                stored.run_id, "", "", stored.summary, stored.created_at_ms, stored.updated_at_ms, stored.etag,
                stored.state, stored.status, terminal=True, fields=dict(stored.fields), history=list(history),
                broken=stored.broken, parked=stored.parked,
            )
            self._tables.runs[stored.run_id] = run

    def ended_runs(self, *, limit: int = 100) -> list[tuple[str, int]]:
        with self._changed:
            held = [(at_ms - HELD_MS, run_id) for run_id, at_ms in self._tables.expiring.items() if at_ms >= HELD_MS]
            return [(run_id, at_ms) for at_ms, run_id in sorted(held)[:limit]]

    def hold_ended(self) -> int:
        with self._changed:
            expiring, runs = self._tables.expiring, self._tables.runs
            found = [run_id for run_id, at_ms in expiring.items() if at_ms < HELD_MS and not runs[run_id].released]
            expiring.update({run_id: HELD_MS + runs[run_id].updated_at_ms for run_id in found})
            return len(found)

    def release_runs(self, until_ms: Mapping[str, int]) -> None:
        for run_id, at_ms in until_ms.items():
            check_name("run id", run_id)
            check_number("until_ms", at_ms)
        with self._changed:
            for run_id, at_ms in until_ms.items():
                run = self._tables.runs.get(run_id)
                if run is not None and run.terminal:
                    run.released = True
                    self._tables.expiring.pop(run_id, None)
                    self._tables.expiring.update({run_id: at_ms} if at_ms else {})

    def put_schedule(self, workflow: str, body: bytes) -> None:
        check_schedule(workflow, body)
        with self._changed:
            there = self._tables.schedules.get(workflow, ScheduleRow(workflow, body))
            self._tables.schedules[workflow] = replace(there, body=body)

    def remove_schedule(self, workflow: str) -> bool:
        with self._changed:
            return self._tables.schedules.pop(workflow, None) is not None

    def schedules(self) -> list[ScheduleRow]:
        with self._changed:
            return [self._tables.schedules[workflow] for workflow in sorted(self._tables.schedules)]

    def note_fire(self, workflow: str, at_ms: int, note: bytes) -> bool:
        check_number("at_ms", at_ms)
        with self._changed:
            there = self._tables.schedules.get(workflow)
            if there is None or there.fired_at_ms >= at_ms:
                return there is not None and (there.fired_at_ms, there.note) == (at_ms, note)
            self._tables.schedules[workflow] = replace(there, fired_at_ms=at_ms, note=note)
            return True

    def fault_groups(self, *, since_ms: int = 0) -> list[FaultGroup]:
        with self._changed:
            return faults.fault_groups(self._tables.faults, since_ms)

    def note_fault(self, group: str, state: FaultState, note: bytes) -> bool:
        check_name("group", group)
        with self._changed:
            return faults.note_fault(self._tables.faults, group, state, note)

    def list_runs(
        self, *, limit: int = 50, offset: int = 0, status: str = "", since_ms: int = 0, until_ms: int = 0
    ) -> list[RunRow]:
        with self._changed:
            runs = sorted(self._tables.runs.values(), key=lambda run: (run.created_at_ms, run.run_id), reverse=True)
            return [
                RunRow(
                    run.run_id, run.status, run.summary, run.created_at_ms, run.updated_at_ms,
                    run.slot if run.place == "W" else "",
                )
                for run in runs
                if (not status or (run.status or "pending") == status)
                and since_ms <= run.created_at_ms <= (until_ms or run.created_at_ms)
            ][offset : offset + limit]

    def load_states(self, run_ids: Sequence[str]) -> list[bytes]:
        with self._changed:
            runs = [self._tables.runs.get(run_id) for run_id in run_ids]
            return [run.state if run is not None else b"" for run in runs]

    def find_runs(self, prefix: str, *, limit: int = 10) -> list[str]:
        with self._changed:
            return sorted(run_id for run_id in self._tables.runs if run_id.startswith(prefix))[:limit]

    def slot(self, name: str, *, run_id: str = "") -> SlotInfo | None:
        with self._changed:
            state = self._tables.slots.get(name)
            if state is None:
                return None
            ahead = state.line.index(run_id) if run_id in state.line else 0
            holders = tuple(sorted(state.holders[:MAX_HOLDERS]))
            return SlotInfo(name, state.limit, len(state.holders), len(state.line), holders, ahead)

    def history(self, run_id: str, *, start: int = 0) -> list[bytes]:
        with self._changed:
            run = self._tables.runs.get(run_id)
            return run.history[start:] if run is not None else []

    def queue_depths(self) -> Mapping[str, int]:
        with self._changed:
            return {queue: len(waiting) for queue, waiting in self._tables.queues.items()}

    def note_alert(self, name: str, nonce: str, *, firing: bool, cool_down_ms: int, body: bytes) -> bool:
        check_alert(name, nonce, cool_down_ms, body)
        with self._changed:
            now = self._tables.clock.now_ms()
            was, teller = self._tables.alerts.get(name, (AlertRow(name, False, 0, 0), ""))
            if teller == nonce:
                return True
            tell = was.told_at_ms + cool_down_ms <= now if firing else was.firing and was.told_at_ms >= was.since_ms
            if firing != was.firing or tell:
                since_ms = now if firing != was.firing else was.since_ms
                told_at_ms = now if firing and tell else was.told_at_ms
                self._tables.alerts[name] = AlertRow(name, firing, since_ms, told_at_ms, body), nonce if tell else ""
            return tell

    def alerts(self) -> list[AlertRow]:
        with self._changed:
            return [row for _, (row, _) in sorted(self._tables.alerts.items())]

    def queues(self) -> list[QueueInfo]:
        with self._changed:
            tables, running = self._tables, Counter[str]()
            for process in tables.processes.values():
                running.update(task.queue for ref in process.held if (task := tables.open_task(ref)) is not None)
            found = []
            for name in sorted(tables.queues):
                waiting = [task for ref in tables.queues[name] if (task := tables.open_task(ref)) is not None]
                oldest_at_ms = waiting[0].queued_at_ms if waiting else 0
                found.append(QueueInfo(name, len(tables.queues[name]), oldest_at_ms, running[name]))
            return found

    def figures(self, window_ms: int = 0) -> Figures:
        with self._changed:
            return self._tables.figures.read(window_ms, self._tables.clock.now_ms())

    def count_live(self) -> int:
        return len(self._tables.watch)

    def now_ms(self) -> int:
        with self._changed:
            return self._tables.clock.now_ms()

    def close(self) -> None:
        """Nothing to close; what is stored stays as long as the object."""
