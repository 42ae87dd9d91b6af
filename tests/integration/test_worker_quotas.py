"""Quotas for real: several worker processes on one server, one of them killed, and a ledger of what ran when.

Every attempt writes when it began and when it ended into one file, with the clock that all processes of a machine
share, and when the store says that it was claimed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from runner.errors import ConfigError
from runner.store.ports import Store
from runner.store.redis_store import RedisStore
from runner.worker.process import WorkerProcess
from runner.worker.uptime import uptime_s
from tests.servers import until
from tests.tasks import outcomes, seed

LEASE_MS = 2_000  # a process that cannot beat for so long, on a busy machine, kills what it runs
SLOTS = 4
RATE = 20  # in a second

WORKERS = f'''
import os, time
from runner import Context, worker
from runner.worker.uptime import uptime_s

def note(path, *words):
    with open(path, "a") as ledger:
        ledger.write(" ".join(str(word) for word in words) + "\\n")

def work(ctx, ledger, seconds):
    mark = f"{{ctx.run_id}}:{{ctx.attempt}}"
    note(ledger, "begin", mark, uptime_s(), ctx.metadata["claimed_at_ms"], os.getppid())
    time.sleep(seconds)
    while os.path.exists(ledger + ".hold"):
        time.sleep(0.01)
    note(ledger, "end", mark, uptime_s(), 0, os.getppid())

@worker("gate.few", max_concurrency={SLOTS})
def few(ctx: Context, ledger: str, seconds: float) -> None:
    work(ctx, ledger, seconds)

@worker("gate.slow", rate_limit="{RATE}/s")
def slow(ctx: Context, ledger: str, seconds: float) -> None:
    work(ctx, ledger, seconds)

@worker("gate.free")
def free(value: int) -> int:
    return value
'''
PROCESS = """
import sys
from runner.store.redis_store import RedisStore
from runner.worker.process import WorkerProcess

url, namespace, folder, lease_ms = sys.argv[1:]
sys.path.insert(0, folder)
WorkerProcess(RedisStore.connect(url, namespace=namespace), ["gate_workers"], lease_ms=int(lease_ms), beat_s=0.2).run(0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gate_workers.py").write_text(WORKERS)
    return tmp_path


@pytest.fixture
def store(valkey_url: str, namespace: str) -> Iterator[Store]:
    """It expires leases meanwhile, as an engine would have it do."""
    opened = RedisStore.connect(valkey_url, namespace=namespace, lease_ms=LEASE_MS)
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.05):
            opened.tick()

    thread = threading.Thread(target=tick)
    thread.start()
    yield opened
    stop.set()
    thread.join()
    opened.close()


Spawn = Callable[[int], list[subprocess.Popen[bytes]]]


@pytest.fixture
def spawn(valkey_url: str, store: Store, folder: Path) -> Iterator[Spawn]:
    """So many worker processes, which claim when it returns."""
    started: list[subprocess.Popen[bytes]] = []

    def spawn(count: int) -> list[subprocess.Popen[bytes]]:
        command = [sys.executable, "-c", PROCESS, valkey_url, store.namespace, str(folder), str(LEASE_MS)]
        started.extend(subprocess.Popen(command) for _ in range(count))
        until(lambda: len(store.processes()) == count, "the worker processes are there")
        return started

    yield spawn
    for process in started:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Span:
    """One attempt. `ended_s` is infinite for one that was killed."""

    mark: str
    began_s: float
    claimed_at_ms: int
    process: int
    ended_s: float


def spans(ledger: Path) -> list[Span]:
    lines = [line.split() for line in ledger.read_text().splitlines()] if ledger.exists() else []
    ends = {line[1]: float(line[2]) for line in lines if line[0] == "end"}
    return [
        Span(mark, float(at_s), int(claimed_at_ms), int(process), ends.get(mark, float("inf")))
        for kind, mark, at_s, claimed_at_ms, process in lines if kind == "begin"
    ]  # fmt: skip


def most_at_once(found: list[Span]) -> int:
    changes = sorted([(each.began_s, 1) for each in found] + [(each.ended_s, -1) for each in found])
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


