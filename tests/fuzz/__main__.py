"""Checks wrong files by the thousand: `python -m tests.fuzz --number 100000 --seed 0 --processes 2`.

Each process has 512 MiB of address space. The exit status is 1 if a file ended in a traceback, took more than a second
of processor time, or ended a process. `--show SEED` writes one file to the standard output.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.batches import CHUNK, run
from tests.fuzz.judge import sources
from tests.fuzz.mutate import mutated


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--show", type=int, help="write the file of this seed, and check nothing")
    given = parser.parse_args()
    if given.show is not None:
        sys.stdout.buffer.write(mutated(given.show, sources()))
        return 0
    began = time.monotonic()
    results, ended = run(given.seed, given.number, given.processes)
    bad = [result for result in results if result.fault]
    for result in bad[:20]:
        print(f"seed {result.seed}: {result.fault}")
    for first in ended:
        print(f"a process ended in the {CHUNK} files from seed {first} on")
    slowest = max(results, key=lambda result: result.seconds)
    sound = sum(not result.problems for result in results)
    print(
        f"{len(results):,} files from seed {given.seed} on, {sound:,} of them sound, "
        f"{sum(result.problems for result in results):,} problems; {len(bad)} faults, {len(ended)} processes ended"
    )
    print(
        f"processor time: {sum(result.seconds for result in results):,.0f} s in all, at most {slowest.seconds:.2f} s "
        f"(seed {slowest.seed}); {time.monotonic() - began:,.0f} s on the wall"
    )
    return 1 if bad or ended else 0


if __name__ == "__main__":
    sys.exit(main())
