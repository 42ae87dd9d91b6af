"""A server of one's own, an engine and two worker processes in other shells: every order is processed once.

SAGARUN_ACCEPTANCE_ORDERS=1000 for the long form.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runner.cli.hosting.engine_process import LOOPS
from runner.client import Client
from runner.store.keys import Keys
from runner.store.redis_store import RedisStore
from tests.acceptance.program import PATIENCE_S, SILENT, Project, await_line, soon
from tests.integration.faults.system import Server
from tests.servers import until, valkey_binary

ORDERS = int(os.environ.get("SAGARUN_ACCEPTANCE_ORDERS", "100"))
ORDER = "definitions/order.yaml"


@pytest.fixture(params=["valkey_url", "redis7_url"])
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@contextmanager
def engine_and_two_workers(project: Project, url: str) -> Iterator[list[subprocess.Popen[str]]]:
    """In other shells; every command finds the server through SAGARUN_REDIS_URL. Gives the worker processes."""
    project.environment["SAGARUN_REDIS_URL"] = url
    engine = project.start("engine")
    workers = [project.start("worker"), project.start("worker")]
    soon(lambda: _staff(project) == {"engine": 1, "worker": 2}, "engine and workers are there")
    yield workers
    living = [process for process in (*workers, engine) if process.poll() is None]
    for process in living:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(PATIENCE_S) for process in living] == [0] * len(living)


@pytest.fixture
def staffed(named_project: Project, url: str) -> Iterator[Project]:
    with engine_and_two_workers(named_project, url):
        yield named_project


def _staff(project: Project) -> Counter[str]:
    with Client(project.environment["SAGARUN_REDIS_URL"], root=project.root) as client:
        return Counter(process.kind for process in client.store.processes())


def _loops_that_took(project: Project) -> list[int]:
    """Of each process."""
    with Client(project.environment["SAGARUN_REDIS_URL"], root=project.root) as client:
        store = client.store
        assert isinstance(store, RedisStore)
        keys = [Keys(store.namespace).process(process.id) for process in store.processes()]
        return [sum(name.startswith(b"took:") for name in store.ask(lambda server, key=key: server.hkeys(key)))
                for key in keys]


def test_a_run_needs_no_engine_and_no_workers_of_its_own(staffed: Project):
    completed = staffed.run_json(ORDER, code=0)
    assert completed["status"] == "completed"
    assert staffed.run_json(ORDER, "--case", "shipping_refused", code=1)["status"] == "compensated"
    assert staffed.charges("ORD-001") == [("succeeded", 10_997, 0)]
    assert not (staffed.state / "data").exists()  # no embedded server was started


def test_every_one_of_many_orders_is_processed_once(staffed: Project):
    (template, *_) = json.loads((staffed.root / "schemas" / "order.schema.json").read_text())["examples"]
    line = {"sku": "PROD-001", "quantity": 1, "unit_price": 2_999}
    inputs = [
        {**template, "order_id": f"MANY-{number:04}", "items": [line], "total": 2_999} for number in range(ORDERS)
    ]
    with Client(staffed.environment["SAGARUN_REDIS_URL"], root=staffed.root) as client:
        handles = client.start_many(staffed.root / ORDER, inputs)
        statuses = Counter(handle.result(timeout=2 * PATIENCE_S).status for handle in handles)
    assert statuses == {"completed": ORDERS}
    once = [(order["order_id"], 1) for order in inputs]
    count = "SELECT {0}, count(*) FROM {1} WHERE {0} LIKE 'MANY-%' GROUP BY 1 ORDER BY 1"
    assert staffed.query("gateway", count.format("reference", "charges")) == once
    assert staffed.query("shop", count.format("order_id", "shipments")) == once
    assert staffed.query("shop", count.format("order_id", "holds")) == once


def test_a_verb_is_answered_by_the_engine_elsewhere(staffed: Project):
    run_id = staffed.run_json(ORDER, "--case", "refund_refused", code=3)["run_id"]
    answered = staffed.sagarun("resume", run_id, "--format", "json", code=0)
    assert answered.json == {"run_id": run_id, "verb": "resume", "answer": "accepted"}
    watched = staffed.sagarun("watch", run_id, code=1)
    assert "everything undone" in watched.out


def test_without_engine_and_workers_the_command_says_what_is_missing(named_project: Project, valkey_url: str):
    named_project.environment["SAGARUN_REDIS_URL"] = valkey_url
    command = named_project.start(ORDER)
    run_id = await_line(command, "▶")[-1].split()[5]
    await_line(command, "no engine is running on this server: start one with `sagarun engine`", of="stderr")
    engine = named_project.start("engine")
    await_line(command, "nobody serves the queue orders.validate", of="stderr")
    command.send_signal(signal.SIGINT)
    assert command.wait(PATIENCE_S) == 130
    waited = named_project.sagarun("watch", run_id, "--wait", "1ms", code=5)
    assert f"sagarun watch {run_id}" in waited.err
    asked = named_project.sagarun("cancel", run_id, code=0)
    assert "accepted" in asked.out
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(PATIENCE_S) == 0


def test_a_killed_worker_process_costs_no_order(named_project: Project, url: str):
    named_project.wait_for_silence()
    with engine_and_two_workers(named_project, url) as workers:
        process = named_project.start(*SILENT)
        await_line(process, "reserve")
        soon(lambda: named_project.charges("ORD-004"), "the gateway has charged the order")
        with Client(url, root=named_project.root) as client:
            holder = next(each.pid for each in client.store.processes() if each.held)
        killed = next(worker for worker in workers if worker.pid == holder)
        killed.kill()
        killed.wait()
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "completed in" in out
    assert named_project.charges("ORD-004") == [("succeeded", 2_999, 0)]


def test_a_killed_engine_is_known_to_be_dead_to_another_one_on_the_machine(named_project: Project, url: str):
    """What it had taken is free then; without that it would wait for its lease, and its entry for two."""
    named_project.environment["SAGARUN_REDIS_URL"] = url
    engines = [named_project.start("engine"), named_project.start("engine")]
    soon(lambda: _staff(named_project) == {"engine": 2}, "both engines are there")
    soon(lambda: _loops_that_took(named_project) == [LOOPS, LOOPS], "each loop is known by what it took")
    engines[0].kill()
    engines[0].wait()
    until(lambda: _staff(named_project) == {"engine": 1}, "the killed one has been reaped", seconds=25)
    engines[1].send_signal(signal.SIGTERM)
    assert engines[1].wait(PATIENCE_S) == 0
    soon(lambda: not list((named_project.state / "processes").glob(f"*{engines[1].pid}*")), "its lock file is gone")


@pytest.fixture
def late_server(named_project: Project) -> Iterator[Server]:
    """Not started yet, and known to all commands."""
    server = Server(valkey_binary(), "strict", ())
    named_project.environment["SAGARUN_REDIS_URL"] = server.url
    yield server
    server.remove()


def test_engine_and_worker_wait_for_a_server_that_starts_after_them(named_project: Project, late_server: Server):
    """As at a machine's start: a service manager that sees them end again and again would give up."""
    processes = [named_project.start("engine"), named_project.start("worker")]
    for process in processes:
        told = await_line(process, "trying again", of="stderr")[-1]
        assert f"Redis at {late_server.url} cannot be reached" in told
        assert told.strip().endswith("; trying again for 30 s")
    late_server.start()
    soon(lambda: _staff(named_project) == {"engine": 1, "worker": 1}, "both are at work")


