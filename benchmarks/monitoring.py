"""What monitoring costs: throughput and CPU with figures on against off, in pairs, in one run.

    python benchmarks/monitoring.py [--rounds 5] [--runs 5000] [--tier standard] [--json]

Each round measures both, one after the other on fresh servers and in changing order, so that whatever else the machine
does meets both. The verdict is the median of the rounds' ratios; the exit code is 1 if it costs more than the limit.
Needs the extra [bench]; README.md beside this file says how to read what it prints.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from statistics import median

from contest import sagarun_side
from contest.contender import Contender, Measurement
from contest.server import APPENDFSYNC, Server

from runner.store.redis_store import RedisStore

LIMIT = 0.10  # of throughput
SETTINGS = {"on": "", "off": "monitor: {figures: false}\n"}
MAX_ROUNDS, MAX_RUNS = 50, 100_000


def main() -> int:
    options = arguments()
    measured: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="sagarun-bench-") as folder:
        for number in range(1, options.rounds + 1):
            for side in sorted(SETTINGS, reverse=number % 2 == 0):
                measured.append(measure(options, side, Path(folder) / f"{number}-{side}"))
                one = measured[-1]
                print(f"{number}/{options.rounds} figures {side}: {one.per_second:,.0f} workflows/s", file=sys.stderr)
    if options.json:
        print(json.dumps([asdict(one) for one in measured], indent=2))
        return 0
    return report(options, measured)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rounds", type=int, choices=range(1, MAX_ROUNDS + 1), metavar="N", default=5, help="pairs")
    parser.add_argument("--runs", type=int, default=5000, help=f"workflows a measurement, at most {MAX_RUNS:,}")
    parser.add_argument("--tier", choices=list(APPENDFSYNC), default="standard", help="durability")
    parser.add_argument("--server", type=Path, default=sagarun_side.server_binary(), help="the server's binary")
    parser.add_argument("--json", action="store_true", help="every measurement, as JSON")
    options = parser.parse_args()
    if not 1 <= options.runs <= MAX_RUNS:
        parser.error(f"--runs: {options.runs} is not between 1 and {MAX_RUNS:,}")
    return options


def measure(options: argparse.Namespace, name: str, scratch: Path) -> Measurement:
    with (
        Server(options.server, scratch / "server", options.tier) as server,
        closing(RedisStore.connect(server.url, namespace=sagarun_side.NAMESPACE)) as store,
    ):
        side = sagarun_side.side(
            server, options.tier, scratch, store.count_live, name=name, settings=SETTINGS[name]
        )
        with Contender(side, server, scratch) as contender:
            found = contender.measure(options.tier, options.runs, 0)
        counted = store.figures().counts
        if bool(counted) is not (name == "on"):
            raise RuntimeError(f"figures {name}: {len(counted)} were counted")
        return found


def report(options: argparse.Namespace, measured: Sequence[Measurement]) -> int:
    on, off = ([one for one in measured if one.side == side] for side in ("on", "off"))
    print(f"five no-op steps, {options.tier}, {options.runs:,} workflows a measurement, {options.rounds} pairs")
    print(f"{'':38}{'figures off':>13}{'figures on':>13}{'cost':>10}  (of each pair)")
    costs = row("workflows/s", [one.per_second for one in off], [one.per_second for one in on], falls=True)
    row("CPU seconds per 1,000 workflows", [cpu(one) for one in off], [cpu(one) for one in on])
    for group in off[0].cpu_per_1000:
        row(f"  of these, {group}", [o.cpu_per_1000[group] for o in off], [o.cpu_per_1000[group] for o in on])
    row("Redis commands per workflow", [o.commands_per_workflow for o in off], [o.commands_per_workflow for o in on])
    verdict = "less" if costs < LIMIT else "NOT less"
    print(f"monitoring costs {costs:.1%} of throughput, {verdict} than {LIMIT:.0%}")
    return 0 if costs < LIMIT else 1


def cpu(one: Measurement) -> float:
    return sum(one.cpu_per_1000.values())


def row(name: str, off: Sequence[float], on: Sequence[float], *, falls: bool = False) -> float:
    """Prints medians and the median cost of the pairs, which it answers."""
    costs = [1 - b / a if falls else b / a - 1 for a, b in zip(off, on, strict=True)]
    form = "{:,.0f}" if falls else "{:.3f}" if median(off) < 10 else "{:.1f}"
    spread = f"({min(costs):+.1%} to {max(costs):+.1%})"
    print(f"{name:38}{form.format(median(off)):>13}{form.format(median(on)):>13}{median(costs):>+10.1%}  {spread}")
    return median(costs)


if __name__ == "__main__":
    sys.exit(main())
