"""Worker processes that are poisoned, return nonsense, are replaced at work, or live in another time or release."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from runner.interpreter import event as ev
from runner.interpreter.record import decode_events
from runner.store.ports import Completion, ProcessInfo
from runner.wire import ErrorRecord, Outcome, TaskMessage
from tests.integration.faults.system import FULL, Server, System, system
from tests.servers import PATIENCE_S, until
from tests.tasks import seed

ONE = """
workflow: one
version: 1.0.0
defaults: {timeout: 10s, retry: {max_attempts: 8, backoff: fixed, initial: 10ms}}
steps:
  - id: first
    worker: fault.book
    with: {ref: "{{ step.ref }}", seconds: 0}
    compensate: {worker: fault.cancel, with: {ref: "{{ step.ref }}"}}
  - id: last
    worker: WORKER
    with: WITH
    compensate: {worker: fault.cancel, with: {ref: "{{ step.ref }}"}}
"""


def one(house: System, worker: str, arguments: str = "{}"):
    return house.load(ONE.replace("WORKER", worker).replace("WITH", arguments))


# -- what workers do ------------------------------------------------------------------------------------------
def test_a_task_that_kills_its_process_is_given_up_after_five_and_every_neighbour_completes(house: System):
    """They are in the process when it dies first, and are asked again at the same moment as the cause is."""
    text = ONE.replace("WORKER", "fault.linger").replace("WITH", "{}").replace("timeout: 10s", "timeout: 1m")
    neighbours = house.begin(20, definition=house.load(text))
    until(lambda: house.told("lingered").total() == 20, "the neighbours are at work")
    (poisoned,) = house.begin(definition=one(house, "fault.poison"))
    assert house.statuses(neighbours) == {"completed": 20}
    ended = poisoned.result(timeout=PATIENCE_S)
    assert (ended.status, ended.error.code) == ("compensated", "crash_loop")
    assert ended.error.details == {"exit": "exited with status 1"}
    assert house.told("struck").total() == 5
    assert house.told("undid") == {f"{poisoned.id}/first": 1, f"{poisoned.id}/last": 1}
    lost = [event for run in neighbours for event in run.events() if isinstance(event, ev.TaskSettled)
            and event.error is not None and event.error.code == "worker_lost"]  # fmt: skip
    assert len(lost) == 20, "each with the first that died, and none with those after it"


RESULTS = ("nan", "infinity", "bytes", "large", "deep", "circle", "object", "huge", "surrogate", "function", "keys",
           "iterator")


def test_results_that_cannot_be_recorded_are_failures_that_say_so(server: Server, house: System):
    """No hang, no dead process, nothing of it in Redis."""
    before = house.statuses(house.begin()), server.client().info("memory")["used_memory"]
    runs = {kind: house.begin(definition=one(house, "fault.result", f"{{kind: {kind}}}"))[0] for kind in RESULTS}
    for kind, run in runs.items():
        ended = run.result(timeout=PATIENCE_S)
        assert (kind, ended.status) == (kind, "compensated")
        assert (kind, ended.error.code) == (kind, "invalid_output")
        assert len(msgspec.json.encode(ended.error)) < 20_000
    assert server.client().info("memory")["used_memory"] - before[1] < 3_000_000
    assert house.statuses(house.begin()) == {"completed": 1}


# -- being replaced -------------------------------------------------------------------------------------------
PROGRAM = """
import sys
SHIFT
sys.path.insert(0, sys.argv[2])
from runner.store.redis_store import RedisStore
from runner.worker.process import WorkerProcess
store = RedisStore.connect(sys.argv[1], namespace="faults")
sys.exit(0 if WorkerProcess(store, ["fault_workers"], slots=8).run(60) else 9)
"""
Spawn = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def spawn(server: Server, tmp_path: Path) -> Iterator[Spawn]:
    """Worker processes as `sagarun worker` makes them: with a supervisor that takes signals."""
    started: list[subprocess.Popen[bytes]] = []

    def start(shift: str = "", **environment: str) -> subprocess.Popen[bytes]:
        text = PROGRAM.replace("SHIFT", shift)
        started.append(subprocess.Popen(
            [sys.executable, "-c", text, server.url, str(tmp_path)], env={**os.environ, **environment}
        ))  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_rolling_restart_under_load_repeats_nothing(server: Server, tmp_path: Path, spawn: Spawn):
    with system(server.url, tmp_path) as house:
        house.engine()
        serving = [spawn(), spawn()]
        until(lambda: len(house.store.processes()) == 3, "two workers serve")
        runs = []
        for _ in range(20 if FULL else 2):
            runs += house.begin(40, refused=5, seconds=0.1)
            claims = house.claims
            until(lambda before=claims: house.claims > before + 10, "they are at work")
            leaving = serving.pop(0)
            serving.append(spawn())
            leaving.terminate()
            assert leaving.wait(2 * PATIENCE_S) == 0
        assert house.statuses(runs)["compensated"] == len(runs) // 8
        assert set(house.told("did").values()) == {1}
        lost = [event for run in runs for event in run.events() if isinstance(event, ev.TaskSettled)
                and event.outcome == "unknown"]  # fmt: skip
        assert lost == []


# -- another time ---------------------------------------------------------------------------------------------
# In the supervisor, and by sitecustomize also in its children.
SHIFTED = """
import time
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + {hours} * 3600
time.time_ns = lambda: _time_ns() + {hours} * 3600 * 10**9
"""


@pytest.mark.parametrize("hours", [1, -1])
def test_clocks_of_workers_that_are_an_hour_off_change_nothing(
    server: Server, tmp_path: Path, spawn: Spawn, hours: int
):
    shift = SHIFTED.format(hours=hours)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(textwrap.dedent(shift))
    with system(server.url, tmp_path) as house:
        house.engine()
        path = os.pathsep.join([str(tmp_path / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        spawn(shift, PYTHONPATH=path)
        runs = house.begin(10, refused=5, seconds=0.05)
        assert house.statuses(runs) == {"completed": 5, "compensated": 5}
        assert set(house.told("did").values()) == {1}
        events = runs[0].events()
        assert [event.at_ms for event in events] == sorted(event.at_ms for event in events)
        assert abs(events[-1].at_ms - time.time() * 1000) < 60_000
        info = [process for process in house.store.processes() if process.kind == "worker"]
        assert abs(info[0].seen_at_ms - house.store.now_ms()) < 10_000, "it is alive, by the server's clock"


# -- another release ------------------------------------------------------------------------------------------
def newer(message: msgspec.Struct) -> bytes:
    """With fields that this release does not know."""
    document = msgspec.json.decode(msgspec.json.encode(message))
    return msgspec.json.encode({**document, "of_a_later_release": {"more": [1, 2]}, "priority": 7})


def test_a_worker_takes_tasks_of_a_newer_engine(house: System):
    arguments = {"ref": "r", "seconds": 0}
    (run_id,) = seed(house.store, "fault.book", arguments, count=1, queue="newer.queue")
    task = house.store.load_runs([run_id])[0].tasks["step"]
    house.store.register(ProcessInfo("relay", "worker", "host", 1, queues=("newer.queue",)))
    (claimed,) = house.store.exchange("relay", "n1", queues=["newer.queue"], capacity=1).claimed
    message = msgspec.json.decode(claimed.message, type=TaskMessage)
    assert msgspec.json.decode(newer(message), type=TaskMessage) == message
    assert task.queue == "newer.queue"


def test_a_worker_takes_tasks_of_an_older_engine_that_knows_only_what_was_always_there():
    always = {
        "worker": "w", "run_id": "r", "workflow": "f", "version": "1", "path": "p", "step": "p", "phase": "action",
        "attempt": 1, "max_attempts": 1, "timeout_ms": 1, "step_ref": "r/p", "idempotency_key": "r/p:action",
    }  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(always), type=TaskMessage).fencing is False
    assert bytes(msgspec.json.decode(b'{"outcome":"completed"}', type=Outcome).output) == b"null"


def test_an_engine_takes_outcomes_of_a_newer_worker(server: Server, tmp_path: Path):
    with system(server.url, tmp_path) as house:
        (run,) = house.begin(definition=one(house, "elsewhere.work"))
        house.engine()
        house.store.register(ProcessInfo("other", "worker", "host", 1, queues=("elsewhere.work", "fault.book")))
        house.store.put_workers({"elsewhere.work": b'{"queue": "elsewhere.work", "of_a_later_release": true}'})
        for number, worker in enumerate(("fault.book", "elsewhere.work")):
            claimed: list = []
            until(lambda claimed=claimed, worker=worker, number=number: claimed or claimed.extend(house.store.exchange(
                "other", f"{worker}{number}{time.monotonic_ns()}", queues=[worker], capacity=1).claimed), "it came")
            (task,) = claimed
            outcome = Outcome("completed", msgspec.Raw(b"7"), ErrorRecord("none"))
            done = [Completion(task.run_id, task.path, task.token, newer(outcome))]
            house.store.exchange("other", f"done{number}", completions=done)
        assert run.result(timeout=PATIENCE_S).status == "completed"


def test_an_entry_of_the_history_may_have_fields_of_a_newer_release():
    event = ev.StepStarted(at_ms=5, path="a")
    assert decode_events([b"[" + newer(event) + b"]"], {}) == [event]


def test_a_run_finishes_with_the_definition_that_it_began_with(house: System):
    """A new release of the workflow, under the same name and version even, concerns new runs only."""
    old = one(house, "fault.decide", '{ref: old, refuse: false}')
    (begun,) = house.begin(definition=old)
    new = one(house, "fault.decide", '{ref: new, refuse: false}')
    (later,) = house.begin(definition=new)
    assert house.statuses([begun, later]) == {"completed": 2}
    assert house.told("asked") == {"old": 1, "new": 1}
    assert old.digest != new.digest
