"""A tick in memory: what is due fires, expires or is repaired; the twin of begin_tick.lua and those after it."""

from __future__ import annotations

from runner.store.limits import MAX_WATCH_MS, REAPED_MS, WATCH_MS
from runner.store.memory.state import MemoryBase, Ref, due
from runner.store.ports import MAX_BATCH, InboxEntry, Ticked


class TickInMemory(MemoryBase):
    """Each promise is in ports.Store."""

    def tick(self) -> Ticked:
        """See ports.Store; each kind handles at most one batch."""
        with self._changed:
            tables = self._tables
            now = tables.clock.now_ms()
            grace = tables.clock.open_grace(now, lease_ms=self._lease_ms, tick_ms=self._tick_ms)
            next_due_ms = self._next_due(now)
            timers = self._fire_timers(now)
            lost, queue_timeouts, requeued, seen = self._expire_tasks(now, grace=grace)
            dead = [] if grace else due({id: process.dead_at_ms for id, process in tables.processes.items()}, now)
            reaped = [tables.reap(process_id, now) for process_id in dead]
            lost += sum(tasks for tasks, _ in reaped)
            rearmed, watched = self._rearm_runs(now)
            rearmed += sum(runs for _, runs in reaped)
            forgotten = due(tables.expiring, now)
            tables.forget(forgotten)
            for process_id in due(tables.reaped, now - REAPED_MS):
                del tables.reaped[process_id]
            if MAX_BATCH in (timers, seen, watched, len(forgotten)):
                next_due_ms = 0
            self._changed.notify_all()
            return Ticked(timers, lost, queue_timeouts, requeued, rearmed, grace, next_due_ms, now)

    def idle_ms(self) -> int | None:
        """For virtual clocks: how long nothing happens by itself, until a timer or deadline. None: for ever."""
        with self._changed:
            times = [*self._tables.timers.values(), *self._tables.deadlines.values()]
            return max(0, min(times) - self._tables.clock.now_ms()) if times else None

    def _next_due(self, now: int) -> int:
        tables = self._tables
        dead = [process.dead_at_ms for process in tables.processes.values()]
        times = [*tables.timers.values(), *tables.deadlines.values(), *tables.watch.values(), *dead]
        return min([1000, *(time_ms - now for time_ms in times if time_ms > now)])

    def _fire_timers(self, now: int) -> int:
        tables = self._tables
        found = due(tables.timers, now, "|".join)
        for run_id, name in found:
            del tables.timers[run_id, name]
            run = tables.runs[run_id]
            run.inbox.append(InboxEntry("timer", now, name))
            tables.wake(run, now)
        return len(found)

    def _expire_tasks(self, now: int, *, grace: bool) -> tuple[int, int, int, int]:
        tables = self._tables
        lost = timeouts = 0
        fronts: dict[str, list[Ref]] = {}
        missing: dict[str, list[Ref]] = {}
        found = due(tables.deadlines, now, "|".join)
        for ref in found:
            task = tables.runs[ref[0]].tasks[ref[1]]
            if task.state == "R" and grace:
                tables.deadlines[ref] = tables.clock.grace_until_ms
            elif task.state == "R":
                tables.lose(ref, task, now)
                lost += 1
            elif task.timeout_at_ms and task.timeout_at_ms <= now and not grace:
                tables.close_task(ref)
                run = tables.runs[ref[0]]
                run.inbox.append(InboxEntry("queue_timeout", now, ref[1]))
                tables.wake(run, now)
                timeouts += 1
            else:
                front = fronts[task.queue] = fronts.get(task.queue) or tables.front_of(task.queue)
                if tables.look_after_queued(ref, task, front, now):
                    missing.setdefault(task.queue, []).append(ref)
        requeued = sum(tables.push_missing(queue, refs) for queue, refs in missing.items())
        return lost, timeouts, requeued, len(found)

    def _rearm_runs(self, now: int) -> tuple[int, int]:
        tables = self._tables
        found = due(tables.watch, now)
        rearmed = 0
        for run_id in found:
            run = tables.runs[run_id]
            rearmed += tables.ready_again(run_id, now, even_parked=True)
            idle_ms = 0 if run.has_work and run.place != "W" else now - run.updated_at_ms
            tables.watch[run_id] = now + min(max(WATCH_MS, idle_ms), MAX_WATCH_MS)
        return rearmed, len(found)
