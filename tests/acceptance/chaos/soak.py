"""Hours under faults: what a process needs, and what is kept in Redis, stays what it was. Exit code 1 if it does not.

    python -m tests.acceptance.chaos.soak --minutes 480

The processes of a chaos, a steady trickle of runs, a blow now and then, and a short retention. One engine and one
worker process are spared: theirs are the memory, the threads and the open files that are watched from the first run
to the last.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from runner.client import Client
from runner.store.limits import LEASE_MS
from tests.acceptance.chaos.__main__ import end_in_order, folder
from tests.acceptance.chaos.account import Account, StoredAccount, create_ledger, read_effects
from tests.acceptance.chaos.blows import Blows
from tests.acceptance.chaos.cluster import Cluster
from tests.acceptance.chaos.conductor import FAILING
from tests.acceptance.chaos.gauges import WARM_RUNS, Course, Gauges, Sample, courses
from tests.acceptance.chaos.logged import alarms
from tests.acceptance.chaos.recovery import Recovery
from tests.acceptance.chaos.scenarios import SCENARIOS, plan
from tests.acceptance.chaos.starter import Starter
from tests.acceptance.chaos.verdict import judge
from tests.servers import PATIENCE_S, until

RETENTION_S = 20
SAMPLE_S = 2.0
SAY_S = 60.0
TAIL_S = 90.0
SHOWN = 20
LONGEST_WARM = 0.7  # of the time: what is left has to be enough to look at


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one soak."""

    minutes: float
    rate: float = 5.0  # runs a second
    every_s: float = 5.0
    seed: int = 1
    lease_ms: int = 0
    leak: int = 0  # bytes that engines and workers lose with each call of the store: then the verdict has to say so
    say: Callable[[str], None] = print


@dataclass(slots=True)
class Result:
    """Samples from the first run's start to the last one's, and what was wrong."""

    settings: Settings
    samples: list[Sample] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)
    struck: Mapping[str, int] = field(default_factory=dict)
    started: int = 0
    warm_s: float = 0.0  # until then caches were filling
    replaced: int = 0  # children of the worker process that was spared
    left: Mapping[str, int] = field(default_factory=dict)  # keys of runs that are over and forgotten, by kind
    wrong: list[str] = field(default_factory=list)


def soak(settings: Settings, place: Path) -> Result:
    """In this folder, which has to be empty and short enough for a socket."""
    create_ledger(place / "ledger.db")
    cluster = Cluster(place, engines=2, workers=2, lease_ms=settings.lease_ms, leak=settings.leak)
    project = cluster.root / "sagarun.yaml"
    project.write_text(project.read_text().replace("retention: 0s", f"retention: {RETENTION_S}s"))
    with cluster:
        return _Soak(settings, cluster).run()


