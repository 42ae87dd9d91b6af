"""Parents and children in real processes: engines that are killed, a child that is stuck, what another shell asks."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter

import pytest

from runner.client import Client, RunInfo
from tests.acceptance.program import PATIENCE_S, Project, await_line, soon

WORKERS = '''
"""Writes down every attempt."""

import os
import time
from pathlib import Path

from runner import BusinessError, Context, worker

FOLDER = Path(os.environ["FAMILY"])


def note(line: str) -> None:
    with (FOLDER / "log").open("a") as stream:
        stream.write(line + "\\n")


@worker("family.do", raises=["no"])
def do(ctx: Context, name: str) -> None:
    if name == "bad":
        raise BusinessError("no", "not today")
    note(f"do {name} {ctx.idempotency_key}")
    while (FOLDER / f"hold-{name}").exists():
        time.sleep(0.01)


@worker("family.undo", raises=["locked"])
def undo(ctx: Context, name: str) -> None:
    if (FOLDER / "locked").exists():
        raise BusinessError("locked", "the door is locked")
    note(f"undo {name} {ctx.idempotency_key}")
'''
STEP = "{{id: {0}, worker: family.do, with: {{name: {0}}}, compensate: {{worker: family.undo, with: {{name: {0}}}}}}}"
CHILD = f"""
workflow: family_child
version: 1.0.0
steps:
  - {STEP.format("a")}
  - {{id: inner, subworkflow: family_grandchild}}
  - {STEP.format("b")}
"""
GRANDCHILD = f"""
workflow: family_grandchild
version: 1.0.0
steps:
  - {STEP.format("g")}
"""
PARENT = f"""
workflow: family
version: 1.0.0
input: {{type: object, properties: {{last: {{default: last}}, number: {{default: 0}}}}}}
steps:
  - {STEP.format("first")}
  - {{id: sub, subworkflow: family_child}}
  - {{id: last, worker: family.do, with: {{name: "{{{{ input.last }}}}"}}, raises: ["no"], kind: compensatable,
     compensate: {{worker: family.undo, with: {{name: last}}}}}}
