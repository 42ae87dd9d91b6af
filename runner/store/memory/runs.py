"""The engine's and the client's verbs in memory; the twin of runs.py and its scripts."""

from __future__ import annotations

from collections.abc import Sequence

from runner.errors import StoreError
from runner.store.limits import (
    FRESH_MS,
    MAX_LOOPS,
    MAX_REQUESTS,
    MAX_WAITING,
    NEVER_MS,
    WATCH_MS,
    check_commit,
    check_name,
    check_new_run,
    check_number,
    check_request,
)
from runner.store.memory import slots
from runner.store.memory.faults import count_faults, forget_spare
from runner.store.memory.state import MemoryBase, Run
from runner.store.ports import (
    MAX_BATCH,
    Commit,
    CommitAnswer,
    InboxEntry,
    NewRun,
    PostAnswer,
    Request,
    StartAnswer,
    StoredRun,
    TakenRun,
    TaskRecord,
)


class RunsInMemory(MemoryBase):
    """Each promise is in ports.Store."""

    def start(self, runs: Sequence[NewRun]) -> list[StartAnswer]:
        for run in runs:
            check_new_run(run)
        with self._changed:
            now = self._tables.clock.now_ms()
            self._changed.notify_all()
            return [self._start(run, now) for run in runs]

    def _start(self, new: NewRun, now: int) -> StartAnswer:
        there = self._tables.runs.get(new.run_id)
        if there is not None:
            if there.nonce == new.nonce:
                return StartAnswer("created", there.status)
            return StartAnswer("existing" if there.digest == new.digest else "conflict", there.status)
        if any(wanted not in self._tables.definitions for wanted in new.definitions):
            return StartAnswer("undefined")
        run = Run(new.run_id, new.nonce, new.digest, new.summary, created_at_ms=now, updated_at_ms=now)
        holders = slots.take_place(self._tables, run, new.slot, now) if new.slot is not None else ()
        if holders:
            return StartAnswer("limited", holders=holders)
        self._add(run, new.body, now)
        if run.place != "W":
            self._tables.wake(run, now + FRESH_MS)
        return StartAnswer("created")

    def _add(self, run: Run, body: bytes, now: int) -> None:
        run.inbox.append(InboxEntry("started", now, body=body))
        self._tables.runs[run.run_id] = run
        self._tables.watch[run.run_id] = now + WATCH_MS

    def take_runs(self, engine: str, nonce: str, *, limit: int, lease_ms: int, loop: int = 0) -> list[TakenRun]:
        check_name("engine id", engine)
        check_name("nonce", nonce)
        check_number("limit", limit)
        check_number("loop", loop, MAX_LOOPS - 1)
        with self._changed:
            tables, now = self._tables, self._tables.clock.now_ms()
            process = tables.processes.get(engine)
            last_nonce, run_ids = process.taken.get(loop, ("", ())) if process is not None else ("", ())
            repeated = last_nonce == nonce
            if not repeated:
                ranked = sorted(tables.ready, key=lambda run_id: (tables.ready[run_id], run_id))
                run_ids = tuple(ranked[: min(limit, MAX_BATCH)])
            taken = []
            for run_id in run_ids:
                tables.ready.pop(run_id, None)
                run = tables.runs.get(run_id)
                if run is not None and not run.terminal and run.has_work:
                    taken.append(TakenRun(run_id, run.etag, run.entries()))
                    tables.watch[run_id] = now + lease_ms
            if process is not None and not repeated:
                process.taken[loop] = nonce, tuple(run.run_id for run in taken)
            return taken

    def load_runs(self, run_ids: Sequence[str]) -> list[StoredRun | None]:
        with self._changed:
            return [_stored(self._tables.runs.get(run_id)) for run_id in run_ids]

    def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        for commit in commits:
            check_commit(commit)
        with self._changed:
            now = self._tables.clock.now_ms()
            self._changed.notify_all()
            freed: dict[str, None] = {}
            counts: list[tuple[str, int]] = []
            answers = [self._commit(commit, now, freed, counts) for commit in commits]
            self._tables.figures.keep(counts, now)
            forget_spare(self._tables.faults)
            for name in freed:
                slots.admit_waiting(self._tables, name, now)
            return answers

    def _commit(
        self, commit: Commit, now: int, freed: dict[str, None], counts: list[tuple[str, int]]
    ) -> CommitAnswer:
        tables, run = self._tables, self._tables.runs.get(commit.run_id)
        if run is None:
            return "gone"
        if run.etag == commit.etag:
            return "ok"
        if run.terminal or run.etag != commit.etag_read:
            return "stale"
        if commit.entries_seen < run.ahead:
            tables.wake(run, now)
            return "stale"
        seen = commit.entries_seen
        if seen and [entry.mark for entry in run.inbox[seen - 1 : seen]] != [commit.last_seen]:
            return "stale"
        if any(dispatch.path in run.tasks and run.tasks[dispatch.path].is_open for dispatch in commit.dispatches):
            return "tampered"
        if any(new.run_id in tables.runs for new in commit.starts):
            return "tampered"
        del run.inbox[:seen]
        run.history.extend(commit.history)
        self._tell_listeners(commit.run_id, commit.history)
        run.fields.update(commit.writes)
        for name in run.joined.keys() & commit.writes:
            del run.joined[name]
        run.etag, run.state, run.status, run.updated_at_ms = commit.etag, commit.state, commit.status, now
        run.parked, run.broken, run.again = 0, b"", commit.again
        run.terminal, run.ahead, run.successors = commit.terminal, 0, {}
        if slots.move_place(tables, run):
            freed[run.slot] = None
        if commit.terminal:
            self._end(run, commit, now)
        else:
            self._go_on(run, commit, now)
        for new in commit.starts:
            child = Run(new.run_id, new.nonce, new.digest, new.summary, created_at_ms=now, updated_at_ms=now)
            self._add(child, new.body, now)
            tables.wake(child, now)
        for run_id, body in commit.tells:
            self._tell(run_id, body, now)
        counts += commit.counts
        count_faults(tables.faults, run.run_id, commit.faults, now)
        return "ok"

    def _go_on(self, run: Run, commit: Commit, now: int) -> None:
        tables = self._tables
        self._revoke(run, commit.revokes, now)
        self._dispatch(run, commit, now)
        if not run.inbox:
            run.successors = {one.after: (position, one) for position, one in enumerate(commit.successors)}
        for name in commit.timers_cleared:
            tables.timers.pop((run.run_id, name), None)
        for name, due_at_ms in commit.timers:
            tables.timers[run.run_id, name] = due_at_ms
        tables.watch[run.run_id] = now + WATCH_MS
        if run.has_work:
            tables.wake(run, now)

    def _tell(self, run_id: str, body: bytes, now: int) -> None:
        run = self._tables.runs.get(run_id)
        if run is not None and not run.terminal:
            run.inbox.append(InboxEntry("told", now, body=body))
            if run.place != "W":
                self._tables.wake(run, now)

    def _end(self, run: Run, commit: Commit, now: int) -> None:
        tables = self._tables
        run.again = False
        for path, task in list(run.tasks.items()):
            if task.is_open:
                tables.close_task((run.run_id, path, task.token))
        run.tasks.clear()
        run.inbox.clear()
        for key in [key for key in tables.timers if key[0] == run.run_id]:
            del tables.timers[key]
        tables.ready.pop(run.run_id, None)
        tables.watch.pop(run.run_id, None)
        if commit.retention_ms:
            tables.expiring[run.run_id] = now + commit.retention_ms

    def _revoke(self, run: Run, revokes: Sequence[tuple[str, bool]], now: int) -> None:
        for path, kill in revokes:
            task = run.tasks.get(path)
            if task is not None and task.state == "Q":
                self._tables.close_task((run.run_id, path, task.token))
                run.inbox.append(InboxEntry("revoked", now, path))
            elif task is not None and task.state == "R" and kill:
                task.cancelled = True

    def _dispatch(self, run: Run, commit: Commit, now: int) -> None:
        for dispatch in commit.dispatches:
            self._tables.dispatch(run, dispatch, commit.etag, now)

    def park(self, run_id: str, etag: str, *, delay_ms: int, stuck: bool, error: bytes) -> int:
        check_number("delay_ms", delay_ms)
        with self._changed:
            run = self._tables.runs.get(run_id)
            if run is None or run.terminal or run.etag != etag:
                return 0
            run.parked += 1
            run.broken = error
            now = self._tables.clock.now_ms()
            self._tables.ready.pop(run_id, None)
            self._tables.watch[run_id] = NEVER_MS if stuck else now + delay_ms
            if stuck:
                slots.give_back(self._tables, run, now)
                self._changed.notify_all()
            return run.parked

    def post(self, requests: Sequence[Request]) -> list[PostAnswer]:
        for request in requests:
            check_request(request)
        with self._changed:
            now = self._tables.clock.now_ms()
            self._changed.notify_all()
            answers = [self._post(request, now) for request in requests]
        full = [request.run_id for request, answer in zip(requests, answers, strict=True) if answer is None]
        if full:
            raise StoreError(f"run {full[0]} takes no more requests: too many wait, or it was sent too many")
        return [answer for answer in answers if answer is not None]

    def _post(self, request: Request, now: int) -> PostAnswer | None:
        run = self._tables.runs.get(request.run_id)
        if run is None:
            return "gone"
        if request.nonce in run.requests:
            return "ok"
        if run.terminal:
            return "ended"
        leaves = request.at_once and run.place == "W"
        if (len(run.inbox) >= MAX_WAITING and not leaves) or len(run.requests) >= MAX_REQUESTS:
            return None
        run.requests.add(request.nonce)
        if leaves:
            slots.leave_line(self._tables, run)
        run.inbox.append(InboxEntry("request", now, body=request.body))
        if run.place != "W":
            self._tables.wake(run, now, even_parked=True)
        return "ok"

    def wait_for_runs(self, timeout_s: float) -> bool:
        return self._wait(lambda: bool(self._tables.ready), timeout_s)


def _stored(run: Run | None) -> StoredRun | None:
    if run is None:
        return None
    return StoredRun(
        run_id=run.run_id, etag=run.etag, status=run.status, terminal=run.terminal, summary=run.summary,
        state=run.state, fields=run.fields | {name: run.value(name) or b"" for name in run.joined},
        tasks={
            path: TaskRecord(
                task.token, task.state, task.queue, task.queued_at_ms,  # type: ignore[arg-type]
                task.process, task.claimed_at_ms, task.cancelled,
            )
            for path, task in run.tasks.items() if task.is_open
        },
        entries=run.entries(), created_at_ms=run.created_at_ms, updated_at_ms=run.updated_at_ms,
        broken=run.broken, parked=run.parked, slot=run.slot, in_line=run.place == "W",
    )
