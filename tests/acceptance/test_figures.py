"""Every published figure against the ledger: a thousand orders with known faults, processes of their own, some killed.

The ledger is kept by the workers themselves (a line for each attempt, in a file), so it hangs on nothing of ours;
the histories tell the rest, attempt by attempt. SAGARUN_FIGURES_ORDERS=200 for a short look.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.client import Client
from runner.figures.buckets import WIDTH
from runner.interpreter import event as ev
from runner.interpreter.record import decode_events
from tests.project.repository import ROOT
from tests.servers import private_server, until, valkey_binary

ORDERS = int(os.environ.get("SAGARUN_FIGURES_ORDERS", "1000"))
WORKFLOW = """
workflow: buy
version: 1.0.0
input: {type: object, required: [n], properties: {n: {type: integer}}}
defaults: {retry: {max_attempts: 3, initial: 10ms, backoff: fixed, jitter: none}}
compensation: {retry: {max_attempts: 3, initial: 10ms, backoff: fixed, jitter: none}}
steps:
  - {id: take, worker: w.take, with: {n: "{{ input.n }}"}, compensate: {worker: w.put_back, with: {n: "{{ input.n }}"}}}
  - {id: pay, worker: w.pay, with: {n: "{{ input.n }}"}, raises: [declined],
     compensate: {worker: w.refund, with: {n: "{{ input.n }}"}}}
  - {id: send, worker: w.send, kind: readonly, with: {n: "{{ input.n }}"}}