"""
FORWARD, BACK = ["first", "a", "g", "b"], ["b", "g", "a", "first"]


class Family:
    """A project with these workflows, and what their workers wrote down."""

    def __init__(self, project: Project) -> None:
        self.project, self.folder = project, project.root / "family"
        self.folder.mkdir()
        (project.root / "workers/family.py").write_text(WORKERS)
        for name, text in (("family", PARENT), ("family_child", CHILD), ("family_grandchild", GRANDCHILD)):
            (project.root / f"definitions/{name}.yaml").write_text(text)
        project.environment["FAMILY"] = str(self.folder)

    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def told(self) -> list[str]:
        return [line.rpartition(" ")[0] for line in self.log()]

    def runs(self) -> dict[str, dict[str, str]]:
        return {run["run_id"]: run for run in self.project.run_json("list", "--limit", "1000")}

    def child_of(self, run_id: str) -> str:
        return next(each for each, run in self.runs().items() if run["parent"] == run_id)

    def is_under_way(self, name: str) -> bool:
        return f"do {name}" in self.told()


@pytest.fixture
def family(project: Project) -> Family:
    return Family(project)


def held_in_the_grandchild(family: Family) -> tuple[subprocess.Popen[str], str]:
    (family.folder / "hold-g").touch()
    process = family.project.start("definitions/family.yaml")
    run_id = await_line(process, "▶")[-1].split()[5]
    soon(lambda: family.is_under_way("g"), "the grandchild's step is under way")
    return process, run_id


def test_a_family_whose_command_was_killed_is_finished_by_the_next_engine(family: Family):
    process, run_id = held_in_the_grandchild(family)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (family.folder / "hold-g").unlink()
    engine = family.project.start("engine")
    soon(lambda: family.project.status(run_id) == "completed", "the engine has finished the family")
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(PATIENCE_S) == 0
    assert {run["status"] for run in family.runs().values()} == {"completed"}
    assert family.told() == ["do first", "do a", "do g", "do g", "do b", "do last"]
    assert len(set(family.log())) == 5  # the second attempt came with the key of the first
    assert len(family.runs()) == 3


def test_a_cancel_from_another_shell_undoes_the_whole_family(family: Family):
    process, run_id = held_in_the_grandchild(family)
    asked = family.project.start("cancel", run_id, "--reason", "changed my mind")
    soon(lambda: family.project.status(run_id) == "compensating", "the family turns back")
    (family.folder / "hold-g").unlink()
    assert asked.wait(PATIENCE_S) == 0
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 4
    assert {run["status"] for run in family.runs().values()} == {"cancelled"}
    assert family.told()[-3:] == ["undo g", "undo a", "undo first"]


def test_a_stuck_child_is_named_by_its_parent_and_mended_by_itself(family: Family):
    (family.folder / "locked").touch()
    ended = family.project.sagarun("definitions/family.yaml", "--set", "last=bad", code=3)
    runs = family.runs()
    root = next(run for run in runs.values() if not run["parent"])
    child = family.child_of(root["run_id"])
    assert (root["status"], runs[child]["status"]) == ("compensating", "stuck")
    assert f"it waits for run {child}, which is stuck" in ended.out
    assert f"sagarun show {child}" in ended.out
    refused = family.project.sagarun("resume", root["run_id"], code=1)
    assert f"waits at sub for run {child}, which is stuck: resume that one" in refused.err
    assert f"child of {root['run_id']}" in family.project.sagarun("list", code=0).out
    (family.folder / "locked").unlink()
    family.project.sagarun("resume", child, code=0)
    soon(lambda: family.project.status(root["run_id"]) == "compensated", "the parent is undone too")
    assert [line for line in family.told() if line.startswith("undo")] == [f"undo {name}" for name in BACK]


# -- a server, an engine and a worker process of their own ------------------------------------------------
RUNS, KILLS = 30, 8


def test_families_survive_engines_that_are_killed_again_and_again(named_project: Project, valkey_url: str):
    """Engines are killed in the middle of their work; what workers did was asked for once, and in its order."""
    family = Family(named_project)
    named_project.environment["SAGARUN_REDIS_URL"] = valkey_url
    worker, engine = named_project.start("worker"), named_project.start("engine")
    inputs = [{"number": number, "last": "bad" if number % 2 else "last"} for number in range(RUNS)]
    with Client(valkey_url, root=named_project.root) as client:
        soon(lambda: len(client.store.processes()) == 2, "engine and worker are there")
        handles = client.start_many(named_project.root / "definitions/family.yaml", inputs)
        for _ in range(KILLS):
            seen = len(family.log())
            soon(lambda seen=seen: len(family.log()) > seen or _are_over(client), "the runs go on")  # type: ignore[misc]
            engine.send_signal(signal.SIGKILL)
            engine.wait()
            engine = named_project.start("engine")
        statuses = [handle.result(timeout=PATIENCE_S).status for handle in handles]
        runs = {run.run_id: run for run in client.list(limit=1_000)}
    assert statuses == ["completed", "compensated"] * (RUNS // 2)
    assert len(runs) == 3 * RUNS
    assert Counter(run.status for run in runs.values()) == {"completed": 3 * RUNS // 2, "compensated": 3 * RUNS // 2}
    log = [line.split() for line in family.log()]
    for handle, status in zip(handles, statuses, strict=True):
        members = _below(runs, handle.id)
        told = [(verb, name) for verb, name, key in log if key.partition("/")[0] in members]
        done = [*FORWARD, "last"] if status == "completed" else FORWARD
        assert told == [("do", name) for name in done] + [
            ("undo", name) for name in BACK if status == "compensated"
        ]
    for process in (engine, worker):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def _are_over(client: Client) -> bool:
    return client.store.count_live() == 0


def _below(runs: dict[str, RunInfo], root: str) -> list[str]:
    """The run and all that it started, directly or not."""
    found = [root]
    for run_id in found:
        found += [each for each, run in runs.items() if run.parent == run_id]
    return found
