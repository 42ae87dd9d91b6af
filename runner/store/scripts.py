"""The Lua scripts: one typed function each, which packs the arguments and unpacks the reply.

Every script is one atomic transition and begins with a header that says its KEYS, ARGV and RETURNS; the
loader puts prelude.lua after its first line. ARGV[1] is the caller's clock, "" for Redis' own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import NoScriptError

from runner.store import limits
from runner.store.connection import Connection
from runner.store.figures import pack_counts
from runner.store.keys import SUCCESSOR, WRITE, Keys
from runner.store.ports import (
    MAX_BATCH,
    MAX_INBOX,
    Commit,
    Completion,
    NewRun,
    Quota,
    Request,
    Slot,
)
from runner.store.successor import LOOK_MS, MAX_RELAYED_BYTES, RELAY_MS, Successor


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    source: str
    sha: str


@cache
def load_script(name: str) -> Script:
    folder = files("runner.store") / "lua"
    flags, _, body = (folder / f"{name}.lua").read_text("utf-8").partition("\n")
    prelude = (folder / "prelude.lua").read_text("utf-8")
    source = f"{flags}\n{prelude}\n{body}"
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class Scripts:
    """Runs scripts on one connection, in one namespace."""

    def __init__(self, connection: Connection, keys: Keys, clock: Callable[[], int] | None) -> None:
        self._connection = connection
        self._keys = keys
        self._clock = clock

    def _call(self, name: str, keys: Sequence[str], args: Iterable[str | bytes | int], *, admits: bool = False) -> Any:
        script = load_script(name)
        now_ms: str | int = self._clock() if self._clock is not None else ""
        packed = (*keys, now_ms, *args)

        def command(client: Redis) -> Any:
            try:
                return client.evalsha(script.sha, len(keys), *packed)
            except NoScriptError:
                return client.eval(script.source, len(keys), *packed)

        return self._connection.ask(command, admits=admits)

    # -- runs -------------------------------------------------------------------------------------
    def start_runs(self, *, runs: Sequence[NewRun]) -> list[bytes]:
        k = self._keys
        args: list[str | bytes | int] = [limits.WATCH_MS, limits.FRESH_MS, len(runs)]
        for run in runs:
            args += (run.run_id, run.nonce, run.digest, run.summary, run.body, _pack_slot(run.slot),
                     "|".join(run.definitions))
        reply: list[bytes] = self._call(
            "start_runs", (k.clock, k.ready, k.watch, k.runs, k.wake_runs, k.definitions), args, admits=True
        )
        return reply

    def take_runs(self, *, engine: str, nonce: str, limit: int, lease_ms: int, loop: int) -> list[Any]:
        k = self._keys
        reply: list[Any] = self._call(
            "take_runs", (k.clock, k.ready, k.watch, k.wake_runs, k.process(engine)),
            (nonce, limit, lease_ms, MAX_INBOX, limits.MAX_CALL_BYTES, loop),
        )
        return reply

    def commit_runs(self, *, commits: Sequence[Commit]) -> list[bytes]:
        k = self._keys
        keys = (k.clock, k.ready, k.watch, k.deadlines, k.timers, k.expiring, k.queues, k.wake_runs, k.runs, k.faults)
        times = (limits.WATCH_MS, limits.REPAIR_MS)
        args = (*times, limits.MAX_SERIES, pack_counts(commits), _pack_commits(commits))
        reply: list[bytes] = self._call("commit_runs", keys, args)
        return reply

    def park_run(self, *, run_id: str, etag: str, nonce: str, delay_ms: int, stuck: bool, error: bytes) -> bytes:
        k = self._keys
        stuck_at_ms = limits.NEVER_MS if stuck else 0
        reply: bytes = self._call(
            "park_run", (k.clock, k.ready, k.watch, k.wake_runs), (run_id, etag, nonce, delay_ms, stuck_at_ms, error)
        )
        return reply

    def post_requests(self, *, requests: Sequence[Request]) -> list[bytes]:
        k = self._keys
        args: list[str | bytes | int] = [limits.MAX_WAITING, limits.MAX_REQUESTS, len(requests)]
        for request in requests:
            args += (request.run_id, request.nonce, int(request.at_once), request.body)
        reply: list[bytes] = self._call("post_requests", (k.clock, k.ready, k.wake_runs), args, admits=True)
        return reply

    # -- tasks and processes ------------------------------------------------------------------------
    def exchange_tasks(
        self, *, process: str, nonce: str, lease_ms: int, capacity: int, queues: Sequence[str],
        quotas: Mapping[str, Quota], completions: Sequence[Completion],
    ) -> list[Any]:
        k = self._keys
        args: list[str | bytes | int] = [process, nonce, lease_ms, min(capacity, MAX_BATCH), limits.MAX_CALL_BYTES]
        args += (len(queues), *queues, len(quotas))
        for queue, quota in quotas.items():
            args += (queue, quota.max_concurrency, quota.rate, quota.window_ms)
        args.append(len(completions))
        for done in completions:
            body, output = done.body, b"" if done.lost else done.output
            args += (done.run_id, done.path, done.token, "1" if done.lost else "0", body, output)
        args += (MAX_RELAYED_BYTES, RELAY_MS, limits.REPAIR_MS, LOOK_MS)
        keys = (
            k.clock, k.procs, k.deadlines, k.ready, k.wake_runs, k.process(process), k.held(process), k.queues, k.watch
        )  # fmt: skip
        reply: list[Any] = self._call("exchange_tasks", keys, args)
        return reply

    def beat_process(
        self, *, process: str, lease_ms: int, vitals: bytes, tasks: Sequence[tuple[str, str, str]]
    ) -> bytes:
        k = self._keys
        args: list[str | bytes | int] = [process, lease_ms, vitals, len(tasks)]
        for task in tasks:
            args += task
        reply: bytes = self._call("beat_process", (k.clock, k.procs, k.deadlines, k.process(process)), args)
        return reply

    def register_process(self, *, process: str, lease_ms: int, info: bytes) -> bytes:
        k = self._keys
        keys = (k.clock, k.procs, k.reaped, k.process(process))
        reply: bytes = self._call("register_process", keys, (process, lease_ms, info))
        return reply

    def reap_process(self, *, process: str, only_if_due: bool) -> tuple[int, int, int]:
        """Tasks lost, runs ready again, tasks left for another call."""
        k = self._keys
        keys = (k.clock, k.procs, k.reaped, k.deadlines, k.ready, k.wake_runs, k.process(process), k.held(process))
        lost, rearmed, left = self._call("reap_process", keys, (process, int(only_if_due), MAX_BATCH))
        return lost, rearmed, left

    # -- time -------------------------------------------------------------------------------------
    def begin_tick(self, *, lease_ms: int, tick_ms: int) -> tuple[bool, int, list[bytes], int, int, int, int, int]:
        """In a grace, next due in ms, dead processes; due timers, deadlines, watch entries, records; the time in ms."""
        k = self._keys
        grace, next_due_ms, dead, timers, deadlines, watch, expiring, now_ms = self._call(
            "begin_tick", (k.clock, k.timers, k.deadlines, k.procs, k.watch, k.expiring, k.reaped),
            (lease_ms, tick_ms, limits.REAPED_MS, MAX_BATCH),
        )
        return bool(grace), next_due_ms, dead, timers, deadlines, watch, expiring, now_ms

    def fire_timers(self) -> int:
        k = self._keys
        fired: int = self._call("fire_timers", (k.clock, k.timers, k.ready, k.wake_runs), (MAX_BATCH, limits.REPAIR_MS))
        return fired

    def expire_tasks(self) -> tuple[int, int, int]:
        """Lost, queue timeouts, pushed again."""
        k = self._keys
        lost, queue_timeouts, requeued = self._call(
            "expire_tasks", (k.clock, k.deadlines, k.ready, k.wake_runs),
            (MAX_BATCH, limits.REPAIR_MS, limits.MAX_REPAIR_MS),
        )
        return lost, queue_timeouts, requeued

    def rearm_runs(self) -> int:
        k = self._keys
        keys = (k.clock, k.watch, k.ready, k.deadlines, k.timers, k.wake_runs)
        rearmed: int = self._call("rearm_runs", keys, (MAX_BATCH, limits.WATCH_MS, limits.MAX_WATCH_MS))
        return rearmed

    def forget_runs(self) -> int:
        k = self._keys
        forgotten: int = self._call("forget_runs", (k.clock, k.expiring, k.runs), (MAX_BATCH,))
        return forgotten

    def release_runs(self, *, releases: Sequence[tuple[str, int]]) -> int:
        k = self._keys
        args = (len(releases), *(part for release in releases for part in release))
        there: int = self._call("release_runs", (k.clock, k.expiring), args)
        return there

    def note_fire(self, *, workflow: str, at_ms: int, note: bytes) -> int:
        k = self._keys
        noted: int = self._call("note_fire", (k.clock, k.schedules, k.fires), (workflow, at_ms, note))
        return noted

    def note_alert(self, *, name: str, nonce: str, firing: bool, cool_down_ms: int, body: bytes) -> int:
        k = self._keys
        args = (name, nonce, int(firing), cool_down_ms, body)
        told: int = self._call("note_alert", (k.clock, k.alerts), args)
        return told

    def note_fault(self, *, group: str, state: str, note: bytes) -> int:
        k = self._keys
        noted: int = self._call("note_fault", (k.clock, k.faults), (group, state, note))
        return noted

    def read_clock(self) -> int:
        return int(self._call("read_clock", (self._keys.clock,), ()))


def _pack_slot(slot: Slot | None) -> str:
    return "" if slot is None else f"{slot.limit}|{slot.on_limit[0]}|{slot.name}"


_PACKED = msgspec.msgpack.Encoder()


def _pack_commits(commits: Sequence[Commit]) -> bytes:
    """MessagePack as the header of commit_runs.lua describes it."""
    try:
        return _PACKED.encode([_pack_commit(commit, bytes.decode) for commit in commits])
    except UnicodeDecodeError:
        return _PACKED.encode([_pack_commit(commit, _raw_text) for commit in commits])


def _raw_text(value: bytes) -> msgspec.Raw:
    """Any bytes as a MessagePack string: the scripts' unpacker does not know the binary type."""
    return msgspec.Raw(b"\xdb" + len(value).to_bytes(4, "big") + value)