class _Soak:
    """The loop and what it has to remember."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self.settings, self.cluster, self.result = settings, cluster, Result(settings)
        random = Random(settings.seed)
        self.recovery = Recovery(str(cluster.socket), "chaos")
        self.blows = Blows(cluster, self.recovery, random, (settings.lease_ms or LEASE_MS) / 1_000)
        self.planned = plan(max(1, int(settings.minutes * 60 * settings.rate)), random, FAILING)
        self.starter = Starter(
            cluster.root, cluster.url, self.planned, 10**6, 1 / settings.rate, self.recovery.count_live, batch=1
        )

    def run(self) -> Result:
        result = self.result
        with Client(self.cluster.url, root=self.cluster.root) as client:
            until(lambda: client.contracts() and len(client.store.processes()) >= 4, "all are there", seconds=60)
        self.spared = self.cluster.spare()
        pids = {member.kind: member.pid for member in self.spared}
        self.parent = self.spared[-1]
        gauges = Gauges(self.recovery.client, self.recovery.keys, pids | {"child": self.parent.children()[0]})
        with closing(sqlite3.connect(f"file:{self.cluster.ledger}?mode=ro", uri=True, timeout=PATIENCE_S)) as ledger:
            self.starter.start()
            self._under_blows(gauges, ledger)
        self.cluster.resume()
        self._to_the_end()
        result.struck, result.started = self.blows.struck, len(self.starter.by_id)
        result.left = gauges.keys_left()
        result.courses = list(courses(result.samples, result.warm_s))
        result.wrong += [f"{course.name} grows" for course in result.courses if not course.is_flat]
        result.wrong += [f"{count} keys of kind {kind} are left" for kind, count in result.left.items()]
        if not self._are_spared():
            result.wrong.append("a process that nobody hit has ended")
        result.wrong += [*alarms(self.cluster.root / "logs"), *self.cluster.crashes(), *self._of_the_ledger()]
        return result

    def _under_blows(self, gauges: Gauges, ledger: sqlite3.Connection) -> None:
        began = next_blow = next_sample = said = time.monotonic()
        ends_at = began + self.settings.minutes * 60  # also where the machine is too busy for so many runs
        while not self.starter.is_done.is_set() and self._are_spared() and time.monotonic() < ends_at:
            time.sleep(0.05)
            now = time.monotonic()
            self.cluster.resume(now)
            self.cluster.fill_up()
            (seq,) = ledger.execute("SELECT coalesce(max(seq), 0) FROM effects").fetchone()
            self.recovery.poll(seq)
            if now >= next_blow:
                self.blows.strike(seq)
                next_blow = now + self.settings.every_s
            if now >= next_sample:
                # A child in which an attempt overran is ended, as happens on a machine that has too much to do.
                self.result.replaced += gauges.follow("child", self.parent.children())
            if now >= next_sample and (sample := gauges.sample(now - began)) is not None:
                self.result.samples.append(sample)
                is_warm = len(self.starter.by_id) >= WARM_RUNS or now - began > LONGEST_WARM * (ends_at - began)
                if len(self.planned) > 2 * WARM_RUNS and not is_warm:
                    self.result.warm_s = now - began
                next_sample = now + SAMPLE_S
                if now - said > SAY_S:
                    said = now
                    self.settings.say(f"  {now - began:6.0f} s: {len(self.starter.by_id)} started; {sample}")
        self.starter.stop.set()
        self.starter.join(PATIENCE_S)  # so that what it has just started is known
        if self.starter.failure is not None:
            self.result.wrong.append(f"runs cannot be started: {self.starter.failure!r}")

    def _are_spared(self) -> bool:
        return all(member.process.poll() is None for member in self.spared)

    def _to_the_end(self) -> None:
        """All are over, and forgotten."""
        by = time.monotonic() + TAIL_S + RETENTION_S
        while self.recovery.count_known() != 0:
            self.cluster.fill_up()
            if time.monotonic() > by:
                self.result.wrong.append(f"{self.recovery.count_known()} runs are still known {TAIL_S:.0f} s later")
                return
            time.sleep(0.2)

    def _of_the_ledger(self) -> list[str]:
        """Runs are forgotten by now: their effects are what there is to judge."""
        begun = [self.planned[number] for number in self.starter.by_id.values()]
        ends = {run.number: StoredAccount("gone", SCENARIOS[run.workflow].wanted(run.fail)[0]) for run in begun}
        return [str(finding) for finding in judge(begun, Account(read_effects(self.cluster.ledger), ends))]


def report(result: Result) -> Iterator[str]:
    settings = result.settings
    yield f"seed {settings.seed}: {settings.minutes:g} minutes, {result.started} runs, " + ", ".join(
        f"{count} {what}" for what, count in sorted(result.struck.items())
    )
    looked_at = f"from {result.warm_s:.0f} s on, at least" if result.warm_s else "after half of it"
    yield f"  {looked_at:<24}{'first third':>12}{'last third':>12}{'an hour':>12}"
    if result.replaced:
        yield f"  the child is the last of {result.replaced + 1}: attempts overran in those before it"
    for course in result.courses:
        digits = 1 if course.name.endswith("MiB") else 0
        yield (
            f"  {course.name:<24}{course.first:>12.{digits}f}{course.last:>12.{digits}f}{course.an_hour:>+12.1f}"
            f"{'' if course.is_flat else '  GROWS'}"
        )
    yield from (f"  ! {what}" for what in result.wrong[:SHOWN])
    yield f"  verdict: {'flat' if not result.wrong else 'WRONG'}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=480)
    parser.add_argument("--rate", type=float, default=5.0, help="runs a second")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between blows")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--leak", type=int, default=0, metavar="BYTES", help="to see that the verdict finds it")
    given = parser.parse_args()
    end_in_order()
    with folder() as place:
        result = soak(Settings(given.minutes, given.rate, given.every, given.seed, leak=given.leak), place)
    print("\n".join(report(result)), flush=True)
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
