"""How workers, processes, queues and workflows do: from figures, queues and processes as the store has them.

Rule: nothing is measured here. Counts are of attempts that the histories tell; percentiles are read from buckets, never
too low and at most buckets.WIDTH too high. A window holds whole minutes, or tens of them: `since_ms` says from when on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from runner.figures import series
from runner.figures.buckets import merged, percentile
from runner.figures.series import Series
from runner.monitor.performance_shapes import (
    LastError,
    ProcessStats,
    QueueStats,
    Stats,
    Times,
    WorkerStats,
    WorkflowStats,
)
from runner.store.faults import FaultGroup
from runner.store.observations import Figures, QueueInfo
from runner.store.ports import ProcessInfo, Store

WINDOWS = {"1m": 60_000, "15m": 900_000, "1h": 3_600_000, "24h": 86_400_000, "all": 0}
ALIVE_MS = 10_000  # a process that was heard of within this time is taken to live
FAILING, DEGRADED, OLD_MS = 0.5, 0.1, 60_000
FEWEST = 3  # attempts from which on shares say something
NAMED = 3  # best workers, problem workers, errors of a worker

HEALTH_RULE = (
    f"failing: tasks wait and no process serves them, or at least {FAILING:.0%} of {FEWEST} or more attempts ended in "
    f"technical errors; degraded: at least {DEGRADED:.0%} did, or a task has waited for more than {OLD_MS // 1000} s; "
    "inactive: no process serves it, or nothing ended in the window; healthy: all others. A business error is "
    "an answer, not an error"
)


@dataclass(slots=True)
class Tally:
    """A histogram as it is read: buckets, and the sum where there is one."""

    buckets: Counter[int] = field(default_factory=Counter)
    micros: int = 0

    def add(self, bucket: str, count: int) -> None:
        if bucket == series.SUM:
            self.micros += count
        else:
            self.buckets[int(bucket)] += count

    def times(self) -> Times:
        total = self.buckets.total()
        if not total:
            return Times()
        found = [percentile(self.buckets, share) for share in (0.5, 0.95, 0.99)]
        p50, p95, p99 = [None if ms is None else round(ms, 1) for ms in found]
        return Times(total, round(self.micros / 1000 / total, 3) if self.micros else None, p50, p95, p99)


@dataclass(frozen=True, slots=True)
class Observed:
    """What is read of a store for Stats."""

    figures: Figures
    ever: Figures
    queues: Sequence[QueueInfo]
    processes: Sequence[ProcessInfo]
    contracts: Mapping[str, bytes]
    faults: Sequence[FaultGroup]


def read_stats(store: Store, window: str = "15m") -> Stats:
    figures = store.figures(WINDOWS[window])
    ever = figures if window == "all" else store.figures()
    observed = Observed(
        figures, ever, store.queues(), store.processes(), store.get_workers(),
        store.fault_groups(since_ms=figures.since_ms),
    )
    return stats_of(observed, window)


def known_workflows(store: Store) -> set[str]:
    """Of which there ever was a run, as far as it was counted."""
    return {each.labels[0] for each, _ in series.read(store.figures().counts) if each.kind == series.STARTED}


def read_queues(store: Store, window: str = "15m") -> list[QueueStats]:
    figures = store.figures(WINDOWS[window])
    observed = Observed(figures, figures, store.queues(), store.processes(), store.get_workers(), ())
    return _queues(observed, _Read(figures))


def read_processes(store: Store, window: str = "15m") -> list[ProcessStats]:
    figures = store.figures(WINDOWS[window])
    return list(_processes(Observed(figures, figures, (), store.processes(), {}, ()), _Read(figures)))


def stats_of(observed: Observed, window: str) -> Stats:
    read = _Read(observed.figures)
    queues = _queues(observed, read)
    workers = _workers(observed, read, {queue.queue: queue for queue in queues})
    problems = sorted(
        (each for each in workers if each.health in ("failing", "degraded")),
        key=lambda each: (each.health != "failing", -each.technical / max(1, each.attempts), each.worker),
    )
    best = sorted(
        (each for each in workers if each.health == "healthy" and each.completed * 2 > each.attempts >= FEWEST),
        key=lambda each: (each.technical / each.attempts, each.processing.p95_ms or 0, each.worker),
    )
    slowest = sorted(
        (each for each in workers if each.processing.p95_ms is not None),
        key=lambda each: (-(each.processing.p95_ms or 0), each.worker),
    )
    return Stats(
        window, observed.figures.since_ms, observed.figures.until_ms, HEALTH_RULE,
        tuple(each.worker for each in best[:NAMED]), tuple(each.worker for each in slowest[:NAMED]),
        tuple(each.worker for each in problems[:NAMED]),
        tuple(workers), tuple(_processes(observed, read)), tuple(queues), tuple(_workflows(observed, read)),
        read.uncounted,
    )


class _Read:
    """Figures by kind and labels."""

    def __init__(self, figures: Figures) -> None:
        self.minutes = max(1, figures.until_ms - figures.since_ms) / 60_000
        self.took: dict[tuple[str, str], Tally] = defaultdict(Tally)  # worker, outcome
        self.failed: dict[str, Counter[str]] = defaultdict(Counter)  # worker: type
        self.not_completed: Counter[tuple[str, str]] = Counter()  # worker, outcome
        self.technical: Counter[str] = Counter()
        self.retries: Counter[tuple[str, str]] = Counter()  # workflow, worker
        self.queued: dict[tuple[str, str], Tally] = defaultdict(Tally)  # queue, worker
        self.did: dict[tuple[str, str], Tally] = defaultdict(Tally)  # process, outcome
        self.waited: dict[str, Tally] = defaultdict(Tally)
        self.started: Counter[str] = Counter()
        self.finished: Counter[tuple[str, str]] = Counter()  # workflow, status
        self.lasted: dict[str, Tally] = defaultdict(Tally)
        self.stuck: Counter[str] = Counter()
        self.undone: Counter[tuple[str, str]] = Counter()  # workflow, outcome
        self.uncounted = 0
        for each, count in series.read(figures.counts):
            self._add(each, count)

    def _add(self, each: Series, count: int) -> None:
        match each.kind, each.labels:
            case series.TOOK, (_, _, _, worker, outcome, bucket):
                self.took[worker, outcome].add(bucket, count)
            case series.FAILED, (_, _, _, worker, outcome, kind, type_):
                self.not_completed[worker, outcome] += count
                self.failed[worker][type_] += count
                self.technical[worker] += count if kind == "technical" else 0
            case series.RETRIED, (workflow, _, _, worker):
                self.retries[workflow, worker] += count
            case series.QUEUED, (queue, worker, bucket):
                self.queued[queue, worker].add(bucket, count)
            case series.DID, (process, outcome, bucket):
                self.did[process, outcome].add(bucket, count)
            case series.WAITED, (process, bucket):
                self.waited[process].add(bucket, count)
            case series.STARTED, (workflow, _):
                self.started[workflow] += count
            case series.FINISHED, (workflow, _, status):
                self.finished[workflow, status] += count
            case series.LASTED, (workflow, _, bucket):
                self.lasted[workflow].add(bucket, count)
            case series.STUCK, (workflow,):
                self.stuck[workflow] += count
            case series.UNDONE, (workflow, outcome):
                self.undone[workflow, outcome] += count
            case series.OTHER, _:
                self.uncounted += count

    def rate(self, count: int) -> float:
        return round(count / self.minutes, 2)


def _together(tallies: Iterable[Tally]) -> Times:
    found = list(tallies)
    return Tally(Counter(merged(each.buckets for each in found)), sum(each.micros for each in found)).times()


def _living(observed: Observed) -> list[ProcessInfo]:
    return [each for each in observed.processes if observed.figures.until_ms - each.seen_at_ms < ALIVE_MS]


def _queue_names(observed: Observed) -> dict[str, str]:
    """By worker: its queue."""
    return {name: msgspec.json.decode(contract).get("queue") or name for name, contract in observed.contracts.items()}


def _queues(observed: Observed, read: _Read) -> list[QueueStats]:
    known, living = _queue_names(observed), _living(observed)
    infos = {info.name: info for info in observed.queues}
    found = []
    for name in sorted(infos.keys() | set(known.values())):
        info = infos.get(name, QueueInfo(name, 0))
        tallies = [tally for (queue, _), tally in read.queued.items() if queue == name]
        times = _together(tallies)
        found.append(QueueStats(
            name, info.depth,
            max(0, observed.figures.until_ms - info.oldest_at_ms) if info.oldest_at_ms else 0, info.running,
            tuple(each.id for each in living if each.kind == "worker" and name in each.queues),
            tuple(sorted(worker for worker, queue in known.items() if queue == name)), read.rate(times.count), times,
        ))
    return found


def _workers(observed: Observed, read: _Read, queues: Mapping[str, QueueStats]) -> list[WorkerStats]:
    known = _queue_names(observed)
    names = known.keys() | {worker for worker, _ in read.took} | {worker for worker, _ in read.not_completed}
    return [_worker(observed, read, worker, queues.get(known.get(worker, worker))) for worker in sorted(names)]


def _worker(observed: Observed, read: _Read, worker: str, queue: QueueStats | None) -> WorkerStats:
    completed = read.took[worker, "completed"].buckets.total()
    failed, unknown = read.not_completed[worker, "failed"], read.not_completed[worker, "unknown"]
    attempts, technical = completed + failed + unknown, read.technical[worker]
    health, why = _health(attempts, technical, queue)
    last = observed.ever.last
    return WorkerStats(
        worker, queue.queue if queue else worker, health, why, attempts, completed, failed, unknown, technical,
        sum(count for (_, each), count in read.retries.items() if each == worker), read.rate(attempts),
        _together(tally for (_, each), tally in read.queued.items() if each == worker),
        _together(read.took[worker, outcome] for outcome in ("completed", "failed", "unknown")),
        dict(read.failed[worker].most_common()), _last_errors(observed.faults, worker),
        len(queue.processes) if queue else 0,
        last.get(series.name(series.RAN, worker), 0), last.get(series.name(series.ERRED, worker), 0),
    )


def _health(attempts: int, technical: int, queue: QueueStats | None) -> tuple[str, str]:
    """By HEALTH_RULE, and which part of it."""
    served = len(queue.processes) if queue else 0
    share = technical / attempts if attempts >= FEWEST else 0.0
    if queue and queue.depth and not served:
        return "failing", f"{queue.depth} tasks wait, and no process serves them"
    if share >= FAILING:
        return "failing", f"{share:.0%} of its attempts ended in technical errors"
    if share >= DEGRADED:
        return "degraded", f"{share:.0%} of its attempts ended in technical errors"
    if queue and queue.oldest_ms > OLD_MS:
        return "degraded", f"a task has waited for {queue.oldest_ms // 1000} s"
    if not served:
        return "inactive", "no process serves it"
    return ("healthy", "") if attempts else ("inactive", "nothing ended in the window")


def _last_errors(faults: Sequence[FaultGroup], worker: str) -> tuple[LastError, ...]:
    """Technical ones first: they are what its health goes by."""
    found = []
    for each in faults:
        if f"worker={worker}" in each.marks:
            about = {"kind": "", "type": "", "message": "", **msgspec.json.decode(each.about)}
            message = about["message"].removeprefix(f"{about['type']}: ").removesuffix(":")
            sample = each.samples[0][0] if each.samples else ""
            found.append(LastError(each.group, about["kind"], about["type"], message, each.last_at_ms, sample))
    found.sort(key=lambda error: (error.kind == "business", -error.last_at_ms))
    return tuple(found[:NAMED])


def _processes(observed: Observed, read: _Read) -> Iterable[ProcessStats]:
    living = {each.id for each in _living(observed)}
    for each in observed.processes:
        tallies = {outcome: read.did[each.id, outcome] for outcome in ("completed", "failed", "unknown")}
        completed, failed, unknown = (tally.buckets.total() for tally in tallies.values())
        attempts = completed + failed + unknown
        yield ProcessStats(
            each.id, each.kind, each.host, each.pid, each.queues, each.id in living, each.started_at_ms,
            each.seen_at_ms, each.held, attempts, completed, failed, unknown, read.rate(attempts),
            read.waited[each.id].times(), _together(tallies.values()), each.vitals,
        )


def _workflows(observed: Observed, read: _Read) -> Iterable[WorkflowStats]:
    live: dict[str, dict[str, int]] = defaultdict(dict)
    for each, count in series.read(observed.ever.counts):
        if each.kind == series.LIVE:
            live[each.labels[0]][each.labels[1]] = count
    names = read.started.keys() | {workflow for workflow, _ in read.finished} | live.keys()
    for name in sorted(names):
        finished = {status: count for (workflow, status), count in sorted(read.finished.items()) if workflow == name}
        total = sum(finished.values())
        yield WorkflowStats(
            name, read.started[name], finished, dict(sorted(live[name].items())), read.stuck[name],
            read.rate(read.started[name]), round(finished.get("completed", 0) / total, 4) if total else None,
            read.lasted[name].times(),
            sum(count for (workflow, _), count in read.retries.items() if workflow == name),
            {outcome: count for (workflow, outcome), count in sorted(read.undone.items()) if workflow == name},
        )
