"""Which schedule notices each mutant: `python -m tests.simulation.teeth --budget 400`, and with `--lua` on a server.

Schedules are played with a mutant until one is violated. One that nobody notices within the budget is either a rule
that the others make superfluous, or something that no schedule does; the exit status says that there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.simulation.mutants import LUA_MUTANTS, MUTANTS, Mutant, applied, applied_in_lua
from tests.simulation.on_server import check_on_server, server_of
from tests.simulation.schedule import simulate

BUDGET = 600
BITES = Path(__file__).parent / "bites.txt"


class Bite(NamedTuple):
    """`seed` None: not noticed."""

    mutant: Mutant
    seed: int | None
    schedules: int
    by: str
    what: str


def hunt(mutant: Mutant, *, budget: int = BUDGET, first: int = 0) -> Bite:
    with applied(mutant):
        for number in range(budget):
            result = simulate(first + number)
            if result.violation is not None:
                return Bite(mutant, first + number, number + 1, result.name, " ".join(str(result.violation).split()))
    return Bite(mutant, None, budget, "", "")


def known_bites() -> dict[str, int]:
    """By the mutant's name: a seed that noticed it once. The tests begin with it."""
    pairs = (line.partition(" ") for line in BITES.read_text().splitlines() if not line.startswith("#"))
    return {name: int(seed) for seed, _, name in pairs}


def keep(bite: Bite) -> None:
    known = {**known_bites(), bite.mutant.name: bite.seed}
    lines = "".join(f"{seed} {name}\n" for name, seed in known.items())
    BITES.write_text(f"# Where to look first for a mutant; any other seed will do. Written by teeth.py.\n{lines}")


def hunt_on_server(mutant: Mutant, url: str, *, budget: int = BUDGET, first: int = 0) -> Bite:
    for number in range(budget):
        with applied_in_lua(mutant):
            result = check_on_server(first + number, url)
        if result.violation is not None:
            return Bite(mutant, first + number, number + 1, result.name, " ".join(str(result.violation).split()))
    return Bite(mutant, None, budget, "", "")


def hunts(asked: argparse.Namespace) -> Iterator[Bite]:
    wanted = asked.only.lower()
    if not asked.lua:
        yield from (hunt(each, budget=asked.budget) for each in MUTANTS if wanted in each.name.lower())
        return
    with server_of(asked.store) as url:
        for each in LUA_MUTANTS:
            if wanted in each.name.lower():
                yield hunt_on_server(each, url, budget=asked.budget)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--lua", action="store_true", help="change the scripts, and compare a server with memory")
    parser.add_argument("--store", choices=("valkey", "redis"), default="valkey")
    parser.add_argument("--keep", action="store_true", help="note in bites.txt which seed it was")
    parser.add_argument("--only", default="", help="mutants whose name has this in it")
    asked = parser.parse_args()
    survivors = count = 0
    print("| without this rule | noticed after | by |\n|---|---|---|")
    began = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):
        for bite in hunts(asked):
            count += 1
            survivors += bite.seed is None
            if bite.seed is not None and asked.keep:
                keep(bite)
            after = "**not noticed**" if bite.seed is None else str(bite.schedules)
            print(f"| {bite.mutant.name} | {after} | {bite.by}: {bite.what[:90].replace('|', '/')} |", flush=True)
    took_s = time.monotonic() - began
    print(f"\n{count} mutants, {survivors} not noticed within {asked.budget} schedules; {took_s:.0f} s")
    return bool(survivors)


if __name__ == "__main__":
    sys.exit(main())
