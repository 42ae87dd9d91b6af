"""Throughput of five no-op steps, beside a Celery chain of five no-op tasks, on the same server with the same settings.

    python benchmarks/throughput.py [--rounds 3] [--runs 5000] [--tier strict] [--no-celery] [--json]

Each round starts a fresh server for each side, one after the other, so that whatever else the machine does meets both.
What is compared are medians of rounds, and their ratio. Counts (Redis commands, socket reads) hardly vary; times do.
Needs the extra [bench]; README.md beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from statistics import median

from contest import celery_side, sagarun_side
from contest.contender import STEPS, Contender, Measurement, Side
from contest.order import SIZE
from contest.server import APPENDFSYNC, Server

from runner.store.redis_store import RedisStore

# A Celery run of as many workflows as ours would take minutes; its rate does not depend on the number.
CELERY_SHARE = 10
MAX_ROUNDS, MAX_RUNS, MAX_ALONE = 20, 100_000, 500

Value = Callable[[Measurement], float | None]
ROWS: list[tuple[str, str, Value]] = [
    ("workflows/s", "{:,.0f}", lambda m: m.per_second),
    ("p50 of one alone, until its last step runs, ms", "{:.2f}", lambda m: m.alone_last_step_ms),
    ("p50 of one alone, until its result is back, ms", "{:.2f}", lambda m: m.alone_result_ms),
    ("Redis commands per workflow, with those in scripts", "{:.1f}", lambda m: m.commands_per_workflow),
    ("socket reads of Redis per step", "{:.3f}", lambda m: m.reads_per_step),
    ("CPU seconds per 1,000 workflows", "{:.2f}", lambda m: sum(m.cpu_per_1000.values())),
]


def main() -> int:
    options = arguments()
    celery = None if options.no_celery else celery_side.environment(rebuild=options.rebuild_celery)
    measured: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="sagarun-bench-") as folder:
        scratch = Path(folder)
        for tier in options.tier or list(APPENDFSYNC):
            for number in range(1, options.rounds + 1):
                measured.append(measure_sagarun(options, tier, scratch / f"{tier}-{number}-sagarun"))
                report_progress(options, number, measured[-1])
                if celery is not None:
                    measured.append(measure_celery(options, tier, scratch / f"{tier}-{number}-celery", celery))
                    report_progress(options, number, measured[-1])
        version = server_version(options, scratch)
    if options.json:
        print(json.dumps({"machine": machine(version), "measurements": [asdict(one) for one in measured]}, indent=2))
    else:
        print_tables(machine(version), measured)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=bounded(MAX_ROUNDS), default=3, help="measurements of each side and tier")
    parser.add_argument("--runs", type=bounded(MAX_RUNS), default=5000, help=f"workflows; Celery: 1/{CELERY_SHARE}")
    parser.add_argument("--alone", type=bounded(MAX_ALONE), default=50, help="workflows one at a time, for the latency")
    parser.add_argument("--tier", action="append", choices=list(APPENDFSYNC), help="one or both; default: both")
    parser.add_argument("--no-celery", action="store_true", help="only our side")
    parser.add_argument("--rebuild-celery", action="store_true", help="make Celery's virtual environment anew")
    parser.add_argument("--server", type=Path, default=sagarun_side.server_binary(), help="the server's binary")
    parser.add_argument("--json", action="store_true", help="every measurement, as JSON")
    return parser.parse_args()


def bounded(limit: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not 1 <= value <= limit:
            raise argparse.ArgumentTypeError(f"{value} is not between 1 and {limit:,}")
        return value

    return number


def measure_sagarun(options: argparse.Namespace, tier: str, scratch: Path) -> Measurement:
    with (
        Server(options.server, scratch / "server", tier) as server,
        closing(RedisStore.connect(server.url, namespace=sagarun_side.NAMESPACE)) as store,
    ):
        side = sagarun_side.side(server, tier, scratch, store.count_live)
        return measure(side, server, tier, options.runs, options.alone, scratch)


def measure_celery(options: argparse.Namespace, tier: str, scratch: Path, python: Path) -> Measurement:
    runs = max(200, options.runs // CELERY_SHARE)
    with Server(options.server, scratch / "server", tier) as server:
        return measure(celery_side.side(server, python), server, tier, runs, options.alone, scratch)


def measure(side: Side, server: Server, tier: str, runs: int, alone: int, scratch: Path) -> Measurement:
    with Contender(side, server, scratch) as contender:
        return contender.measure(tier, runs, alone)


def report_progress(options: argparse.Namespace, number: int, one: Measurement) -> None:
    print(
        f"{one.tier} {number}/{options.rounds} {one.side}: {one.per_second:,.0f} workflows/s ({one.workflows:,})",
        file=sys.stderr,
    )


def server_version(options: argparse.Namespace, scratch: Path) -> str:
    with Server(options.server, scratch / "version", "standard") as server:
        return server.version()


def machine(version: str) -> dict[str, object]:
    return {"server": version, "python": platform.python_version(), "cores": os.cpu_count(), "order_bytes": SIZE}


def print_tables(about: dict[str, object], measured: Sequence[Measurement]) -> None:
    print(
        f"{about['server']} · Python {about['python']} · {about['cores']} cores · "
        f"{STEPS} no-op steps · an order of {SIZE} bytes · 1 engine, 2 worker processes"
    )
    for tier, fsync in APPENDFSYNC.items():
        ours = [one for one in measured if one.tier == tier and one.side == "sagarun"]
        celery = [one for one in measured if one.tier == tier and one.side == "celery"]
        if ours:
            print(f"\n{tier} (appendfsync {fsync}), median of {len(ours)}, min–max in brackets")
            print(f"  {'':52}{'sagarun':>26}{'celery':>22}{'ratio':>18}" if celery else f"  {'':52}{'sagarun':>26}")
            for name, form, value in ROWS:
                print_row(name, form, [value(one) for one in ours], [value(one) for one in celery])
            for group in ours[0].cpu_per_1000:
                mine = [one.cpu_per_1000[group] for one in ours]
                theirs = [one.cpu_per_1000[group] for one in celery if group in one.cpu_per_1000]
                print_row(f"  of these, {group}", "{:.2f}", mine, theirs)


def print_row(name: str, form: str, ours: Sequence[float | None], celery: Sequence[float | None]) -> None:
    mine, theirs = [one for one in ours if one is not None], [one for one in celery if one is not None]
    line = f"  {name:52}{spread(form, mine):>26}{spread(form, theirs) if celery else '':>22}"
    if mine and theirs and median(theirs):
        rounds = [a / b for a, b in zip(mine, theirs, strict=False) if b]
        line += f"{median(mine) / median(theirs):>8.2f}× ({min(rounds):.2f}–{max(rounds):.2f})"
    print(line.rstrip())


def spread(form: str, values: Sequence[float]) -> str:
    if not values:
        return "–"
    low, middle, high = (form.format(value) for value in (min(values), median(values), max(values)))
    return f"{middle} ({low}–{high})"


if __name__ == "__main__":
    sys.exit(main())
