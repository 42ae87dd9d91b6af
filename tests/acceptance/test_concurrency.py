"""A workflow of which one run at a time may be under way: what the commands of a second run say and do."""

from __future__ import annotations

import signal
import subprocess

import pytest

from tests.acceptance.program import PATIENCE_S, Project, await_line

TURN = """\
workflow: turn
version: 1.0.0
concurrency: {{limit: 1, on_limit: {on_limit}}}
steps:
  - {{id: go, wait_for: {{signal: go}}}}
"""


def begin(project: Project) -> tuple[subprocess.Popen[str], str]:
    """A command that follows a run of it, and the run: one that began waits until it is cancelled."""
    process = project.start("run", "turn")
    return process, await_line(process, "▶")[-1].split()[5]


def one_at_a_time(project: Project, on_limit: str) -> tuple[subprocess.Popen[str], str]:
    """The first run is under way."""
    (project.root / "definitions/turn.yaml").write_text(TURN.format(on_limit=on_limit))
    process, run_id = begin(project)
    await_line(process, "waits for signal go")
    return process, run_id


def test_a_run_beyond_a_limit_that_rejects_is_not_started(project: Project):
    first, run_id = one_at_a_time(project, "reject")
    second = project.sagarun("run", "turn", code=1)
    assert "turn has at most 1 run under way at once" in second.err
    assert run_id in second.err
    assert len(project.run_json("list")) == 1
    project.sagarun("cancel", run_id, code=0)
    assert first.wait(PATIENCE_S) == 4


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_beyond_the_limit_waits_for_the_other_though_its_command_is_killed(project: Project, killed: bool):
    first, run_id = one_at_a_time(project, "queue")
    second, waiting = begin(project)
    listed = {run["run_id"]: (run["status"], run["waits_for"]) for run in project.run_json("list")}
    assert listed == {run_id: ("running", ""), waiting: ("pending", "turn")}
    shown = project.sagarun("show", waiting, code=0).out
    assert f"turn has 1 of 1 run under way ({run_id}); it is next" in shown
    if killed:
        first.send_signal(signal.SIGKILL)
    project.sagarun("cancel", run_id, code=0)
    await_line(second, "waits for signal go")
    project.sagarun("cancel", waiting, code=0)
    _, err = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 4, err
    assert f"it waits to begin: turn has 1 of 1 run under way ({run_id})" in err
    before, after = project.run_json("show", run_id), project.run_json("show", waiting)
    assert after["started_at_ms"] >= before["started_at_ms"] + before["duration_ms"]


def test_a_run_that_waits_is_cancelled_at_once(project: Project):
    first, run_id = one_at_a_time(project, "queue")
    second, waiting = begin(project)
    project.sagarun("cancel", waiting, code=0)
    assert second.wait(PATIENCE_S) == 4
    assert (project.status(run_id), project.status(waiting)) == ("running", "cancelled")
    project.sagarun("cancel", run_id, code=0)
    assert first.wait(PATIENCE_S) == 4
