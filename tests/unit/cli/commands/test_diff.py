"""`sagarun diff`: against git, a file and standard input; what is told, and with which ending."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.cli import opened
from runner.cli.main import invoke
from tests.desk import ORDER, Desk

FILE = Path("definitions/order.yaml")
CHANGED = ORDER.replace("raises: [declined]", "raises: [declined]\n    timeout: 8s")


def git(*arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SAGARUN_REDIS_URL", "SAGARUN_CONFIG", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    FILE.parent.mkdir()
    FILE.write_text(ORDER)


@pytest.fixture
def repository() -> None:
    git("init", "--quiet", "--template=")
    git("add", "-A")
    git("commit", "--quiet", "-m", "one")


def diff(*arguments: str) -> int:
    return invoke(["diff", str(FILE), *arguments])


@pytest.mark.usefixtures("repository")
def test_a_change_under_the_same_version_is_told_and_is_exit_code_1(capsys: pytest.CaptureFixture[str]):
    FILE.write_text(CHANGED)
    assert diff("--against", "git:HEAD") == 1
    out, err = capsys.readouterr()
    assert out == "order 1.2.0 · definitions/order.yaml against git:HEAD\n  ~ charge  timeout: 60s → 8s\n"
    assert err.startswith("1 change in behaviour\nRuns that are under way keep the definition that they began with")
    assert err.endswith("warning: the behaviour has changed, and version is still 1.2.0: raise it\n")


@pytest.mark.usefixtures("repository")
def test_a_new_version_may_do_something_else(capsys: pytest.CaptureFixture[str]):
    FILE.write_text(CHANGED.replace("version: 1.2.0", "version: 1.3.0"))
    assert diff("--against", "git:HEAD") == 0
    assert diff("--against", "git:HEAD", "--exit-code") == 1
    out, err = capsys.readouterr()
    assert out.startswith("order 1.2.0 → 1.3.0 · ")
    assert "warning" not in err


@pytest.mark.usefixtures("repository")
def test_the_same_is_exit_code_0(capsys: pytest.CaptureFixture[str]):
    FILE.write_text(ORDER.replace("A small one", "Another word"))
    assert diff("--against", "git:HEAD", "--exit-code") == 0
    assert capsys.readouterr().err == "no change in behaviour; 1 change in what is only said\n"


def test_files_that_it_refers_to_are_those_of_then(tmp_path: Path):
    (tmp_path / "schemas").mkdir()
    schema = tmp_path / "schemas/in.json"
    schema.write_text('{"type": "object", "properties": {"id": {"type": "string"}}}')
    FILE.write_text("workflow: a\nversion: 1.0.0\ninput: {$ref: ../schemas/in.json}\nsteps: [{set: {a: 1}}]\n")
    git("init", "--quiet", "--template=")
    git("add", "-A")
    git("commit", "--quiet", "-m", "one")
    schema.write_text('{"type": "object", "properties": {"id": {"type": "integer"}}}')
    assert diff("--against", "git:HEAD") == 1


@pytest.mark.usefixtures("repository")
def test_a_project_in_a_folder_of_the_repository_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inner = tmp_path / "inner"
    (inner / "definitions").mkdir(parents=True)
    (inner / "sagarun.yaml").write_text("project: inner\n")
    (inner / "definitions/order.yaml").write_text(ORDER)
    git("add", "-A")
    git("commit", "--quiet", "-m", "two")
    (inner / "definitions/order.yaml").write_text(CHANGED)
    monkeypatch.chdir(inner)
    assert diff("--against", "git:HEAD") == 1
    assert diff("--against", "git:HEAD~1") == 0  # it was not there: all of it is new


@pytest.mark.parametrize("against", ["git:HEAD", "git:--help", "nowhere.yaml"])
def test_what_is_not_there_is_a_usage_error(against: str, capsys: pytest.CaptureFixture[str]):
    assert diff("--against", against) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.usefixtures("repository")
def test_what_cannot_be_read_is_said_with_its_place(capsys: pytest.CaptureFixture[str]):
    git("tag", "good")
    FILE.write_text("workflow: [")
    git("commit", "--quiet", "-a", "-m", "broken")
    FILE.write_text(ORDER)
    assert diff("--against", "git:HEAD") == 2
    told = capsys.readouterr().err
    assert told.startswith("error: the definition at HEAD cannot be read\n  definitions/order.yaml:1:12: error[SR001]")


def test_another_file_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = tmp_path / "definitions/old.yaml"
    other.write_text(CHANGED)
    assert diff("--against", str(other)) == 1
    monkeypatch.setattr("sys.stdin", io.StringIO(ORDER))
    assert diff("--against", "-") == 0


def test_as_json_everything_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "definitions/old.yaml").write_text(ORDER)
    FILE.write_text(CHANGED)
    assert diff("--against", "definitions/old.yaml", "--format", "json") == 1
    told = json.loads(capsys.readouterr().out)
    (change,) = told["changes"]
    assert (change["step"], change["what"], change["before"], change["after"]) == ("charge", "timeout", "60s", "8s")
    assert (told["behaviour_changed"], told["version_is_stale"], told["live_runs"]) == (True, True, None)
    assert told["old"]["digest"] != told["new"]["digest"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A project in which runs were started, on a server that is in memory."""
    made = Desk(tmp_path)
    monkeypatch.setattr(opened, "has_runs", lambda _: True)

    class Opened:
        def __enter__(self) -> Any:
            return SimpleNamespace(store=made.store)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(opened, "opened_store", lambda _: Opened())
    return made


def test_runs_that_are_under_way_are_counted_by_their_definition(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "definitions/old.yaml").write_text(ORDER)
    FILE.write_text(CHANGED)
    desk.client.start(desk.definition, {"id": "A-1"})
    diff("--against", "definitions/old.yaml")
    assert "1 run of 1.2.0 under way" in capsys.readouterr().out
    diff("--against", "definitions/old.yaml", "--offline")
    assert "under way" not in capsys.readouterr().out
    desk.work()
    diff("--against", "definitions/old.yaml")
    assert "no run of order is under way\n" in capsys.readouterr().out
