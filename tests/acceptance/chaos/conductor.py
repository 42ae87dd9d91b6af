"""One chaos, from the first process to the verdict.

Blows fall from the first run's start until few runs are left; then everything that was stopped goes on, and what is
left has to come to its end within a minute. When nothing moves for 30 s, it is written down where everybody stood.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from runner.client import Client
from runner.store.limits import LEASE_MS
from tests.acceptance.chaos.account import Account, create_ledger, read_account
from tests.acceptance.chaos.blows import Blows
from tests.acceptance.chaos.cluster import Cluster
from tests.acceptance.chaos.dump import dump
from tests.acceptance.chaos.logged import alarms
from tests.acceptance.chaos.recovery import Recovery
from tests.acceptance.chaos.scenarios import PlannedRun, plan
from tests.acceptance.chaos.starter import Starter
from tests.acceptance.chaos.verdict import Finding, judge
from tests.servers import PATIENCE_S

FAILING = 0.25
TAIL_S = 60.0  # within which all runs are over after the last blow
NO_PROGRESS_S = 30.0
GIVE_UP_S = 150.0  # after the last blow
LOOK_S = 0.05
SAY_S = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one chaos. lease_ms 0: the leases that sagarun has."""

    runs: int
    seed: int
    every_s: float = 0.5
    lease_ms: int = 0
    window: int = 300
    engines: int = 2
    workers: int = 3
    has_barrier: bool = True
    most_blows: int = sys.maxsize
    pause_s: float = 0.0  # before each batch of starts, so that a fast machine is not done before the first blow
    dump_to: Path = Path("chaos-dump")
    say: Callable[[str], None] = print

    @property
    def lease_s(self) -> float:
        return (self.lease_ms or LEASE_MS) / 1_000


@dataclass(slots=True)
class Result:
    """What a chaos ended with."""

    settings: Settings
    planned: Sequence[PlannedRun] = ()
    account: Account = field(default_factory=Account)
    findings: Sequence[Finding] = ()
    struck: Mapping[str, int] = field(default_factory=dict)
    recovery: Mapping[str, Sequence[float]] = field(default_factory=dict)
    idle: Mapping[str, int] = field(default_factory=dict)
    exits: Mapping[str, int] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)  # with the whole, not with one run
    struck_for_s: float = 0.0
    tail_s: float = 0.0
    started_again: int = 0
    missed: int = 0

    @property
    def is_good(self) -> bool:
        return not self.findings and not self.troubles


def play(settings: Settings, folder: Path) -> Result:
    """In this folder, which has to be empty and short enough for a socket."""
    random = Random(settings.seed)
    planned = plan(settings.runs, random, FAILING)
    create_ledger(folder / "ledger.db")
    with Cluster(
        folder, engines=settings.engines, workers=settings.workers, lease_ms=settings.lease_ms,
        has_barrier=settings.has_barrier,
    ) as cluster:  # fmt: skip
        return _Play(settings, planned, cluster, random).run()


