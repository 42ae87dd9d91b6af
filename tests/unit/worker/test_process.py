"""The life of a worker process over a store in memory. With a real server: tests/integration/test_worker_process.py."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runner.errors import SagarunError
from runner.store.memory.store import MemoryStore
from runner.store.ports import ExchangeAnswer
from runner.worker.process import WorkerProcess, _strays
from tests.servers import until
from tests.tasks import outcomes, seed

MODULE = """
import time
from runner import worker
@worker("w.echo", queue="fast")
def echo(value: int) -> int: return value
@worker("w.sleep")
def sleep(seconds: float) -> None: time.sleep(seconds)
"""


class BrokenStore(MemoryStore):
    """Its exchange has a bug."""

    def exchange(self, *_: Any, **__: Any) -> ExchangeAnswer:
        raise ZeroDivisionError("a bug")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "memory_workers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "memory_workers"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def process(store: MemoryStore, module: str) -> Iterator[WorkerProcess]:
    with WorkerProcess(store, [module]) as started:
        yield started


def test_any_store_will_do(store: MemoryStore, process: WorkerProcess):
    run_ids = seed(store, "w.echo", {"value": 3}, queue="fast", count=5)
    assert process.wait_until_idle(5)
    until(lambda: len(outcomes(store, run_ids)) == 5, "all are handed in")
    assert process.counts.recorded == 5


def test_contracts_are_known_once_it_is_started(process: WorkerProcess):
    assert process.contracts["w.echo"]["queue"] == "fast"


def test_a_process_that_was_never_started_can_be_stopped(store: MemoryStore):
    assert WorkerProcess(store, ["anything"]).stop() is True


def test_stopping_twice_is_stopping_once(store: MemoryStore, module: str):
    process = WorkerProcess(store, [module])
    process.start()
    assert process.stop() is True
    assert process.stop() is True


def test_children_can_be_started_ahead(store: MemoryStore, module: str):
    process = WorkerProcess(store, [module])
    process.launch()
    until(lambda: process.child_pids, "a child is being started")
    assert store.get_workers() == {}
    process.start()
    assert "w.echo" in store.get_workers()
    process.stop()


def test_it_is_idle_only_when_nothing_runs(store: MemoryStore, process: WorkerProcess):
    assert process.is_idle
    seed(store, "w.sleep", {"seconds": 0.3})
    until(lambda: process.held == 1, "the task has begun")
    assert not process.is_idle
    assert process.wait_until_idle(5)


def test_a_bug_ends_the_process_and_says_what_it_was(module: str, caplog: pytest.LogCaptureFixture):
    process = WorkerProcess(BrokenStore(), [module])
    process.start()
    until(lambda: process.failure is not None, "the bug has been met")
    until(lambda: not process.child_pids, "the children are gone")
    process.stop()
    assert isinstance(process.failure, ZeroDivisionError)
    assert "ZeroDivisionError: a bug" in caplog.text


def test_a_bug_ends_run(module: str):
    with pytest.raises(SagarunError, match="broke") as caught:
        WorkerProcess(BrokenStore(), [module]).run()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_run_serves_until_a_signal_and_restores_its_handlers(store: MemoryStore, module: str):
    before = signal.getsignal(signal.SIGTERM)
    process = WorkerProcess(store, [module])
    run_ids = seed(store, "w.echo", {"value": 1}, queue="fast")

    def end() -> None:
        until(lambda: outcomes(store, run_ids), "the task is done")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    assert process.run() is True
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert store.processes() == []


def test_leaving_the_block_with_an_error_does_not_wait(store: MemoryStore, module: str):
    with pytest.raises(RuntimeError, match="own"), WorkerProcess(store, [module]) as process:  # noqa: PT012
        run_ids = seed(store, "w.sleep", {"seconds": 60})
        until(lambda: process.held == 1, "the task has begun")
        raise RuntimeError("own")
    assert outcomes(store, run_ids) == {run_ids[0]: "lost"}


def test_tasks_may_stray_into_queues_with_the_names_of_workers():
    """Of workers that are served here, and whose names are no queues themselves."""
    queues = {"a": "q", "b": "b", "c": "q", "d": "other", "q": "b"}
    contracts = {name: msgspec.json.encode({"queue": queue}) for name, queue in queues.items()}
    assert _strays(contracts, ["q", "b"]) == ("a", "c")
