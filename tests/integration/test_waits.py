"""A `wait` of days: it outlives every process, the server too, and while it waits it costs next to nothing.

Real servers, and a clock that the test moves. What it costs is counted in commands, those inside scripts included.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from runner.catalogue import Catalogue
from runner.client import Client
from runner.clock import VirtualClock
from runner.definition.load import load_text
from runner.engine.engine import Engine
from runner.store.embedded.process import answers, server_command
from runner.store.ports import ProcessInfo
from runner.store.redis_store import RedisStore
from runner.worker.inprocess import InProcessWorker
from runner.worker.registry import Registry
from tests.servers import private_server, until, valkey_binary

TEXT = """
workflow: renewal
version: 1.0.0
steps:
  - {id: remind, worker: mail.send, with: {text: soon}, compensate: none, reason: a mail}
  - {id: pause, wait: 3d}
  - {id: charge, worker: mail.send, with: {text: paid}, compensate: none, reason: a mail}
"""
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
TICK_MS = 5 * SECOND_MS  # of the test: a longer pause between two ticks would be taken for an outage
RUNS = 20
PER_RUN_AND_HOUR = 5  # commands; measured 3.5: one look at the run, which would repair what was lost


class Days:
    """An engine, and workers that are called now and then, on a server whose time the test moves."""

    def __init__(self, url: str, root: Path, clock: VirtualClock, calls: list[str]) -> None:
        self.clock = clock
        self.store = RedisStore.connect(url, namespace="days", clock=clock)
        self.redis = Redis.from_url(url)
        self.registry = Registry()
        self.registry.worker("mail.send")(lambda text: calls.append(text))
        self.definition = load_text(TEXT, file="renewal.yaml", root=root)
        self.client = Client(store=self.store, root=root)
        Catalogue(self.store).put(self.definition)
        self.store.register(ProcessInfo("engine", "engine", "host", 1), lease_ms=DAY_MS)
        self.engine = Engine(self.store, process_id="engine")

    def work(self) -> None:
        worker = InProcessWorker(self.store, self.registry, clock=self.clock)
        while self.engine.step() + worker.step():
            self.store.tick()
        worker.close()

    def pass_time(self, ms: int) -> None:
        for _ in range(ms // TICK_MS):
            self.clock.advance(TICK_MS)
            self.store.tick()
            self.engine.step()

    def commands_in(self, ms: int) -> int:
        """That the server executes while so much time passes."""
        before = self._commands()
        self.pass_time(ms)
        return self._commands() - before

    def _commands(self) -> int:
        stats = self.redis.info("commandstats")
        return sum(row["calls"] for row in stats.values())


def test_a_run_that_waits_for_days_costs_next_to_nothing(tmp_path: Path):
    with private_server(valkey_binary()) as url:
        days = Days(url, tmp_path, VirtualClock(), [])
        days.pass_time(MINUTE_MS)
        idle = days.commands_in(HOUR_MS)
        runs = [days.client.start(days.definition) for _ in range(RUNS)]
        days.work()
        days.pass_time(HOUR_MS)  # looks at a run in which nothing happens become rarer, down to one an hour
        waiting = days.commands_in(4 * HOUR_MS)
        assert {run.status() for run in runs} == {"running"}
        assert (waiting - 4 * idle) / RUNS / 4 <= PER_RUN_AND_HOUR
        days.clock.advance(3 * DAY_MS)
        days.store.tick()
        days.work()
        assert {run.result(timeout=0).status for run in runs} == {"completed"}
        days.store.close()


@pytest.fixture
def home() -> Iterator[Path]:
    """Not pytest's tmp_path: its names can be too long for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="sr-"))
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def server_that_is_killed(home: Path) -> Iterator[str]:
    """With an append-only file that is synced at every write; at the end it is killed."""
    command = server_command(valkey_binary(), home / "s", home, "strict")
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: answers(home / "s"), "the server answers")
        yield f"unix://{home}/s"
    finally:
        server.kill()
        server.wait()


def test_a_wait_survives_the_end_of_everything(tmp_path: Path, home: Path):
    """Engine, workers and server are gone for nearly all of it, and it ends when it was meant to."""
    calls: list[str] = []
    clock = VirtualClock()
    with server_that_is_killed(home) as url:
        days = Days(url, tmp_path, clock, calls)
        run_id = days.client.start(days.definition).id
        days.work()
        began_ms = clock.now_ms
        assert calls == ["soon"]
        days.store.close()
    clock.advance(3 * DAY_MS - MINUTE_MS)
    with server_that_is_killed(home) as url:
        days = Days(url, tmp_path, clock, calls)
        days.store.tick()
        days.pass_time(began_ms + 3 * DAY_MS - clock.now_ms - TICK_MS)
        days.work()
        assert calls == ["soon"]
        days.pass_time(TICK_MS)
        days.work()
        assert calls == ["soon", "paid"]
        assert days.client.get(run_id).result(timeout=0).status == "completed"
        days.store.close()


def test_a_wait_that_ended_while_nothing_ran_goes_on_as_soon_as_an_engine_is_there(tmp_path: Path, home: Path):
    calls: list[str] = []
    clock = VirtualClock()
    with server_that_is_killed(home) as url:
        days = Days(url, tmp_path, clock, calls)
        run_id = days.client.start(days.definition).id
        days.work()
        days.store.close()
    clock.advance(30 * DAY_MS)
    with server_that_is_killed(home) as url:
        days = Days(url, tmp_path, clock, calls)
        days.store.tick()
        days.work()
        assert days.client.get(run_id).result(timeout=0).status == "completed"
        days.store.close()
