"""A worker process that shares no code with the project, written from docs/wire.md alone: tasks, undo and refusals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.cli.story.reading import read_view
from runner.client import Client
from tests.acceptance.program import PATIENCE_S, Project, await_line
from tests.project.repository import ROOT

WORKER = Path(__file__).parent / "other_language/worker.mjs"
DEFINITION = """
workflow: seats
version: 1.0.0
steps:
  - id: book
    worker: seats.book
    with: {seat: "{{ input.seat }}"}
    raises: [no_such_seat]
    compensate: {worker: seats.cancel, with: {}}
  - when: "{{ input.seat % 2 == 0 }}"
    fail: {error: odd_seats_only}
output: {ticket: "{{ steps.book.output.ticket }}"}
"""


@pytest.fixture
def node(valkey_url: str, namespace: str) -> Iterator[subprocess.Popen[str]]:
    """The worker process in Node, on the server and in the namespace of the project."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node on PATH: install the Debian package nodejs (as .ci/run does)")
    process = subprocess.Popen(
        [program, WORKER, valkey_url.removeprefix("unix://"), namespace, ROOT / "runner/store/lua"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    await_line(process, "ready")
    yield process
    process.kill()
    process.communicate()


def test_a_worker_in_another_language_does_undoes_and_refuses(
    named_project: Project, valkey_url: str, node: subprocess.Popen[str]
):
    (named_project.root / "definitions/seats.yaml").write_text(DEFINITION)
    named_project.start("--redis-url", valkey_url, "engine")
    with Client(valkey_url, root=named_project.root) as client:
        runs = client.start_many("seats", [{"seat": seat} for seat in range(5)])
        results = [run.result(PATIENCE_S) for run in runs]
        (undone,) = [each for each in read_view(client, runs[2].id).steps if each.id == "book"]
        node.send_signal(signal.SIGTERM)
        out, err = node.communicate(timeout=PATIENCE_S)
        assert [process.kind for process in client.store.processes()] == ["engine"], "it signed off"
    ended = [(each.status, each.error.code if each.error else each.output) for each in results]
    assert ended == [
        ("compensated", "no_such_seat"), ("completed", {"ticket": "T-1"}), ("compensated", "odd_seats_only"),
        ("completed", {"ticket": "T-3"}), ("compensated", "odd_seats_only"),
    ]  # fmt: skip
    assert (undone.status, [attempt.log for attempt in undone.tries]) == ("compensated", ["sold ✓", ""])
    assert (json.loads(out), err, node.returncode) == ([1, 3], "", 0), "what was undone is sold no more"