def test_slots_hold_over_processes_also_when_one_is_killed(store: Store, spawn: Spawn, folder: Path):
    ledger = folder / "ledger"
    run_ids = seed(store, "gate.few", {"ledger": str(ledger), "seconds": 0.05}, count=80)
    processes = spawn(3)
    until(lambda: len(spans(ledger)) > 20, "work is under way")
    until(lambda: len(outcomes(store, run_ids)) == len(run_ids), "the short ones have ended")
    # One that is held in each slot, so that whoever is killed is killed with slots in its hands.
    hold = folder / "ledger.hold"
    hold.touch()
    long = seed(store, "gate.few", {"ledger": str(ledger), "seconds": 0.05}, count=12)
    until(lambda: sum(each.ended_s == float("inf") for each in spans(ledger)) == SLOTS, "every slot is taken")
    victim = spans(ledger)[-1].process
    held = [each for each in spans(ledger) if each.process == victim and each.ended_s == float("inf")]
    os.kill(victim, signal.SIGKILL)
    next(each for each in processes if each.pid == victim).wait()
    killed_s = uptime_s()
    hold.unlink()
    until(lambda: len(outcomes(store, long)) == len(long), "nothing is left")

    assert sorted(kind for kind in outcomes(store, long).values() if kind == "lost") == ["lost"] * len(held)
    found = spans(ledger)
    killed = {each.mark for each in held}
    assert {each.mark for each in found if each.ended_s == float("inf")} == killed
    until_lost_s = killed_s + LEASE_MS / 1000  # two leases, less what the last heartbeat may be old
    as_the_store_sees_it = [
        each if each.mark not in killed else Span(each.mark, each.began_s, 0, each.process, until_lost_s)
        for each in found
    ]  # fmt: skip
    assert most_at_once(as_the_store_sees_it) == SLOTS
    assert len({each.process for each in found}) >= 2


def test_a_rate_holds_over_processes_also_when_one_is_killed(store: Store, spawn: Spawn, folder: Path):
    ledger = folder / "ledger"
    run_ids = seed(store, "gate.slow", {"ledger": str(ledger), "seconds": 0.01}, count=70)
    processes = spawn(3)
    until(lambda: len(spans(ledger)) > 30, "work is under way")
    processes[0].kill()
    processes[0].wait()
    until(lambda: len(outcomes(store, run_ids)) == len(run_ids), "nothing is left")

    claimed_at = sorted(each.claimed_at_ms for each in spans(ledger))
    assert len(claimed_at) >= len(run_ids) - 16  # what the killed one had claimed, and had not written down
    gaps = [later - earlier for earlier, later in zip(claimed_at, claimed_at[RATE:], strict=False)]
    assert min(gaps) >= 1_000, "more than the rate in a window"
    # And no slower than it has to be: a process that is alive asks when the rate lets the next one through.
    assert min(gaps) < 1_500


def test_processes_wait_for_a_quota_without_asking_again_and_again(store: Store, spawn: Spawn, folder: Path):
    """Two processes, a queue that is full for seconds and another that is not."""
    ledger = folder / "ledger"
    spawn(2)
    full = seed(store, "gate.few", {"ledger": str(ledger), "seconds": 60}, count=SLOTS + 4)
    until(lambda: len(spans(ledger)) == SLOTS, "every slot is taken")
    client = Redis.from_url(f"unix://{store._connection.address.partition('://')[2]}")  # type: ignore[attr-defined]
    before, began_s = client.info("commandstats").get("cmdstat_blpop", {}).get("calls", 0), time.monotonic()
    free = seed(store, "gate.free", {"value": 7}, count=5)
    until(lambda: len(outcomes(store, free)) == 5, "another queue is served meanwhile")
    time.sleep(1.0)
    asked = client.info("commandstats")["cmdstat_blpop"]["calls"] - before
    assert asked < 20 * (time.monotonic() - began_s)
    assert outcomes(store, full) == {}
    client.close()


def test_a_slot_that_gets_free_is_taken_at_once_by_another_process(store: Store, spawn: Spawn, folder: Path):
    ledger = folder / "ledger"
    spawn(2)
    run_ids = seed(store, "gate.few", {"ledger": str(ledger), "seconds": 0.2}, count=6 * SLOTS)
    until(lambda: len(outcomes(store, run_ids)) == len(run_ids), "all have run")
    found = spans(ledger)
    began_s, ended_s = sorted(each.began_s for each in found), sorted(each.ended_s for each in found)
    idle_s = sorted(began - ended for ended, began in zip(ended_s, began_s[SLOTS:], strict=False))
    assert most_at_once(found) == SLOTS
    assert idle_s[len(idle_s) // 2] < 0.8  # of most; who is told nothing asks again after a second


def test_two_workers_on_a_limited_queue_keep_a_process_from_starting(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    text = (folder / "gate_workers.py").read_text().replace('"gate.free"', '"gate.free", queue="gate.slow"')
    (folder / "shared_gate.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ConfigError, match=r"'gate\.free' and 'gate\.slow' are on one queue"):
        WorkerProcess(store, ["shared_gate"]).start()
