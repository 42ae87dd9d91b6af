"""What users' tests are given: a workflow run in memory, contexts, and the same as pytest fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import BusinessError
from runner.errors import DefinitionError, InputError
from runner.testing import run_workflow
from runner.worker.registry import Registry

TEXT = """
workflow: two
version: 1.0.0
input: {type: object, required: [n], properties: {n: {type: integer}}}
steps:
  - {id: a, worker: t.do, with: {n: "{{ input.n }}"}, compensate: {worker: t.undo}}
  - {id: b, worker: t.say, kind: readonly, raises: [no]}
"""


def do(n: int) -> int:
    return n


def undo() -> None: ...


def say() -> str:
    raise BusinessError("no")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(TEXT)
    return path


def test_a_run_tells_what_was_called_and_what_was_undone(path: Path) -> None:
    run = run_workflow(path, {"n": 1}, workers={"t.do": do, "t.undo": undo, "t.say": say}, root=path.parent)
    assert (run.status, run.calls, run.undone) == ("compensated", ("t.do", "t.say", "t.undo"), ("a",))
    assert run.steps == {"a": "compensated", "b": "failed"}


def test_a_wrong_input_is_refused_like_at_a_real_start(path: Path) -> None:
    with pytest.raises(InputError, match="n"):
        run_workflow(path, {"n": "one"}, workers={}, root=path.parent)


def test_a_wrong_definition_is_refused(path: Path) -> None:
    path.write_text(TEXT.replace("worker: t.do", "wroker: t.do"))
    with pytest.raises(DefinitionError):
        run_workflow(path, {"n": 1}, workers={}, root=path.parent)


def test_a_run_that_never_rests_is_an_error_and_not_a_hang(path: Path) -> None:
    patient = "kind: readonly, retry: {max_attempts: 1000, initial: 10m, max: 10m}"
    path.write_text(TEXT.replace("kind: readonly", patient))

    def hang_up() -> str:
        raise OSError("down")

    with pytest.raises(TimeoutError, match="virtual time"):
        run_workflow(
            path, {"n": 1}, workers={"t.do": do, "t.undo": undo, "t.say": hang_up}, root=path.parent, limit_ms=3_600_000
        )


def test_the_fixtures_are_there_for_who_asks(tmp_path: Path) -> None:
    import subprocess
    import sys

    root = Path(__file__).parents[2]
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["runner.testing"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(run_workflow, fake_context):\n"
        "    assert fake_context(attempt=2).attempt == 2\n"
        "    assert callable(run_workflow)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:valkey", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=root, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rate_limit_passes_in_virtual_time(path: Path) -> None:
    registry = Registry()
    registry.worker("t.do", rate_limit="1/m")(do)
    registry.worker("t.undo")(undo)
    registry.worker("t.say")(lambda: "said")
    text = TEXT.replace("\nsteps:", "\nsteps:\n  - {id: z, worker: t.do, with: {n: 1}, compensate: {worker: t.undo}}")
    path.write_text(text.replace("raises: [no]", "raises: []"))
    run = run_workflow(path, {"n": 1}, workers=registry, root=path.parent)
    assert (run.status, run.duration_ms) == ("completed", 60_000)