def _pack_successor(etag: str, position: int, successor: Successor, text: Callable[[bytes], Any]) -> Any:
    """A list in MessagePack, all of it texts: commit_runs.lua stores it, and exchange_tasks.lua reads it.

    The last is such a list too, the parts of its input: it becomes the payload when the task is dispatched.
    """
    return _raw_text(
        _PACKED.encode((
            etag, str(position), str(successor.queue_timeout_ms), successor.path, successor.queue, successor.payload,
            text(successor.message), _pack_parts(successor.parts),
        ))
    )  # fmt: skip


@lru_cache(maxsize=128)
def _pack_parts(parts: tuple[str, ...]) -> msgspec.Raw:
    """Most runs of a definition have the same."""
    return _raw_text(_PACKED.encode(parts))


def _pack_commit(commit: Commit, text: Callable[[bytes], Any]) -> tuple[Any, ...]:
    """Names that callers choose get the prefix of their kind here, so none can pass for a field of the store."""
    fields = ["etag", commit.etag, "state", text(commit.state), "status", commit.status]
    for name, value in commit.writes.items():
        fields += (WRITE + name, text(value))
    tasks: list[Any] = []
    tasks += commit.paths
    for task in () if commit.terminal else commit.dispatches:
        tasks += (task.path, task.queue, task.payload, text(task.message), task.queue_timeout_ms)
    for position, successor in enumerate(commit.successors):
        fields += (SUCCESSOR + successor.after, _pack_successor(commit.etag, position, successor, text))
    seen = (commit.entries_seen, commit.last_seen) if commit.entries_seen else 0
    packed: tuple[Any, ...] = (
        commit.run_id, commit.etag_read, commit.etag, seen, commit.terminal, commit.again,
        commit.retention_ms, fields, tasks, [text(entry) for entry in commit.history],
    )
    to_others = commit.starts or commit.tells or commit.faults
    if not (commit.revokes or commit.timers or commit.timers_cleared or to_others):
        return packed
    revokes = [part for revoke in commit.revokes for part in revoke]
    packed = (*packed, revokes, [part for timer in commit.timers for part in timer], commit.timers_cleared)
    if not to_others:
        return packed
    starts: list[Any] = []
    for run in commit.starts:
        starts += (run.run_id, run.nonce, run.digest, text(run.summary), text(run.body))
    tells: list[Any] = []
    for run_id, body in commit.tells:
        tells += (run_id, text(body))
    packed = (*packed, starts, tells)
    if not commit.faults:
        return packed
    faults: list[Any] = []
    for fault in commit.faults:
        faults += (fault.group, text(fault.about), fault.marks, fault.count)
    return (*packed, faults)
