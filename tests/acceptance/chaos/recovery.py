"""How long it takes after each blow until everything that the victim had in hand has moved on.

Had in hand: the tasks that a worker process held, the runs that an engine had taken and not committed. Moved on: the
task is settled or given to another, and its run was committed after the blow. Of the server: the first effect that
happens after it answers again. A victim that had nothing in hand is counted, and not timed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from runner.store.keys import Keys


@dataclass(slots=True)
class Watch:
    """One blow and what is not back yet: refs of tasks, and runs with the etag that they had."""

    what: str
    at: float
    refs: list[str] = field(default_factory=list)
    runs: dict[str, bytes] = field(default_factory=dict)
    seq: int | None = None  # of the server: the ledger's last row when it answered again


class Recovery:
    """`look` before the blow, `begin` after it, `poll` from then on."""

    def __init__(self, socket: str, namespace: str) -> None:
        self.client = redis.Redis(
            unix_socket_path=socket, retry=Retry(NoBackoff(), 0), socket_timeout=0.5, socket_connect_timeout=0.5
        )
        self.times: dict[str, list[float]] = {}
        self.idle: dict[str, int] = {}
        self.keys = Keys(namespace)
        self._open: list[Watch] = []

    @property
    def open(self) -> Sequence[Watch]:
        return self._open

    def count_live(self) -> int | None:
        """Runs that are not over; None while the server is away."""
        try:
            return int(self.client.zcard(self.keys.watch))
        except redis.RedisError:
            return None

    def count_known(self) -> int | None:
        """Runs that are not forgotten yet; None while the server is away."""
        try:
            return int(self.client.zcard(self.keys.runs))
        except redis.RedisError:
            return None

    def present(self) -> frozenset[int]:
        """The pids of engines and worker processes that have come so far as to register; none while the server is
        away."""
        try:
            known = self.client.zrange(self.keys.procs, 0, -1)
        except redis.RedisError:
            return frozenset()
        return frozenset(int(process.decode().split(":")[-2]) for process in known)

    def look(self, pid: int) -> Watch:
        """What the process has in hand now, as far as the server can say."""
        watch = Watch("", 0.0)
        try:
            for process in self.client.zrange(self.keys.procs, 0, -1):
                if process.decode().split(":")[-2:-1] == [str(pid)]:
                    self._add(watch, process.decode())
        except redis.RedisError:
            return watch
        return watch

    def _add(self, watch: Watch, process: str) -> None:
        watch.refs += [ref.decode() for ref in self.client.smembers(self.keys.held(process))]
        known = self.client.hgetall(self.keys.process(process))
        taken = [value.decode() for name, value in known.items() if name.startswith(b"took:")]  # by each of its loops
        ids = {ref.split("|")[0] for ref in watch.refs}
        ids |= {run for names in taken for run in names.split("|")[1:]}  # behind the nonce
        in_hand = {ref.split("|")[0] for ref in watch.refs}
        for run_id in sorted(ids):
            etag, ended, again, head, tail = self.client.hmget(
                self.keys.run(run_id), "etag", "end", "again", "head", "tail"
            )
            if etag is not None and ended != b"1" and (run_id in in_hand or again == b"1" or head != tail):
                watch.runs[run_id] = etag

    def begin(self, what: str, watch: Watch) -> None:
        watch.what, watch.at = what, time.monotonic()
        if watch.runs or watch.refs or what.endswith("server"):
            self._open.append(watch)
        else:
            self.idle[what] = self.idle.get(what, 0) + 1

    def poll(self, seq: int) -> None:
        """`seq`: the ledger's last row."""
        for watch in list(self._open):
            try:
                is_over = self._is_server_back(watch, seq) if watch.what.endswith("server") else self._is_over(watch)
            except redis.RedisError:
                return
            if is_over:
                self._open.remove(watch)
                self.times.setdefault(watch.what, []).append(time.monotonic() - watch.at)

    def _is_server_back(self, watch: Watch, seq: int) -> bool:
        self.client.ping()
        if watch.seq is None:
            watch.seq = seq
        return seq > watch.seq

    def _is_over(self, watch: Watch) -> bool:
        if watch.refs:
            due = self.client.zmscore(self.keys.deadlines, watch.refs)
            watch.refs = [ref for ref, score in zip(watch.refs, due, strict=True) if score is not None]
        pipe = self.client.pipeline(transaction=False)
        for run_id in watch.runs:
            pipe.hmget(self.keys.run(run_id), "etag", "end")
        found = dict(zip(list(watch.runs), pipe.execute(), strict=True))
        watch.runs = {run: etag for run, etag in watch.runs.items() if found[run][0] == etag and found[run][1] != b"1"}
        return not watch.refs and not watch.runs


def summary(times: Mapping[str, Sequence[float]]) -> list[tuple[str, int, float, float, float]]:
    """(what, how many, p50, p95, max) of each kind, and of all together."""
    everything = [each for some in times.values() for each in some]
    rows = [*sorted(times.items()), ("all", everything)]
    return [(what, len(some), *(_part(some, part) for part in (0.5, 0.95, 1.0))) for what, some in rows if some]


def _part(times: Sequence[float], part: float) -> float:
    return sorted(times)[min(len(times) - 1, int(part * len(times)))]
