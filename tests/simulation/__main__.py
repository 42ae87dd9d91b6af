"""Plays schedules and says what came of them: `python -m tests.simulation --number 10000 --seed 1 --processes 2`.

A seed that violates something is written to seeds.txt, for ever, and its story is told with nothing in it that the
violation does not need. The exit status is 1 if there was one. `--store valkey` or `redis` plays on a real server too.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.simulation.on_server import check_on_server, server_of
from tests.simulation.schedule import Result, draw_plot, play, shrink, simulate
from tests.simulation.story import tell

SEEDS = Path(__file__).parent / "seeds.txt"
CHUNK = 50


def kept_seeds() -> list[int]:
    """Every seed that ever showed something."""
    lines = SEEDS.read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def keep(result: Result) -> None:
    if result.seed not in kept_seeds():
        with SEEDS.open("a") as file:
            file.write(f"{result.seed} {result.name}: {' '.join(str(result.violation).split())[:100]}\n")


def story_of(seed: int) -> str:
    """The smallest plot with the same violation, and what happened in it."""
    plot = draw_plot(seed)
    name = play(plot)[0].name
    plot = shrink(plot, lambda smaller: play(smaller)[0].name == name)
    result, stage = play(plot)
    lines = [f"seed {seed}: {result.violation}", f"runs: {', '.join(run[0] for run in plot.runs)}"]
    lines += [str(part) for part in (*plot.acts, *plot.faults)]
    lines += tell(stage.server.trace)
    lines += [f"{at_ms / 1000:9.3f} s  outside      {what}" for at_ms, what in stage.outside.log]
    return "\n".join(lines)


def in_parallel(seeds: range, processes: int) -> Iterator[Result]:
    if processes == 1:
        yield from map(simulate, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(simulate, seeds, CHUNK)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--store", choices=("memory", "valkey", "redis"), default="memory")
    parser.add_argument("--story", action="store_true", help="tell the story of one seed, and nothing else")
    asked = parser.parse_args()
    if asked.story:
        print(story_of(asked.seed))
        return 0
    seeds = range(asked.seed, asked.seed + asked.number)
    if asked.store != "memory":
        with server_of(asked.store) as url:
            return report(seeds, (check_on_server(seed, url) for seed in seeds), f"{asked.store} and memory")
    return report(seeds, in_parallel(seeds, asked.processes), "memory")


def report(seeds: range, results: Iterator[Result], where: str) -> int:
    began, count, bad = time.monotonic(), 0, []
    totals: dict[str, Counter[str]] = {"faults": Counter(), "attempts": Counter(), "ends": Counter()}
    sums: Counter[str] = Counter()
    with contextlib.suppress(KeyboardInterrupt):
        for result in results:
            count += 1
            totals["faults"] += result.faults
            totals["attempts"] += result.fates
            for name, number in result.statuses.items():
                totals["ends"][name.partition(" ")[2] or "pending"] += number
            sums += Counter(calls=result.calls, virtual_ms=result.virtual_ms, rewound=result.rewound)
            if result.violation is not None:
                bad.append(result)
                print(f"VIOLATED by seed {result.seed}: {result.name}: {result.violation}", flush=True)
            if count % 5_000 == 0:
                print(f"… {count:,} schedules, {len(bad)} violations", flush=True)
    took_s = time.monotonic() - began
    print(f"seeds {seeds.start} to {seeds.start + count - 1} in {where}: {count:,} schedules in {took_s:.0f} s, "
          f"{sums['calls']:,} calls, {sums['virtual_ms'] / 3_600_000:,.0f} h of virtual time, "
          f"{sums['rewound']:,} runs rewound")  # fmt: skip
    for what, counter in totals.items():
        print(f"{what}: " + ", ".join(f"{name} {number:,}" for name, number in sorted(counter.items())))
    for result in bad:
        keep(result)
    if bad:
        print(story_of(bad[0].seed))
    print(f"verdict: {'NO VIOLATION' if not bad else f'{len(bad)} VIOLATIONS'}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
