"""A workflow of which one run at a time may be under way: what the commands of a second run say and do."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.program import Project, await_line, soon

ORDER = "definitions/order.yaml"
SLOW = {"PAYMENT_GATEWAY_TIMEOUT_S": "6"}  # how long the charge of the silent gateway is in the air


def one_at_a_time(project: Project, on_limit: str) -> None:
    path = project.root / ORDER
    text = path.read_text()
    path.write_text(text.replace("\nsteps:\n", f"\nconcurrency: {{limit: 1, on_limit: {on_limit}}}\nsteps:\n", 1))


def under_way(project: Project):
    """A command whose order is being charged, and its run."""
    process = project.start(ORDER, "--case", "payment_timeout_charged", environment=SLOW)
    run_id = await_line(process, "▶")[-1].split()[5]
    soon(lambda: project.charges("ORD-004"), "the gateway has charged the order")
    return process, run_id


def test_a_run_beyond_a_limit_that_rejects_is_not_started(project: Project):
    one_at_a_time(project, "reject")
    first, run_id = under_way(project)
    second = project.sagarun(ORDER, "--case", "card_declined", code=1)
    assert "order has at most 1 run under way at once" in second.err
    assert run_id in second.err
    assert first.wait(60) == 0
    assert len(project.run_json("list")) == 1


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_beyond_the_limit_waits_for_the_other_though_its_command_is_killed(project: Project, killed: bool):
    one_at_a_time(project, "queue")
    first, run_id = under_way(project)
    second = project.start(ORDER, "--case", "card_declined")
    waiting = await_line(second, "▶")[-1].split()[5]
    listed = {run["run_id"]: (run["status"], run["waits_for"]) for run in project.run_json("list")}
    assert listed == {run_id: ("running", ""), waiting: ("pending", "order")}
    shown = project.sagarun("show", waiting, code=0).out
    assert f"order has 1 of 1 run under way ({run_id}); it is next" in shown
    if killed:
        first.send_signal(signal.SIGKILL)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 1, out + err  # its card is declined
    assert f"it waits to begin: order has 1 of 1 run under way ({run_id})" in err
    runs = {run["run_id"]: run for run in (project.run_json("show", one) for one in (run_id, waiting))}
    assert [run["status"] for run in runs.values()] == ["completed", "compensated"]
    ended_ms = runs[run_id]["started_at_ms"] + runs[run_id]["duration_ms"]
    assert runs[waiting]["started_at_ms"] >= ended_ms


def test_a_run_that_waits_is_cancelled_at_once(project: Project):
    one_at_a_time(project, "queue")
    first, _ = under_way(project)
    second = project.start(ORDER, "--case", "card_declined")
    waiting = await_line(second, "▶")[-1].split()[5]
    project.sagarun("cancel", waiting, code=0)
    assert second.wait(60) == 4
    assert first.poll() is None  # the other is still under way
    assert first.wait(60) == 0
