"""Runs that wait for somebody: signals from another shell, Ctrl-C in between."""

from __future__ import annotations

import os
import pty
import signal
import subprocess

import pytest

from tests.acceptance.program import PATIENCE_S, Project, await_line, soon

REVIEW = """
workflow: review
version: 1.0.0
input: {type: object, properties: {items: {type: array, default: [1, 2]}, twice: {type: boolean, default: false}}}
steps:
  - id: lines
    for_each: {in: "{{ input.items }}", as: line, max_parallel: 50, steps: [{id: note, set: {last: "{{ line }}"}}]}
  - id: approval
    wait_for:
      signal: approval
      timeout: 1d
      schema: {type: object, required: [ok], properties: {ok: {type: boolean}, by: {type: string, default: nobody}}}
  - {id: again, when: "{{ input.twice }}", wait_for: {signal: second}}
output: {approval: "{{ steps.approval.output }}"}
"""


@pytest.fixture
def reviewed(project: Project) -> Project:
    (project.root / "definitions/review.yaml").write_text(REVIEW)
    return project


def wait_for_it(project: Project, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """A command whose run waits for its approval, and the run's id."""
    process = project.start("definitions/review.yaml", *arguments)
    told = await_line(process, "waits for signal approval")
    run_id = told[0].split(" run ")[1].split()[0]
    assert f"sagarun signal {run_id} approval --data '{{\"ok\":true}}'" in told[-1]
    return process, run_id


def test_a_signal_from_another_shell_ends_the_wait(reviewed: Project):
    process, run_id = wait_for_it(reviewed)
    sent = reviewed.sagarun("signal", run_id[:8], "approval", "--set", "ok:=true", "--id", "mail-1", code=0)
    assert sent.out == f"· signal approval of run {run_id}: accepted\n"
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert "signal approval came" in out
    assert 'approval: {"ok":true,"by":"nobody"}' in out
    again = reviewed.sagarun("signal", run_id, "approval", "--set", "ok:=true", "--id", "mail-1", code=0)
    assert "it was sent before" in again.out


def test_what_cannot_be_sent_is_refused_with_its_reason(reviewed: Project):
    process, run_id = wait_for_it(reviewed)
    wrong = [
        (("approva",), 1, 'did you mean "approval"?'),
        (("approval",), 1, '"ok" is a required property'),
        (("approval", "--data", '{"ok": "yes"}'), 1, 'ok: "yes" is not of type "boolean"'),
        (("approval", "--data", "ok=true"), 2, "--set ok:=true"),
        (("approval", "--data", "{}", "--data-file", "x"), 2, "leave one out"),
        (("approval", "--data-file", "absent.json"), 2, "cannot be read"),
        (("approval", "--set", "ok:=true", "--id", "a|b"), 2, "a signal's id"),
    ]
    for arguments, code, message in wrong:
        assert message in reviewed.sagarun("signal", run_id, *arguments, code=code).err
    reviewed.sagarun("signal", run_id, "approval", "--data-file", "-", given='{"ok": false}', code=0)
    assert process.wait(PATIENCE_S) == 0
    assert "is completed already" in reviewed.sagarun("signal", run_id, "approval", "--set", "ok:=true", code=1).err


def test_an_interrupted_wait_goes_on_and_a_signal_moves_the_run_that_nobody_looks_after(reviewed: Project):
    process, run_id = wait_for_it(reviewed, "--set", "twice:=true")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert f"sagarun watch {run_id}" in err
    first = reviewed.sagarun("signal", run_id, "approval", "--set", "ok:=true", code=0)
    assert "✓ approval" in first.out
    assert f"  signal  sagarun signal {run_id} second\n" in first.out  # it waits again, and this command did not stay
    second = reviewed.run_json("signal", run_id, "second", code=0)
    assert second == {"run_id": run_id, "verb": "signal", "signal": "second", "answer": "accepted"}
    assert reviewed.run_json("show", run_id, code=0)["status"] == "completed"


def test_show_says_what_a_run_waits_for_as_text_and_as_json(reviewed: Project):
    process, run_id = wait_for_it(reviewed)
    told = reviewed.sagarun("show", run_id, code=0).out
    assert "waits for signal approval until " in told
    (waiting,) = [step for step in reviewed.run_json("show", run_id)["steps"] if step["waits"]]
    assert (waiting["path"], waiting["waits"]["signal"]) == ("approval", "approval")
    process.kill()


def test_a_signal_to_a_run_that_waits_to_begin_is_kept(reviewed: Project):
    limited = REVIEW.replace("version: 1.0.0", "version: 1.0.0\nconcurrency: {limit: 1}")
    (reviewed.root / "definitions/review.yaml").write_text(limited)
    process, first = wait_for_it(reviewed)
    second = reviewed.start("definitions/review.yaml")
    soon(lambda: len(reviewed.run_json("list", "--status", "pending")) == 1, "the second one is in line")
    (pending,) = [run["run_id"] for run in reviewed.run_json("list", "--status", "pending")]
    assert "it is kept until the run begins" in reviewed.sagarun(
        "signal", pending, "approval", "--set", "ok:=true", code=0
    ).err
    reviewed.sagarun("signal", first, "approval", "--set", "ok:=true", code=0)
    assert process.wait(PATIENCE_S) == 0
    assert second.wait(PATIENCE_S) == 0


def test_a_thousand_items_do_not_flood_a_terminal(reviewed: Project):
    (reviewed.root / "many.json").write_text(f'{{"items": {list(range(1_000))}}}')
    run_id = reviewed.sagarun("definitions/review.yaml", "--input", "many.json", "--detach", code=0).out.strip()
    ours, theirs = pty.openpty()
    watching = reviewed.start("watch", run_id, stdin=theirs, stdout=theirs, environment={"TERM": "xterm"})
    os.close(theirs)
    done = [{"count": 1_000, "completed": 1_000}]

    def parts() -> list[object]:
        return [step["parts"] for step in reviewed.run_json("show", run_id)["steps"][:1]]  # it may not have begun

    soon(lambda: parts() == done, "every item is done")
    reviewed.sagarun("signal", run_id, "approval", "--set", "ok:=true", code=0)
    seen = b""
    while piece := _read(ours):
        seen += piece
    os.close(ours)
    assert watching.wait(PATIENCE_S) == 0
    text = seen.decode()
    assert "1000 items" in text
    assert f"sagarun show {run_id} --all" in text
    assert text.count("\n") < 500
    last = text[text.rindex("lines") :].splitlines()
    assert len(last) < 12, last


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so when the last writer has closed it
        return b""


def test_on_a_server_of_ones_own_a_signal_is_taken_by_the_engine_elsewhere(named_project: Project, valkey_url: str):
    (named_project.root / "definitions/review.yaml").write_text(REVIEW)
    named_project.environment["SAGARUN_REDIS_URL"] = valkey_url
    run_id = named_project.sagarun("definitions/review.yaml", "--detach", code=0).out.strip()
    early = named_project.sagarun("signal", run_id, "approval", "--set", "ok:=true", code=5)
    assert "no engine is running" in early.err
    engine = named_project.start("engine")
    assert named_project.run_json("watch", run_id, code=0)["output"] == {"approval": {"ok": True, "by": "nobody"}}
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(PATIENCE_S) == 0
