"""What Prometheus scrapes: every metric of sagarun, read from the store at the scrape, so dead processes count too.

Rule: a label has few values (a workflow, a step's place, a status, an error's type), never a text for people: each new
value is a time series for ever. The names stand in METRICS, and a test holds dashboard and rules to them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from runner.errors import ConfigError
from runner.figures import series
from runner.figures.buckets import BOUNDS_MS, STEPS
from runner.monitor.performance import ALIVE_MS
from runner.store.ports import ProcessInfo, Store

Labels = tuple[str, ...]


class Metric(NamedTuple):
    """`name` as it is scraped, but for the _bucket, _sum and _count of a histogram."""

    name: str
    kind: str  # counter, gauge, histogram
    labels: Labels
    help: str


METRICS = {
    metric.name: metric for metric in (
        Metric("sagarun_runs_started_total", "counter", ("workflow", "version"), "Runs that began."),
        Metric("sagarun_runs_finished_total", "counter", ("workflow", "version", "status"), "Runs that ended."),
        Metric("sagarun_runs_active", "gauge", ("workflow", "state"), "Runs that are not over."),
        Metric("sagarun_runs_stuck", "gauge", ("workflow",), "Runs that wait for a person."),
        Metric("sagarun_runs_became_stuck_total", "counter", ("workflow",), "How often a run came to need a person."),
        Metric("sagarun_run_duration_seconds", "histogram", ("workflow", "status"), "From start to end of a run."),
        Metric("sagarun_step_schedule_to_start_seconds", "histogram", ("queue",), "From dispatch to claim of a task."),
        Metric("sagarun_step_duration_seconds", "histogram", ("workflow", "step", "phase", "outcome"),
               "From claim to end of an attempt."),
        Metric("sagarun_step_attempts_total", "counter", ("workflow", "step", "phase", "outcome", "error_type"),
               "Attempts that ended."),
        Metric("sagarun_step_retries_total", "counter", ("workflow", "step", "phase"), "Attempts that follow another."),
        Metric("sagarun_compensations_total", "counter", ("workflow", "outcome"), "Steps undone, or not."),
        Metric("sagarun_queue_depth", "gauge", ("queue",), "Tasks that wait."),
        Metric("sagarun_queue_oldest_age_seconds", "gauge", ("queue",), "How long the first of them has waited."),
        Metric("sagarun_queue_inflight", "gauge", ("queue",), "Tasks that run."),
        Metric("sagarun_workers", "gauge", ("queue",), "Living processes that serve the queue."),
        Metric("sagarun_worker_slots", "gauge", ("state",), "Tasks that living worker processes take at once."),
        Metric("sagarun_processes", "gauge", ("kind",), "Living processes."),
        Metric("sagarun_process_memory_bytes", "gauge", ("kind",), "Memory of living processes and their children."),
        Metric("sagarun_process_cpu_cores", "gauge", ("kind",), "Cores that the living processes keep busy."),
        Metric("sagarun_error_patterns", "gauge", ("state",), "Patterns of errors that are kept."),
        Metric("sagarun_alerts_firing", "gauge", ("alert",), "1 while an alert of sagarun.yaml fires."),
        Metric("sagarun_figures_untold_total", "counter", (), "Counts with too many names to be told apart."),
        Metric("sagarun_build_info", "gauge", ("version",), "The version that answers."),
    )
}  # fmt: skip

# Of every other doubling from 1 ms to 18 hours: the ends of buckets that are counted, so nothing is lost between them.
LE_MS = tuple(BOUNDS_MS[exponent * STEPS] for exponent in range(0, 27, 2))


class Histogram:
    """Counted in the buckets of figures, said in those of LE_MS."""

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()
        self.micros = 0

    def add(self, bucket: str, count: int) -> None:
        if bucket == series.SUM:
            self.micros += count
        else:
            self.buckets[int(bucket)] += count

    def said(self) -> list[tuple[str, float]]:
        """Cumulative, by their upper ends in seconds."""
        found = []
        for place, ms in enumerate(LE_MS):
            last = 2 * STEPS * place
            found.append((str(ms / 1000), float(sum(n for bucket, n in self.buckets.items() if bucket <= last))))
        return [*found, ("+Inf", float(self.buckets.total()))]


class Samples:
    """Values by metric and labels; of each label set the sum."""

    def __init__(self) -> None:
        self.values: dict[str, dict[Labels, float]] = {name: {} for name in METRICS}
        self.histograms: dict[str, dict[Labels, Histogram]] = defaultdict(lambda: defaultdict(Histogram))

    def add(self, metric: str, labels: Iterable[str], value: float) -> None:
        key = tuple(labels)
        self.values[metric][key] = self.values[metric].get(key, 0.0) + value


def read_samples(store: Store, version: str) -> Samples:
    """Everything that is scraped, as the store has it now."""
    samples, figures = Samples(), store.figures()
    for each, count in series.read(figures.counts):
        _count(samples, each.kind, each.labels, count)
    for queue in store.queues():
        samples.add("sagarun_queue_depth", (queue.name,), queue.depth)
        age_ms = max(0, figures.until_ms - queue.oldest_at_ms) if queue.oldest_at_ms else 0
        samples.add("sagarun_queue_oldest_age_seconds", (queue.name,), age_ms / 1000)
        samples.add("sagarun_queue_inflight", (queue.name,), queue.running)
    _processes(samples, store, figures.until_ms)
    for group in store.fault_groups():
        samples.add("sagarun_error_patterns", ("regressed" if group.regressed_at_ms else group.state,), 1)
    for alert in store.alerts():
        samples.add("sagarun_alerts_firing", (alert.name,), int(alert.firing))
    samples.add("sagarun_build_info", (version,), 1)
    samples.add("sagarun_figures_untold_total", (), 0)
    return samples


def _count(samples: Samples, kind: str, labels: Labels, count: int) -> None:
    match kind, labels:
        case series.STARTED, _:
            samples.add("sagarun_runs_started_total", labels, count)
        case series.FINISHED, _:
            samples.add("sagarun_runs_finished_total", labels, count)
        case series.LIVE, (workflow, status):
            samples.add("sagarun_runs_active", labels, count)
            if status == "stuck":
                samples.add("sagarun_runs_stuck", (workflow,), count)
        case series.STUCK, _:
            samples.add("sagarun_runs_became_stuck_total", labels, count)
        case series.LASTED, (workflow, status, bucket):
            samples.histograms["sagarun_run_duration_seconds"][workflow, status].add(bucket, count)
        case series.QUEUED, (queue, _, bucket):
            samples.histograms["sagarun_step_schedule_to_start_seconds"][(queue,)].add(bucket, count)
        case series.TOOK, (workflow, step, phase, _, outcome, bucket):
            name = "sagarun_step_duration_seconds"
            samples.histograms[name][workflow, step, phase, outcome].add(bucket, count)
            if outcome == "completed" and bucket != series.SUM:
                samples.add("sagarun_step_attempts_total", (workflow, step, phase, outcome, ""), count)
        case series.FAILED, (workflow, step, phase, _, outcome, _, type_):
            samples.add("sagarun_step_attempts_total", (workflow, step, phase, outcome, type_), count)
        case series.RETRIED, (workflow, step, phase, _):
            samples.add("sagarun_step_retries_total", (workflow, step, phase), count)
        case series.UNDONE, _:
            samples.add("sagarun_compensations_total", labels, count)
        case series.OTHER, _:
            samples.add("sagarun_figures_untold_total", (), count)


def _processes(samples: Samples, store: Store, now_ms: int) -> None:
    living = [each for each in store.processes() if now_ms - each.seen_at_ms < ALIVE_MS]
    for queue in _published(store):
        samples.add("sagarun_workers", (queue,), 0)
    for kind in ("engine", "worker"):
        samples.add("sagarun_processes", (kind,), sum(each.kind == kind for each in living))
    for each in living:
        for queue in each.queues:
            samples.add("sagarun_workers", (queue,), 1)
        _vitals(samples, each)


def _vitals(samples: Samples, process: ProcessInfo) -> None:
    vitals = process.vitals
    if vitals is None:
        return
    samples.add("sagarun_process_memory_bytes", (process.kind,), vitals.rss_bytes)
    samples.add("sagarun_process_cpu_cores", (process.kind,), vitals.cpu_share)
    if vitals.slots:
        samples.add("sagarun_worker_slots", ("used",), process.held)
        samples.add("sagarun_worker_slots", ("free",), max(0, vitals.slots - process.held))


def _published(store: Store) -> Sequence[str]:
    """Queues of the workers that are known: one that nobody serves is to be seen."""
    contracts: Mapping[str, bytes] = store.get_workers()
    return sorted({msgspec.json.decode(contract).get("queue") or name for name, contract in contracts.items()})


def exposition(store: Store, version: str) -> bytes:
    """The text that Prometheus reads. Raises StoreError, and ConfigError without the extra [metrics]."""
    samples = read_samples(store, version)
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError:
        raise ConfigError("metrics need prometheus-client\npip install 'sagarun[metrics]'") from None

    class Collector:
        def collect(self) -> Iterator[Any]:
            return _families(samples)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry)


def _families(samples: Samples) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    for metric in METRICS.values():
        if metric.kind == "histogram":
            family: Any = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for labels, histogram in sorted(samples.histograms[metric.name].items()):
                family.add_metric(labels, buckets=histogram.said(), sum_value=histogram.micros / 1e6)
        else:
            make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = make(metric.name, metric.help, labels=metric.labels)
            for labels, value in sorted(samples.values[metric.name].items()):
                family.add_metric(labels, value)
        yield family
