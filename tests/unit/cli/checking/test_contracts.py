"""schemas/workers.json: what is in it, when it is read, and when it is stale."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.cli.checking.contracts import differences, known_contracts, lock_file, lock_text, read_lock
from runner.cli.main import invoke
from runner.definition.project import Project
from runner.errors import ConfigError
from runner.worker.registry import Registry

WORKER = """
from runner import worker

@worker("goods.lend")
def lend(name: str) -> dict[str, int]:
    return {}
"""
DEFINITION = """
workflow: lend
version: 1.0.0
steps:
  - {id: lend, worker: goods.lend, with: {name: a}, compensate: none, reason: a test}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    from runner.worker import registry

    for name in ("SAGARUN_REDIS_URL", "SAGARUN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    # Only this one, and not all of sys.modules: what is imported meanwhile would be half there.
    monkeypatch.setitem(sys.modules, "shelf", sys)
    monkeypatch.delitem(sys.modules, "shelf")
    monkeypatch.setattr(registry, "REGISTRY", Registry(registry.BUILTIN))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/lend.yaml").write_text(DEFINITION)
    (tmp_path / "shelf.py").write_text(WORKER)
    (tmp_path / "sagarun.yaml").write_text("workers: [shelf]\n")
    monkeypatch.setattr("runner.worker.registry.worker", registry.REGISTRY.worker)
    monkeypatch.setattr("runner.worker", registry.REGISTRY.worker, raising=False)
    return Project(root=tmp_path, workers=("shelf",))


def contract(**changes: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    return {"readonly": False, "raises": [], "input": schema, "output": {}, "location": "a.py:3", **changes}


def test_workers_are_sorted_and_neither_lines_nor_what_comes_with_sagarun_are_in_it():
    text = lock_text({"b": contract(), "a": contract(), "http.request": contract()})
    assert list(json.loads(text)) == ["a", "b"]
    assert json.loads(text)["a"]["location"] == "a.py"


def test_what_differs_is_said_by_worker_and_key():
    old = {"gone": contract(), "kept": contract(), "same": contract()}
    new = {"kept": contract(input={"type": "object", "properties": {"name": {"type": "integer"}}}, raises=["no"])}
    assert list(differences(old, {**new, "same": contract(), "new": contract()})) == [
        "gone: there is no such worker any more",
        'kept: input.properties.name.type: "string" → "integer"',
        'kept: raises: [] → ["no"]',
        "new: a new worker",
    ]


def test_with_the_file_no_worker_code_is_imported(project: Project):
    lock_file(project).parent.mkdir()
    lock_file(project).write_text(lock_text({"goods.lend": contract()}))
    (project.root / "shelf.py").write_text("raise RuntimeError")
    assert {"goods.lend", "http.request"} <= known_contracts(project).keys()
    with pytest.raises(ConfigError, match=r"shelf\.py:1"):
        known_contracts(project, live=True)
    with pytest.raises(ConfigError, match=r"shelf\.py:1"):
        known_contracts(project, ["shelf"])


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": {"readonly": false}}', "\xff"])
def test_a_file_that_holds_no_contracts_is_refused_with_what_to_do(tmp_path: Path, text: str):
    (tmp_path / "workers.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="sagarun workers export"):
        read_lock(tmp_path / "workers.json")


def test_export_check_and_validate_agree(project: Project, capsys: pytest.CaptureFixture[str]):
    assert invoke(["workers", "check"]) == 1
    assert "there is no schemas/workers.json" in capsys.readouterr().err
    assert invoke(["workers", "export"]) == 0
    assert invoke(["workers", "export", "--check"]) == 0
    changed = lock_file(project).read_text().replace("goods.lend", "goods.give")
    lock_file(project).write_text(changed)
    capsys.readouterr()
    assert invoke(["workers", "check"]) == 1
    out, err = capsys.readouterr()
    assert out == "goods.give: there is no such worker any more\ngoods.lend: a new worker\n"
    assert "schemas/workers.json is stale" in err
    assert invoke(["validate"]) == 1  # by the file, which knows no goods.lend
    assert invoke(["validate", "--live"]) == 0
    capsys.readouterr()
    invoke(["doctor"])
    assert "! contracts   schemas/workers.json is stale" in capsys.readouterr().out


def test_list_says_what_a_worker_takes(project: Project, capsys: pytest.CaptureFixture[str]):
    assert project.root == Path.cwd()
    assert invoke(["workers", "list"]) == 0
    assert "goods.lend    (name)  shelf.py:4\n" in capsys.readouterr().out
    invoke(["workers", "list", "--format", "json"])
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["goods.lend", "http.request"]


def test_export_can_go_to_standard_output(project: Project, capsys: pytest.CaptureFixture[str]):
    assert invoke(["workers", "export", "--output", "-"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["goods.lend"]
    assert not lock_file(project).exists()
