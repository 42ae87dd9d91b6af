"""Statistics as lines of text: tables with a title, and the health rule they follow. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from runner.cli.screen import Line
from runner.cli.wording import columns, duration, moment
from runner.figures.buckets import WIDTH
from runner.monitor.performance_shapes import ProcessStats, QueueStats, Stats, Times, WorkerStats, WorkflowStats

HEALTH_STYLES = {"healthy": "green", "degraded": "yellow", "failing": "bold red", "inactive": "dim"}
Row = Sequence[Line | str]


def stats_lines(stats: Stats, *, verbose: bool = False) -> list[Line | str]:
    """`verbose`: what did nothing, and the health rule, as well."""
    lines: list[Line | str] = [_title(
        f"{'since ever' if stats.window == 'all' else 'last ' + stats.window}: "
        f"{moment(stats.since_ms)} to {moment(stats.until_ms)}"
    )]
    for title, rows in (
        ("workflows", _workflow_rows(stats.workflows)), ("workers", _worker_rows(stats.workers, verbose)),
        ("queues", queue_rows(stats.queues, verbose=verbose)),
        ("processes", process_rows(stats.processes, stats.until_ms)),
    ):
        lines += ["", _title(title), *columns(list(rows))]
    lines += ["", *_verdict(stats)]
    lines.append(f"times: p50 / p95 / p99, at most {WIDTH:.0%} too high; -v says what health means")
    if stats.uncounted:
        lines.append(f"{stats.uncounted:,} counts had too many different names to be told apart")
    if verbose:
        lines += ["", f"health: {stats.health_rule}"]
    return lines


def _title(text: str) -> Line:
    return [(text, "bold")]


def _verdict(stats: Stats) -> Iterator[Line | str]:
    if stats.problems:
        by_name = {each.worker: each for each in stats.workers}
        for name in stats.problems:
            each = by_name[name]
            yield [("! ", "bold red"), (f"{name}: {each.why}", "")]
            for error in each.last_errors:
                if error.kind == "business":  # an answer: no problem of the worker
                    continue
                sample = f"; sagarun show {error.run_id}" if error.run_id else ""
                message = f": {error.message[:100]}" if error.message not in ("", error.type) else ""
                yield f"    {moment(error.last_at_ms)}  {error.type}{message}{sample}"
    else:
        yield [("✔ ", "green"), ("no worker has a problem", "")]
    if stats.best:
        yield f"best workers: {', '.join(stats.best)}"
    if stats.slowest:
        took = {each.worker: each.processing.p95_ms or 0 for each in stats.workers}
        slowest = ", ".join(f"{name} ({duration(took[name])})" for name in stats.slowest)
        yield f"slowest workers, by p95: {slowest}"


def _counts(counts: Mapping[str, int]) -> str:
    return "  ".join(f"{count:,} {name}" for name, count in counts.items()) or "-"


def times_text(times: Times) -> str:
    found = [duration(ms) for ms in (times.p50_ms, times.p95_ms, times.p99_ms) if ms is not None]
    return " / ".join(found) or "-"


def _head(*names: str) -> Row:
    return [[(name, "dim")] for name in names]


def _workflow_rows(workflows: Sequence[WorkflowStats]) -> Iterator[Row]:
    if not workflows:
        yield ["  none has run"]
        return
    yield _head("  workflow", "started", "/min", "finished", "under way", "success", "duration", "retries", "undone")
    for each in workflows:
        success = "-" if each.success is None else f"{each.success:.1%}"
        yield [
            f"  {each.workflow}", f"{each.started:,}", f"{each.per_minute:g}", _counts(each.finished),
            _counts(each.live), success, times_text(each.duration), f"{each.retries:,}", _counts(each.undone),
        ]


def _idle(count: int) -> Row:
    return [f"  {count} more did nothing; -v lists them"]


def _worker_rows(workers: Sequence[WorkerStats], verbose: bool) -> Iterator[Row]:
    shown = [each for each in workers if verbose or each.attempts or each.health not in ("healthy", "inactive")]
    if not shown:
        yield [f"  none of {len(workers)} did anything; -v lists them" if workers else "  none is known"]
        return
    yield _head(
        "  worker", "health", "ok", "failed", "unknown", "/min", "waited", "took", "retries", "last", "errors"
    )
    for each in shown:
        yield [
            f"  {each.worker}", [(each.health, HEALTH_STYLES[each.health])], f"{each.completed:,}", f"{each.failed:,}",
            f"{each.unknown:,}", f"{each.per_minute:g}", times_text(each.queue_time), times_text(each.processing),
            f"{each.retries:,}", moment(each.last_ended_at_ms)[11:] or "-",
            _counts(dict(list(each.errors.items())[:3])) if each.errors else "",
        ]
    if len(shown) < len(workers):
        yield _idle(len(workers) - len(shown))


def queue_rows(queues: Sequence[QueueStats], *, verbose: bool = False) -> Iterator[Row]:
    shown = [each for each in queues if verbose or each.depth or each.in_flight or each.queue_time.count]
    if not shown:
        yield [f"  nothing waits or runs in {len(queues)} queues; -v lists them" if queues else "  none is known"]
        return
    yield _head("  queue", "waiting", "oldest", "in flight", "/min", "waited", "served by")
    for each in shown:
        served = "1 process" if len(each.processes) == 1 else f"{len(each.processes)} processes"
        nobody = [(served, "bold red" if each.depth else "dim")] if not each.processes else served
        yield [
            f"  {each.queue}", f"{each.depth:,}", duration(each.oldest_ms) if each.oldest_ms else "-",
            f"{each.in_flight:,}", f"{each.per_minute:g}", times_text(each.queue_time), nobody,
        ]
    if len(shown) < len(queues):
        yield _idle(len(queues) - len(shown))


def process_rows(processes: Sequence[ProcessStats], now_ms: int) -> Iterator[Row]:
    if not processes:
        yield ["  none runs"]
        return
    yield _head(
        "  process", "kind", "up", "seen", "memory", "cpu", "in flight", "ok", "failed", "unknown", "/min", "took"
    )
    for each in processes:
        seen = f"{duration(max(0, now_ms - each.seen_at_ms))} ago"
        vitals = each.vitals
        slots = f" of {vitals.slots}" if vitals and vitals.slots else ""
        yield [
            f"  {each.process}", each.kind, duration(max(0, now_ms - each.started_at_ms)),
            seen if each.alive else [(f"silent, {seen}", "bold red")],
            f"{vitals.rss_bytes / 1_048_576:.0f} MiB" if vitals else "-", f"{vitals.cpu_share:.0%}" if vitals else "-",
            f"{each.in_flight}{slots}", f"{each.completed:,}", f"{each.failed:,}", f"{each.unknown:,}",
            f"{each.per_minute:g}", times_text(each.processing),
        ]
