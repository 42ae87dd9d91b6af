"""Whether alerts fire, by the rules of sagarun.yaml and what the store has counted. Pure, but for `observe`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.definition.alert_settings import WINDOWS, AlertRule
from runner.figures import series
from runner.figures.buckets import percentile
from runner.monitor.patterns import is_spike
from runner.store.faults import FaultGroup
from runner.store.observations import Figures, QueueInfo
from runner.store.ports import Store

_END = re.compile(r",? (of|in|pattern)$")  # of what is said of a subject


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule found. `subject`: the workflow, worker, queue or pattern that is farthest beyond its bound."""

    rule: AlertRule
    firing: bool
    message: str
    subject: str = ""
    value: float | None = None  # as the rule's `above`; None: there was too little to say anything


@dataclass(frozen=True, slots=True)
class Observed:
    """What rules look at, read once for all of them."""

    ever: Figures
    windows: Mapping[str, Figures]
    queues: Sequence[QueueInfo]
    faults: Sequence[FaultGroup]


def observe(store: Store, rules: Iterable[AlertRule]) -> Observed:
    """Only what these rules need. Raises StoreError."""
    whens = {rule.when for rule in rules}
    windows = {rule.window for rule in rules if rule.when in ("failed_runs", "error_rate", "latency")}
    ever = store.figures()
    return Observed(
        ever, {window: store.figures(WINDOWS[window]) for window in windows},
        store.queues() if "queue_age" in whens else (),
        store.fault_groups(since_ms=ever.until_ms - 2 * 3_600_000) if "error_spike" in whens else (),
    )


def evaluate(rule: AlertRule, observed: Observed) -> Verdict:
    found, what = _RULES[rule.when](rule, observed)
    if not found:
        return Verdict(rule, False, f"{rule.name}: {_END.sub('', what)}: nothing to look at")
    subject, value = max(found.items(), key=lambda each: (each[1], each[0]))
    firing = value > rule.above
    bound = "" if rule.when == "error_spike" else f", {'more' if firing else 'not more'} than {_said(rule, rule.above)}"
    return Verdict(rule, firing, f"{rule.name}: {what} {subject}: {_said(rule, value)}{bound}", subject, value)


def _said(rule: AlertRule, value: float) -> str:
    if rule.when in ("failed_runs", "error_rate"):
        return f"{value:.0%}"
    if rule.when in ("latency", "queue_age"):
        return f"{value / 1000:,.1f} s"
    return f"{value:,.0f}"


Found = tuple[dict[str, float], str]  # value by subject, and what it is of


def _stuck_runs(rule: AlertRule, observed: Observed) -> Found:
    counts = {
        each.labels[0]: float(count) for each, count in series.read(observed.ever.counts)
        if each.kind == series.LIVE and each.labels[1] == "stuck" and rule.workflow in ("", each.labels[0])
    }
    return counts, "runs that need a person, of"


def _failed_runs(rule: AlertRule, observed: Observed) -> Found:
    ended: dict[str, int] = {}
    failed: dict[str, int] = {}
    for each, count in series.read(observed.windows[rule.window].counts):
        if each.kind == series.FINISHED and rule.workflow in ("", each.labels[0]):
            ended[each.labels[0]] = ended.get(each.labels[0], 0) + count
            if each.labels[2] != "completed":
                failed[each.labels[0]] = failed.get(each.labels[0], 0) + count
    shares = {name: failed.get(name, 0) / count for name, count in ended.items() if count >= rule.least}
    return shares, f"runs that did not complete in {rule.window}, of"


def _error_rate(rule: AlertRule, observed: Observed) -> Found:
    """Of attempts, by worker. A business error is an answer, not an error."""
    ended: dict[str, int] = {}
    wrong: dict[str, int] = {}
    for each, count in series.read(observed.windows[rule.window].counts):
        if each.kind not in (series.TOOK, series.FAILED) or each.labels[-1] == series.SUM:
            continue
        workflow, worker, outcome = each.labels[0], each.labels[3], each.labels[4]
        if rule.workflow not in ("", workflow) or rule.worker not in ("", worker):
            continue
        if each.kind == series.TOOK and outcome == "completed":
            ended[worker] = ended.get(worker, 0) + count
        elif each.kind == series.FAILED:
            ended[worker] = ended.get(worker, 0) + count
            wrong[worker] = wrong.get(worker, 0) + (count if each.labels[5] == "technical" else 0)
    shares = {name: wrong.get(name, 0) / count for name, count in ended.items() if count >= rule.least}
    return shares, f"technical errors in {rule.window}, of attempts of"


def _latency(rule: AlertRule, observed: Observed) -> Found:
    buckets: dict[int, int] = {}
    for each, count in series.read(observed.windows[rule.window].counts):
        of_worker = each.kind == series.TOOK and rule.worker and each.labels[3] == rule.worker
        of_workflow = each.kind == series.LASTED and rule.workflow and each.labels[0] == rule.workflow
        if (of_worker or of_workflow) and each.labels[-1] != series.SUM:
            buckets[int(each.labels[-1])] = buckets.get(int(each.labels[-1]), 0) + count
    ms = percentile(buckets, rule.percentile / 100) if sum(buckets.values()) >= rule.least else None
    found = {} if ms is None else {rule.worker or rule.workflow: ms}
    return found, f"p{rule.percentile} of the {'attempts' if rule.worker else 'runs'} in {rule.window} of"


def _queue_age(rule: AlertRule, observed: Observed) -> Found:
    now_ms = observed.ever.until_ms
    ages = {
        queue.name: float(max(0, now_ms - queue.oldest_at_ms)) if queue.oldest_at_ms else 0.0
        for queue in observed.queues if rule.queue in ("", queue.name)
    }
    return ages, "the oldest task waits in"


def _error_spike(rule: AlertRule, observed: Observed) -> Found:
    found: dict[str, float] = {}
    hour = observed.ever.until_ms // 3_600_000
    for group in observed.faults:
        is_meant = (not rule.workflow or f"workflow={rule.workflow}" in group.marks) and (
            not rule.worker or f"worker={rule.worker}" in group.marks
        )
        if is_meant and group.state != "ignored" and is_spike(group.hours, observed.ever.until_ms):
            found[group.group] = float(group.hours.get(hour, 0) + group.hours.get(hour - 1, 0))
    return found, "a spike of errors (sagarun errors), pattern"


_RULES = {
    "stuck_runs": _stuck_runs, "failed_runs": _failed_runs, "error_rate": _error_rate, "latency": _latency,
    "queue_age": _queue_age, "error_spike": _error_spike,
}  # fmt: skip
