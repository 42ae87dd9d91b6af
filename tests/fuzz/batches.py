"""Many files on several processes, each with little memory. What ends a process is found by the files that it had."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from tests.fuzz.judge import Result, judged, limit_memory, sources

CHUNK = 500  # files that a process takes at once
TOLD = 10_000  # files between two words of progress


def checked(first: int, number: int) -> list[Result]:
    return list(judged(range(first, first + number), sources()))


def run(seed: int, number: int, processes: int) -> tuple[list[Result], list[int]]:
    """The results, and the first seeds of the chunks that ended their process."""
    chunks = [(first, min(CHUNK, seed + number - first)) for first in range(seed, seed + number, CHUNK)]
    results: list[Result] = []
    ended: list[int] = []
    context = multiprocessing.get_context("spawn")
    while chunks:
        with ProcessPoolExecutor(processes, mp_context=context, initializer=limit_memory) as pool:
            waiting = {chunk: pool.submit(checked, *chunk) for chunk in chunks}
            for chunk, future in waiting.items():
                try:
                    results += future.result()
                    chunks.remove(chunk)
                    if len(results) % TOLD == 0:
                        faults = sum(bool(result.fault) for result in results)
                        print(f"{len(results):,} files, {faults} faults so far", file=sys.stderr, flush=True)
                except BrokenProcessPool:
                    ended.append(chunk[0])
                    chunks.remove(chunk)
                    break
    return results, ended
