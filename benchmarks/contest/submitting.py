"""The submitter's side of the conversation with the harness: a line in, a line of JSON out.

    many N    start N workflows as fast as the system allows     -> {"began_ns": …, "ended_ns": …}
    alone N   N workflows, one at a time, each awaited to its end -> {"last_step_ms": […], "result_ms": […]}

Standard library only: both sides import it. It is a process of its own, so that its CPU time can be told apart.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from contest import tally

PAUSE_S = 0.02  # between two workflows alone, so that every part has gone idle
POLL_S = 0.0003  # how soon the submitter notices; the time itself comes from the tally
PATIENCE_S = 30.0


def serve(start_many: Callable[[int], None], start_one: Callable[[], Callable[[], None] | None]) -> None:
    """Answer until the input ends. `start_one` may return what awaits the workflow's recorded result."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        verb, number = line.split()
        answer = _many(start_many, int(number)) if verb == "many" else _alone(start_one, int(number))
        print(json.dumps(answer), flush=True)


def _many(start_many: Callable[[int], None], number: int) -> dict[str, int]:
    began_ns = time.monotonic_ns()
    start_many(number)
    return {"began_ns": began_ns, "ended_ns": time.monotonic_ns()}


def _alone(start_one: Callable[[], Callable[[], None] | None], number: int) -> dict[str, list[float]]:
    path = Path(os.environ[tally.ENVIRONMENT])
    last_step_ms, result_ms = [], []
    for _ in range(number):
        expected = tally.count(path) + 1
        began_ns = time.monotonic_ns()
        result = start_one()
        if result is not None:
            result()
            result_ms.append((time.monotonic_ns() - began_ns) / 1e6)
        _await_count(path, expected)
        last_step_ms.append((tally.last_ns(path) - began_ns) / 1e6)
        time.sleep(PAUSE_S)
    return {"last_step_ms": last_step_ms, "result_ms": result_ms}


def _await_count(path: Path, expected: int) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while tally.count(path) < expected:
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"one workflow alone did not end within {PATIENCE_S:.0f} s")
        time.sleep(POLL_S)