def test_engine_and_worker_wait_for_a_server_that_loads_its_data(named_project: Project):
    server = Server(valkey_binary(), "strict", ("--key-load-delay", "1000"))
    named_project.environment["SAGARUN_REDIS_URL"] = server.url
    try:
        server.start()
        with server.client() as client, client.pipeline(transaction=False) as ballast:
            for number in range(4_000):  # it listens while it loads, after every 1,024 commands
                ballast.set(f"ballast:{number}", "x")
            ballast.execute()
        server.kill()
        server.start(wait=False)
        until(lambda: (server.folder / "s").exists(), "it listens")
        processes = [named_project.start("engine"), named_project.start("worker")]
        soon(lambda: server.is_loaded, "it has loaded")
        soon(lambda: _staff(named_project) == {"engine": 1, "worker": 1}, "both are at work")
        assert [process.poll() for process in processes] == [None, None]
    finally:
        server.remove()


def test_an_engine_ends_soon_when_it_is_asked_to_also_while_the_server_is_away(
    named_project: Project, late_server: Server
):
    """Service managers kill after 10 s, some after 30; its patience with the server is longer."""
    late_server.start()
    engine = named_project.start("engine")
    soon(lambda: _staff(named_project) == {"engine": 1}, "it is at work")
    late_server.kill()
    engine.send_signal(signal.SIGTERM)
    _, told = engine.communicate(timeout=10)
    assert (engine.returncode, "error" in told) == (0, False), told
