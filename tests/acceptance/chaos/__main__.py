"""Real engines, workers and a server under kill -9 and SIGSTOP, and a verdict. Exit code 1 if anything is wrong.

    python -m tests.acceptance.chaos --runs 10000 --seed 1 --seed 2 --seed 3

Asked to end, it takes its processes and its folder with it. Killed, its processes end with it, and the next one removes
the folder.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from runner.store.process_lock import ProcessLock, is_dead
from tests.acceptance.chaos.conductor import Result, Settings, play
from tests.acceptance.chaos.recovery import summary
from tests.acceptance.chaos.verdict import KINDS, counted

SHOWN = 20
PREFIX = "chaos-"
LOCK = "conductor"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Of one chaos, gone afterwards; those that killed ones have left are removed as well."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}.lock"):
        if is_dead(lock):
            print(f"removing {lock.parent}, left by a chaos that was killed", flush=True)
            shutil.rmtree(lock.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, ProcessLock(Path(name), LOCK):
        try:
            yield Path(name)
        finally:
            end_descendants()


def end_descendants() -> None:
    """Also those that were being started when the signal came, which nobody has noted yet: what still writes into the
    folder would keep it from going. Stopped first, so that none starts another one meanwhile."""
    found: list[psutil.Process] = []
    while found != (found := psutil.Process().children(recursive=True)):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found)


def report(result: Result) -> Iterator[str]:
    """The table of one seed."""
    settings, roots = result.settings, result.account.roots
    lease = f"{settings.lease_ms} ms" if settings.lease_ms else "those of sagarun"
    yield f"seed {settings.seed}: {settings.runs} runs, a blow every {settings.every_s:g} s, leases: {lease}"
    endings = Counter(run.status for run in roots.values())
    failing = sum(1 for run in result.planned if run.fail)
    yield f"  {failing} were to fail; {len(result.account.children)} child runs; " + ", ".join(
        f"{count} {status}" for status, count in sorted(endings.items())
    )
    everything = [*roots.values(), *result.account.children]
    attempts = Counter(number for run in everything for number in run.attempts)
    yield f"  {sum(attempts.values())} operations, {sum(key * value for key, value in attempts.items())} attempts " + (
        f"(at most {max(attempts, default=0)} of one), {sum(run.lost for run in everything)} lost with their process, "
        f"{sum(map(len, result.account.effects.values()))} rows in the ledger"
    )
    yield f"  {sum(result.struck.values())} blows in {result.struck_for_s:.0f} s: " + ", ".join(
        f"{count} {what}" for what, count in sorted(result.struck.items())
    ) + f"; {result.missed} found nobody at work"
    yield f"  ended by themselves: {dict(result.exits) or 'none'}; starts asked for again: {result.started_again}"
    yield "  time to recovery            timed   p50     p95     max    (nothing in hand)"
    for what, count, *times in summary(result.recovery):
        shown = "".join(f"{each:7.2f}s" for each in times)
        yield f"    {what:<24}{count:>6}{shown}{result.idle.get(what, 0) or '':>10}"
    yield f"  all over {result.tail_s:.1f} s after the last blow"
    counts = counted(result.findings)
    yield from (f"  {counts[kind]:>5}  {meaning}" for kind, meaning in KINDS.items())
    yield from (f"  ! {finding}" for finding in result.findings[:SHOWN])
    yield from (f"  ! {trouble}" for trouble in result.troubles)
    yield f"  verdict: {'nothing wrong' if result.is_good else 'WRONG'}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, action="append", help="may be repeated; default: 1")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between blows")
    parser.add_argument("--lease", type=float, default=0, help="seconds; default: the leases of sagarun as it is")
    parser.add_argument("--window", type=int, default=300, help="runs under way at once")
    parser.add_argument("--engines", type=int, default=2)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--no-barrier", action="store_true", help="to see that the verdict finds what that does")
    parser.add_argument("--dump", type=Path, default=Path("chaos-dump"), help="where to write what went wrong")
    given = parser.parse_args()
    end_in_order()
    is_good = True
    for seed in given.seed or [1]:
        settings = Settings(
            runs=given.runs, seed=seed, every_s=given.every, lease_ms=int(given.lease * 1_000), window=given.window,
            engines=given.engines, workers=given.workers, has_barrier=not given.no_barrier, dump_to=given.dump,
        )  # fmt: skip
        with folder() as place:
            result = play(settings, place)
        print("\n".join(report(result)), flush=True)
        is_good = is_good and result.is_good
    return 0 if is_good else 1


def end_in_order() -> None:
    """When asked to: the processes end, the folder goes."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    print(f"ended by {signal.Signals(number).name}: no verdict", flush=True)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
