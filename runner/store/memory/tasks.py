"""The worker processes' verbs in memory; the twin of tasks.py and its scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.errors import StoreError
from runner.store.limits import (
    LEASE_MS,
    MAX_CALL_BYTES,
    check_completion,
    check_name,
    check_number,
    check_process,
    check_quota,
    fence_of,
)
from runner.store.memory.quota import end_all, room, take
from runner.store.memory.state import MemoryBase, Process, Ref, Run, Task
from runner.store.ports import (
    MAX_BATCH,
    OUTPUT,
    BeatAnswer,
    ClaimedTask,
    Completion,
    CompletionAnswer,
    Dispatch,
    ExchangeAnswer,
    InboxEntry,
    InboxKind,
    ProcessInfo,
    Quota,
)
from runner.store.successor import LOOK_MS, MAX_RELAYED_BYTES, RELAY_MS
from runner.store.vitals import Vitals


class TasksInMemory(MemoryBase):
    """Each promise is in ports.Store."""

    def exchange(
        self, process: str, nonce: str, *, completions: Sequence[Completion] = (), queues: Sequence[str] = (),
        quotas: Mapping[str, Quota] = {}, capacity: int = 0, lease_ms: int = LEASE_MS,
    ) -> ExchangeAnswer:
        check_name("process id", process)
        check_name("nonce", nonce)
        check_number("capacity", capacity)
        for completion in completions:
            check_completion(completion)
        for queue in queues:
            check_name("queue", queue)
        for queue, quota in quotas.items():
            check_quota(queue, quota)
        with self._changed:
            tables = self._tables
            holder = tables.processes.get(process)
            if holder is None:
                return ExchangeAnswer(alive=False)
            now = tables.clock.now_ms()
            holder.dead_at_ms, holder.seen_at_ms = now + 2 * lease_ms, now
            if holder.nonce != nonce:
                most, claimed = min(capacity, MAX_BATCH), list[Ref]()
                answers: list[CompletionAnswer] = []
                relayed = 0
                for completion in completions:
                    answer, follower = self._complete(process, completion, now, relayed < MAX_CALL_BYTES)
                    answers.append(answer)
                    relayed += self._weight(follower) if follower is not None else 0
                    if follower is not None and len(claimed) < most:
                        self._take_at_once(follower, holder, claimed, frozenset(queues) - quotas.keys(), now, lease_ms)
                holder.answers = tuple(answers)
                freed = end_all(tables, quotas, process, completions)
                holder.again_ms = 0
                if capacity:
                    self._claim(holder, claimed, queues, quotas, most, now, lease_ms)
                    freed.difference_update(queues)
                tables.hushed -= freed
                holder.claimed = tuple(claimed)
                holder.nonce = nonce
            self._changed.notify_all()
            tasks = tuple(self._claimed(ref) for ref in holder.claimed if ref in holder.held)
            return ExchangeAnswer(True, holder.answers, tasks, holder.again_ms)  # type: ignore[arg-type]

    def _complete(
        self, process: str, completion: Completion, now: int, goes_on: bool
    ) -> tuple[CompletionAnswer, Ref | None]:
        """And what was dispatched because of it."""
        tables = self._tables
        ref: Ref = (completion.run_id, completion.path, completion.token)
        run = tables.runs.get(completion.run_id)
        task = run.tasks.get(completion.path) if run is not None else None
        if run is None or task is None or task.token != completion.token:
            return "stale", None
        if task.state == "D":
            return "duplicate", None
        if task.state != "R" or task.process != process:
            return "stale", None
        tables.close_task(ref)
        run.tasks[completion.path] = Task("D", completion.token)
        kind: InboxKind = "lost" if completion.lost else "outcome"
        body, field = completion.body, ""
        if completion.output and not completion.lost:
            field = task.payload + OUTPUT
            run.fields[field] = completion.output
        next_path = self._hand_on(run, completion, now) if field and goes_on else ""
        # Here the entry has the field's name; it is read when the entry is handed out, see Run.entries.
        run.inbox.append(
            InboxEntry(kind, now, completion.path, task.claimed_at_ms, process, body, field.encode(), next_path)
        )
        if not next_path:
            tables.wake(run, now)
            return "recorded", None
        return "recorded", (run.run_id, next_path, run.tasks[next_path].token)

    def _hand_on(self, run: Run, completion: Completion, now: int) -> str:
        """Dispatch what comes after this task, whose output is stored already; its path, or "" if nothing does."""
        position, successor = run.successors.get(completion.path, (-1, None))
        size = len(completion.body) + len(completion.output)
        if successor is None or run.parked or position != len(run.inbox) or size > MAX_RELAYED_BYTES:
            return ""
        if now - run.updated_at_ms >= RELAY_MS:
            return ""
        if any(payload + OUTPUT not in run.fields for payload in successor.parts[1::2]):
            return ""
        run.joined[successor.payload] = successor.parts
        run.ahead = position + 1
        if position == 0:  # the first that no engine has heard of
            self._tables.watch[run.run_id] = now + LOOK_MS
        dispatch = Dispatch(
            successor.path, successor.queue, successor.message, successor.payload, successor.queue_timeout_ms
        )
        self._tables.dispatch(run, dispatch, run.etag, now)
        return successor.path

    def _weight(self, ref: Ref) -> int:
        """Bytes of a task that was dispatched behind an outcome."""
        task = self._claimed(ref)
        return len(task.message) + len(task.payload)

    def _take_at_once(
        self, ref: Ref, holder: Process, claimed: list[Ref], serves: frozenset[str], now: int, lease_ms: int
    ) -> None:
        """Straight to whoever ended the one before, ahead of what waits: what has begun is finished first."""
        queue = self._tables.runs[ref[0]].tasks[ref[1]].queue
        if queue in serves:
            self._tables.drop_ref(queue, ref)
            self._begin(ref, holder, claimed, now, lease_ms)

    def _claim(
        self, holder: Process, claimed: list[Ref], queues: Sequence[str], quotas: Mapping[str, Quota], capacity: int,
        now: int, lease_ms: int,
    ) -> None:
        tables = self._tables
        for queue in queues:
            before, wanted, quota = len(claimed), capacity - len(claimed), quotas.get(queue)
            allowed, next_ms = wanted, 0
            if quota is not None:
                allowed, next_ms = room(tables, queue, quota, max(wanted, 1), now, lease_ms)
            self._take_from(queue, holder, claimed, min(capacity, before + allowed), now, lease_ms)
            if quota is not None:
                again_ms = take(tables, queue, quota, holder.info.id, claimed[before:], now,
                                is_closed=allowed < max(wanted, 1), next_ms=next_ms)  # fmt: skip
                holder.again_ms = min(filter(None, (holder.again_ms, again_ms)), default=0)

    def _take_from(
        self, queue: str, holder: Process, claimed: list[Ref], most: int, now: int, lease_ms: int
    ) -> None:
        tables = self._tables
        waiting = tables.queues.get(queue, ())
        while waiting and len(claimed) < most:
            ref = waiting.popleft()
            task = tables.open_task(ref)
            if task is None or task.state != "Q":
                continue
            self._begin(ref, holder, claimed, now, lease_ms)

    def _begin(self, ref: Ref, holder: Process, claimed: list[Ref], now: int, lease_ms: int) -> None:
        task = self._tables.runs[ref[0]].tasks[ref[1]]
        task.state, task.process, task.claimed_at_ms = "R", holder.info.id, now
        self._tables.deadlines[ref] = now + 2 * lease_ms
        holder.held.add(ref)
        claimed.append(ref)

    def _claimed(self, ref: Ref) -> ClaimedTask:
        run = self._tables.runs[ref[0]]
        task = run.tasks[ref[1]]
        return ClaimedTask(
            run_id=ref[0], path=ref[1], token=ref[2], fence=fence_of(ref[2]), queue=task.queue,
            queued_at_ms=task.queued_at_ms, claimed_at_ms=task.claimed_at_ms, message=task.message,
            payload=run.value(task.payload) or b"",
        )

    def beat(
        self, process: str, tasks: Sequence[tuple[str, str, str]], *, lease_ms: int = LEASE_MS,
        vitals: Vitals | None = None,
    ) -> list[BeatAnswer] | None:
        with self._changed:
            tables = self._tables
            holder = tables.processes.get(process)
            if holder is None:
                return None
            now = tables.clock.now_ms()
            holder.dead_at_ms, holder.seen_at_ms, holder.vitals = now + 2 * lease_ms, now, vitals
            answers: list[BeatAnswer] = []
            for ref in tasks:
                task = tables.open_task(ref)
                if task is None or task.state != "R" or task.process != process:
                    answers.append("lost")
                    continue
                tables.deadlines[ref] = now + 2 * lease_ms
                answers.append("cancelled" if task.cancelled else "held")
            return answers

    def wait_for_tasks(self, queues: Sequence[str], timeout_s: float) -> bool:
        tables = self._tables
        return self._wait(
            lambda: any(tables.queues.get(queue) and queue not in tables.hushed for queue in queues), timeout_s
        )

    def register(self, process: ProcessInfo, *, lease_ms: int = LEASE_MS) -> None:
        check_process(process)
        with self._changed:
            tables = self._tables
            if process.id in tables.reaped:
                raise StoreError(f"process {process.id} was reaped: it must take a new id")
            now = tables.clock.now_ms()
            there = tables.processes.setdefault(process.id, Process(process, 0, 0))
            there.info, there.dead_at_ms, there.seen_at_ms = process, now + 2 * lease_ms, now

    def retire(self, process: str) -> None:
        self.reap(process)

    def reap(self, process: str) -> int:
        with self._changed:
            self._changed.notify_all()
            return sum(self._tables.reap(process, self._tables.clock.now_ms()))

    def processes(self) -> list[ProcessInfo]:
        with self._changed:
            return [
                ProcessInfo(
                    id=there.info.id, kind=there.info.kind, host=there.info.host, pid=there.info.pid,
                    started_at_ms=there.info.started_at_ms, queues=there.info.queues, lock=there.info.lock,
                    seen_at_ms=there.seen_at_ms, held=len(there.held), vitals=there.vitals,
                )
                for _, there in sorted(self._tables.processes.items())
            ]
