"""The engine's and the client's verbs on Redis: start, take, load, commit, park, post, tick."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import islice
from operator import itemgetter
from typing import cast

from redis import Redis

from runner.errors import RecordTampered, StoreError
from runner.store import limits
from runner.store.base import RedisBase
from runner.store.ports import (
    MAX_BATCH,
    Commit,
    CommitAnswer,
    NewRun,
    PostAnswer,
    Request,
    StartAnswer,
    StoredRun,
    TakenRun,
    Ticked,
)
from runner.store.records import read_entry, read_run

_LOAD_AT_ONCE = 50


class RunVerbs(RedisBase):
    """Batches are split here, and answers put together; each promise is in ports.Store."""

    def start(self, runs: Sequence[NewRun]) -> list[StartAnswer]:
        for run in runs:
            limits.check_new_run(run)
        self._eviction.refuse()
        answers: list[StartAnswer] = []
        for batch in limits.batches(runs, lambda run: len(run.summary) + len(run.body)):
            reply = [text.decode() for text in self._scripts.start_runs(runs=batch)]
            answers += [_start_answer(answer, rest) for answer, rest in zip(reply[::2], reply[1::2], strict=True)]
        return answers

    def take_runs(self, engine: str, nonce: str, *, limit: int, lease_ms: int, loop: int = 0) -> list[TakenRun]:
        limits.check_name("engine id", engine)
        limits.check_name("nonce", nonce)
        limits.check_number("limit", limit)
        limits.check_number("loop", loop, limits.MAX_LOOPS - 1)
        reply = self._scripts.take_runs(
            engine=engine, nonce=nonce, limit=min(limit, MAX_BATCH), lease_ms=lease_ms, loop=loop
        )
        taken = []
        parts = iter(reply)
        for run_id in parts:
            etag, entries = next(parts).decode(), [read_entry(text, next(parts)) for text in islice(parts, next(parts))]
            taken.append(TakenRun(run_id.decode(), etag, tuple(entries)))
        return taken

    def load_runs(self, run_ids: Sequence[str]) -> list[StoredRun | None]:
        """One HGETALL a run: a record is one hash, so each is from one moment. Raises RecordTampered."""
        records: list[dict[bytes, bytes]] = []
        for begin in range(0, len(run_ids), _LOAD_AT_ONCE):
            keys = [self._keys.run(run_id) for run_id in run_ids[begin : begin + _LOAD_AT_ONCE]]
            records += self._connection.ask(lambda client, keys=keys: _read_hashes(client, keys))  # type: ignore[misc]
        return [read_run(id, record) if record else None for id, record in zip(run_ids, records, strict=True)]

    def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        weighed = [(limits.check_commit(commit), commit) for commit in commits]
        answers: list[CommitAnswer] = []
        for batch in limits.batches(weighed, itemgetter(0)):
            reply = self._scripts.commit_runs(commits=[commit for _, commit in batch])
            answers += [cast(CommitAnswer, text.decode()) for text in reply]
        return answers

    def park(self, run_id: str, etag: str, *, delay_ms: int, stuck: bool, error: bytes) -> int:
        limits.check_number("delay_ms", delay_ms)
        limits.check_size(f"the error of run {run_id}", error)
        reply = self._scripts.park_run(
            run_id=run_id, etag=etag, nonce=secrets.token_hex(8), delay_ms=delay_ms, stuck=stuck, error=error
        )
        if reply == b"tampered":
            raise RecordTampered(f"the record of run {run_id} has the wrong type")
        return int(reply)

    def post(self, requests: Sequence[Request]) -> list[PostAnswer]:
        for request in requests:
            limits.check_request(request)
        answers: list[str] = []
        for batch in limits.batches(requests, lambda request: len(request.body)):
            answers += [text.decode() for text in self._scripts.post_requests(requests=batch)]
        full = [request.run_id for request, answer in zip(requests, answers, strict=True) if answer == "full"]
        if full:
            raise StoreError(f"run {full[0]} takes no more requests: too many wait, or it was sent too many")
        return cast(list[PostAnswer], answers)

    def tick(self) -> Ticked:
        """First one script that says what is due, then one for each kind that is."""
        self._eviction.tell()
        scripts = self._scripts
        grace, next_due_ms, dead, timers, deadlines, watch, expiring, now_ms = scripts.begin_tick(
            lease_ms=self._lease_ms, tick_ms=self._tick_ms
        )
        fired = scripts.fire_timers() if timers else 0
        lost, queue_timeouts, requeued = scripts.expire_tasks() if deadlines else (0, 0, 0)
        reaped = [self._reap(process.decode(), only_if_due=True) for process in dead]
        lost += sum(tasks for tasks, _ in reaped)
        rearmed = sum(runs for _, runs in reaped) + (scripts.rearm_runs() if watch else 0)
        if expiring:
            scripts.forget_runs()
        if max(timers, deadlines, watch, expiring, len(dead)) >= MAX_BATCH:
            next_due_ms = 0
        return Ticked(fired, lost, queue_timeouts, requeued, rearmed, grace, next_due_ms, now_ms)

    def wait_for_runs(self, timeout_s: float) -> bool:
        return self._connection.wait([self._keys.wake_runs], timeout_s)


def _start_answer(answer: str, rest: str) -> StartAnswer:
    if answer == "limited":
        return StartAnswer("limited", holders=tuple(sorted(rest.split("|"))))
    return StartAnswer(answer, rest)  # type: ignore[arg-type]


def _read_hashes(client: Redis, keys: Sequence[str]) -> list[dict[bytes, bytes]]:
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.hgetall(key)
    return cast(list[dict[bytes, bytes]], pipeline.execute())