class _Play:
    """The loop and what it has to remember."""

    def __init__(self, settings: Settings, planned: Sequence[PlannedRun], cluster: Cluster, random: Random) -> None:
        self.settings = settings
        self.cluster = cluster
        self.result = Result(settings, planned)
        self.recovery = Recovery(str(cluster.socket), "chaos")
        self.blows = Blows(cluster, self.recovery, random, settings.lease_s)
        self.starter = Starter(
            cluster.root, cluster.url, planned, settings.window, settings.pause_s, self.recovery.count_live
        )
        self._ledger = sqlite3.connect(f"file:{cluster.ledger}?mode=ro", uri=True, timeout=PATIENCE_S)
        self._moved_at = self._said_at = time.monotonic()
        self._seen: tuple[int, int | None] = (0, None)
        self._live: int | None = None
        self._is_dumped = False

    def run(self) -> Result:
        result = self.result
        with closing(self._ledger):
            self._await_staff()
            self.starter.start()
            began = time.monotonic()
            try:
                self._under_blows()
                result.struck_for_s = time.monotonic() - began
                self._to_the_end()
            finally:
                self.starter.stop.set()
            self.starter.join(60)
            self._take_stock()
        return result

    def _await_staff(self) -> None:
        by = time.monotonic() + PATIENCE_S
        with Client(self.cluster.url, root=self.cluster.root) as client:
            while not (client.contracts() and len(client.store.processes()) >= 2):
                self.cluster.fill_up()
                assert time.monotonic() < by, f"engines and workers do not start; see {self.cluster.folder}"
                time.sleep(0.1)

    def _under_blows(self) -> None:
        next_blow = time.monotonic()
        while self._look():
            few = self._live is not None and self._live < self.settings.window // 2
            if self.starter.is_done.is_set() and few:
                return
            if time.monotonic() >= next_blow and sum(self.blows.struck.values()) < self.settings.most_blows:
                self.blows.strike(self._seen[0])
                next_blow = max(next_blow + self.settings.every_s, time.monotonic() - 1)

    def _to_the_end(self) -> None:
        """From the last blow on."""
        began = time.monotonic()
        self.cluster.resume()
        while not self.result.troubles and self._look():
            self.result.tail_s = time.monotonic() - began
            if self._live == 0 and self.starter.is_done.is_set():
                break
            if self.result.tail_s > GIVE_UP_S:
                self._trouble(f"{self._live} runs are not over {GIVE_UP_S:.0f} s after the last blow")
        if self.result.tail_s > TAIL_S:
            self._trouble(f"all were over only {self.result.tail_s:.1f} s after the last blow")

    def _look(self) -> bool:
        """One turn of the loop; False: it is of no use to go on."""
        time.sleep(LOOK_S)
        now = time.monotonic()
        self.cluster.resume(now)
        self.cluster.fill_up()
        self._live = self.recovery.count_live()
        (seq,) = self._ledger.execute("SELECT coalesce(max(seq), 0) FROM effects").fetchone()
        self.recovery.poll(seq)
        if seq != self._seen[0] or (self._live is not None and self._live != self._seen[1]):
            self._seen, self._moved_at = (seq, self._live), now
        if now - self._said_at > SAY_S:
            self._said_at = now
            done = len(self.starter.by_id)
            self.settings.say(f"  {done} started, {self._live} under way, {sum(self.blows.struck.values())} blows")
        if self.starter.failure is not None:
            self._trouble(f"runs cannot be started: {self.starter.failure!r}")
        elif now - self._moved_at > NO_PROGRESS_S:
            self._trouble(f"nothing moved for {NO_PROGRESS_S:.0f} s")
        return not self.result.troubles

    def _trouble(self, what: str) -> None:
        self._is_dumped = True
        where = dump(self.cluster, self.settings.dump_to / f"seed-{self.settings.seed}")
        self.result.troubles.append(f"{what}; state, stacks and logs are in {where}")

    def _take_stock(self) -> None:
        result = self.result
        result.struck, result.recovery, result.idle = self.blows.struck, self.recovery.times, self.recovery.idle
        result.missed = self.blows.missed
        result.exits, result.started_again = self.cluster.exits, self.starter.again
        result.troubles += [f"a process ended by itself: {what}" for what in self.cluster.crashes()]
        result.troubles += alarms(self.cluster.root / "logs")
        with Client(self.cluster.url, root=self.cluster.root) as client:
            result.account = read_account(client, self.cluster.ledger, self.starter.by_id)
        acknowledged = set(self.starter.by_id.values())
        result.findings = judge([run for run in result.planned if run.number in acknowledged], result.account)
        if len(acknowledged) < len(result.planned):
            result.troubles.append(f"only {len(acknowledged)} runs were started")
        if not result.is_good and not self._is_dumped:
            self._trouble(f"{len(result.findings)} findings")
