"""Commands that are killed, interrupted, detached, or run at the same time: no order is lost, none is charged twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from runner.client import Client
from tests.acceptance.program import PATIENCE_S, SILENT, Project, await_line, soon

ORDER = "definitions/order.yaml"
LONG_MS = 3_600_000


NEXT = [
    pytest.param(("definitions/order.yaml", "--case", "card_declined"), 1, id="run"),
    pytest.param(("resume", "{stuck}"), 0, id="resume"),
]


def prolong_leases(project: Project, run_id: str) -> None:
    """Of a killed command: from here on nothing but that it is known to be dead frees what it had."""
    with Client(root=project.root) as client:
        (run,) = client.store.load_runs([run_id])
        tasks = [(run_id, path, task.token) for path, task in run.tasks.items()]
        answers = [client.store.beat(each.id, tasks, lease_ms=LONG_MS) for each in client.store.processes()]
    assert ["held"] in answers


@pytest.mark.parametrize(("command", "code"), NEXT)
def test_the_order_of_a_killed_command_is_finished_by_the_next_one_and_charged_once(
    project: Project, command: tuple[str, ...], code: int
):
    stuck = ""
    if "{stuck}" in command:
        stuck = project.run_json(ORDER, "--case", "refund_refused", code=3)["run_id"]
    process, run_id = project.charge_in_the_air()
    process.send_signal(signal.SIGKILL)
    process.wait()
    prolong_leases(project, run_id)
    project.sagarun(*(word.format(stuck=stuck) for word in command), code=code)
    run = project.run_json("show", run_id, code=0)
    assert run["status"] == "completed"
    assert project.charges("ORD-004") == [("succeeded", 2_999, 0)]
    tries = next(step["tries"] for step in run["steps"] if step["id"] == "charge")
    assert tries[0]["error"]["code"] == "worker_lost"


def test_an_engine_finishes_the_order_of_a_killed_command(project: Project):
    process, run_id = project.charge_in_the_air()
    process.send_signal(signal.SIGKILL)
    process.wait()
    engine = project.start("engine")
    soon(lambda: project.status(run_id) == "completed", "the engine has finished the order")
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(PATIENCE_S) == 0
    assert project.charges("ORD-004") == [("succeeded", 2_999, 0)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_lets_its_workers_finish_and_says_how_to_watch(project: Project, number: signal.Signals):
    process, run_id = project.charge_in_the_air()
    process.send_signal(number)
    told = await_line(process, "letting the workers finish", of="stderr")
    project.hang_up()
    assert process.wait(PATIENCE_S) == 130
    assert f"sagarun watch {run_id}" in "".join(told)
    project.sagarun(ORDER, "--case", "card_declined", code=1)
    run = project.run_json("show", run_id)
    assert run["status"] == "completed"
    assert "worker_lost" not in [(entry["error"] or {}).get("code") for step in run["steps"] for entry in step["tries"]]
    assert project.charges("ORD-004") == [("succeeded", 2_999, 0)]


def test_a_second_interrupt_does_not_wait(project: Project):
    process, _ = project.charge_in_the_air()
    process.send_signal(signal.SIGINT)
    await_line(process, "letting the workers finish", of="stderr")
    process.send_signal(signal.SIGINT)
    await_line(process, "killed; the next command goes on from there", of="stderr")  # the charge is still in the air
    assert process.wait(PATIENCE_S) == 130


def test_two_commands_at_once_share_the_server_and_do_not_disturb_each_other(project: Project):
    first = project.start(*SILENT, "--format", "json")
    second = project.start(ORDER, "--case", "shipping_refused", "--format", "json")
    outputs = [process.communicate(timeout=PATIENCE_S) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 1], outputs
    assert project.charges("ORD-004") == [("succeeded", 2_999, 0)]
    assert project.charges("ORD-006") == [("refunded", 4_999, 4_999)]
    assert project.books().holds == [("ORD-004", "PROD-001", 1)]


def test_the_server_outlives_the_first_of_two_commands(project: Project):
    process, run_id = project.charge_in_the_air()
    project.sagarun(ORDER, "--case", "card_declined", code=1)
    assert process.poll() is None
    project.hang_up()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "completed in" in out
    assert project.run_json("show", run_id)["status"] == "completed"


def test_a_command_does_not_wait_for_the_run_of_another_one(project: Project):
    process, _ = project.charge_in_the_air()
    ended = project.sagarun(ORDER, "--case", "card_declined", code=1)
    assert "interrupted" not in ended.err
    assert process.poll() is None


def test_a_detached_run_is_finished_by_a_background_host_that_then_ends(project: Project):
    ended = project.sagarun(*SILENT, "--detach", "--format", "json", code=0)
    run_id = ended.json["run_id"]
    assert f"sagarun watch {run_id}" in ended.err
    watched = project.sagarun("watch", run_id, code=0)
    assert "completed in" in watched.out
    assert project.charges("ORD-004") == [("succeeded", 2_999, 0)]
    soon(lambda: not project.hosts(), "the background host has ended")


def test_detached_runs_share_one_background_host(project: Project):
    project.wait_for_silence()
    project.sagarun(*SILENT, "--detach", code=0)
    soon(lambda: project.charges("ORD-004"), "the first has been charged, and waits for its answer")
    project.sagarun(ORDER, "--case", "card_declined", "--detach", code=0)
    project.sagarun(ORDER, "--case", "success", "--detach", code=0)
    assert len(project.hosts()) == 1
    soon(lambda: len(project.run_json("list", "--status", "running")) == 1, "the others are over")
    project.hang_up()
    soon(lambda: not project.hosts(), "the background host has ended")
    statuses = {run["key"]: run["status"] for run in project.run_json("list")}
    assert statuses == {"ORD-004": "completed", "ORD-002": "compensated", "ORD-001": "completed"}


def test_a_wait_that_is_over_leaves_a_run_that_goes_on(project: Project):
    ended = project.sagarun(*SILENT, "--wait", "1ms", code=5)
    assert "the run goes on: sagarun watch" in ended.err
    soon(lambda: project.run_json("list")[0]["status"] == "completed", "the run is finished in the background")
    assert project.charges("ORD-004") == [("succeeded", 2_999, 0)]


def test_watch_and_show_never_start_an_engine(project: Project):
    process, run_id = project.charge_in_the_air()
    process.send_signal(signal.SIGKILL)
    process.wait()
    ended = project.sagarun("watch", run_id, "--wait", "1500ms", code=5)
    assert "no engine is running" in ended.err
    assert project.run_json("show", run_id)["status"] == "running"


def test_a_reader_that_goes_away_does_not_stop_the_run(project: Project):
    process = project.start(ORDER)
    await_line(process, "▶")
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 0
    assert project.charges("ORD-001") == [("succeeded", 10_997, 0)]
    process.stdout = None


def test_cancel_from_another_shell_undoes_the_order(project: Project):
    process, run_id = project.charge_in_the_air()
    cancel = project.start("cancel", run_id, "--reason", "changed my mind")
    await_line(cancel, f"cancel of run {run_id}: accepted")
    project.hang_up()
    assert [cancel.wait(PATIENCE_S), process.wait(PATIENCE_S)] == [0, 4]
    assert project.run_json("show", run_id)["status"] == "cancelled"
    assert project.charges("ORD-004") == [("refunded", 2_999, 2_999)]
    assert project.books().holds == []


def test_nothing_is_left_running_but_the_gateway(project: Project):
    project.sagarun(ORDER, code=0)
    soon(lambda: len(_processes_of(project)) == 1, "server and keeper have ended; the sandbox gateway is left")


def _processes_of(project: Project) -> list[Path]:
    return [process for process in Path("/proc").glob("[0-9]*") if _belongs_to(process, project.root)]


def _belongs_to(process: Path, root: Path) -> bool:
    """Whether its command line or its folder names the project."""
    try:
        return str(root) in (process / "cmdline").read_text() or (process / "cwd").readlink().is_relative_to(root)
    except OSError:
        return False