"""
WORKERS = '''
import os
from runner import BusinessError, Context, NoEffectError, worker

def note(line):
    descriptor = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, (line + "\\n").encode())
    os.close(descriptor)

@worker("w.take")
def take(n: int, ctx: Context) -> None:
    """Every seventh order has a bad moment first."""
    bad = n % 7 == 0 and ctx.attempt == 1
    note(f"take {n} {'failed' if bad else 'completed'}")
    if bad:
        raise NoEffectError("a bad moment")

@worker("w.pay", raises=["declined"])
def pay(n: int) -> None:
    """Every tenth is declined."""
    note(f"pay {n} {'failed' if n % 10 == 0 else 'completed'}")
    if n % 10 == 0:
        raise BusinessError("declined", "insufficient funds")

@worker("w.send")
def send(n: int) -> None:
    note(f"send {n} completed")

@worker("w.put_back")
def put_back(n: int) -> None:
    note(f"put_back {n} completed")

@worker("w.refund")
def refund(n: int) -> None:
    note(f"refund {n} completed")
'''


class Shop:
    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        (root / "definitions").mkdir()
        (root / "workers").mkdir()
        (root / "workers/__init__.py").write_text(WORKERS)
        (root / "definitions/buy.yaml").write_text(WORKFLOW)
        (root / "sagarun.yaml").write_text("project: buy\ndurability: none\n")
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "SAGARUN_REDIS_URL": self.url}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.cli.main", *arguments], cwd=self.root, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.running.append(process)
        return process

    def stats(self) -> dict[str, object]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "SAGARUN_REDIS_URL": self.url}
        command = [sys.executable, "-P", "-m", "runner.cli.main", "stats", "--window", "1h", "--format", "json"]
        found: dict[str, object] = json.loads(subprocess.check_output(command, cwd=self.root, env=environment))
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with private_server(valkey_binary()) as url:
        made = Shop(tmp_path, url)
        yield made
        for process in made.running:
            process.kill()
            process.wait()


def test_every_figure_agrees_with_the_ledger_and_the_histories(shop: Shop):
    engines, workers = [shop.start("engine") for _ in range(2)], [shop.start("worker") for _ in range(2)]
    with Client(shop.url, root=shop.root) as client:
        client.start_many("buy", [{"n": number} for number in range(ORDERS)])
        until(lambda: client.store.count_live() < 0.7 * ORDERS, "a third of the orders is done")
        engines[0].kill()
        workers[0].kill()
        shop.start("worker")
        until(lambda: client.store.count_live() == 0, "every order is done")
        told = Told(client)
    stats = shop.stats()
    ledger = Counter(tuple(line.split()[::2]) for line in (shop.root / "ledger").read_text().splitlines())
    compare_workflows(stats, told)
    compare_workers(stats, told, ledger)
    assert sum(each["attempts"] for each in stats["processes"]) <= told.attempts.total()  # type: ignore[attr-defined]


class Told:
    """What the histories tell: counted anew, with nothing of runner.figures."""

    def __init__(self, client: Client) -> None:
        self.attempts: Counter[tuple[str, str]] = Counter()  # worker, outcome
        self.took: dict[str, list[float]] = defaultdict(list)
        self.waited: dict[str, list[float]] = defaultdict(list)
        self.finished: Counter[str] = Counter()
        self.lasted: list[float] = []
        self.retries = self.undone = 0
        for row in client.store.list_runs(limit=10 * ORDERS):
            self._read(decode_events(client.store.history(row.run_id), {}))

    def _read(self, events: list[ev.AnyEvent]) -> None:
        out: dict[str, ev.TaskDispatched] = {}
        for event in events:
            match event:
                case ev.TaskDispatched():
                    out[event.path] = event
                case ev.TaskSettled():
                    sent = out.pop(event.path)
                    self.attempts[sent.worker, event.outcome] += 1
                    self.took[sent.worker].append(event.duration_ms or event.at_ms - event.claimed_at_ms)
                    self.waited[sent.worker].append(event.claimed_at_ms - sent.at_ms)
                case ev.RetryScheduled():
                    self.retries += 1
                case ev.StepUndone():
                    self.undone += event.path in ("take", "pay") and not event.nothing
                case ev.RunFinished():
                    self.finished[event.status] += 1
                    self.lasted.append(event.at_ms - events[0].at_ms)


def compare_workflows(stats: dict[str, object], told: Told) -> None:
    (buy,) = stats["workflows"]  # type: ignore[misc]
    assert buy["started"] == ORDERS
    assert buy["finished"] == told.finished
    assert told.finished["compensated"] == ORDERS / 10, "known faults, known ends"
    assert buy["success"] == 0.9
    assert buy["live"] == {}
    assert buy["retries"] == told.retries
    assert buy["undone"] == {"compensated": told.undone}
    compare_times(buy["duration"], told.lasted)


def compare_workers(stats: dict[str, object], told: Told, ledger: Counter[tuple[str, ...]]) -> None:
    found = {each["worker"]: each for each in stats["workers"] if each["attempts"]}  # type: ignore[attr-defined]
    assert found.keys() == {worker for worker, _ in told.attempts}
    for name, each in found.items():
        counts = {outcome: each[outcome] for outcome in ("completed", "failed", "unknown")}
        assert counts == {outcome: told.attempts[name, outcome] for outcome in counts}
        assert each["attempts"] == each["queue_time"]["count"] == each["processing"]["count"] == sum(counts.values())
        compare_times(each["processing"], told.took[name])
        compare_times(each["queue_time"], told.waited[name])
        # A killed process may have done what it could not tell any more: such an attempt is unknown.
        for outcome in ("completed", "failed"):
            written = ledger[name.removeprefix("w."), outcome]
            assert counts[outcome] <= written <= counts[outcome] + counts["unknown"]


def compare_times(figures: dict[str, float], exact: list[float]) -> None:
    ordered = sorted(exact)
    for share in (50, 95, 99):
        right = ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]
        found = figures[f"p{share}_ms"]
        assert found == 1.0 if right <= 1 else right - 0.05 <= found <= right * (1 + WIDTH) + 0.05
    assert figures["mean_ms"] == pytest.approx(sum(exact) / len(exact), rel=0.001, abs=0.01)
