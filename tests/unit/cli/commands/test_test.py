"""`sagarun test`: which files, which cases, what is said of one that does not end as it should."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from runner.cli.main import invoke
from runner.errors import BusinessError
from runner.worker import registry as registered
from runner.worker.registry import Registry

DEFINITION = """
workflow: lend
version: 1.0.0
input: {type: object, required: [name], properties: {name: {type: string}}}
steps:
  - {id: pause, wait: 30d}
  - {id: lend, worker: goods.lend, with: {name: "{{ input.name }}"}, compensate: none, reason: a test, raises: [gone]}
output: {ref: "{{ steps.lend.output.name }}"}
"""
CASES = """
definition: lend.yaml
cases:
  - {name: lent, input: {name: ink}, expect: {status: completed, output: {ref: ink}}}
  - {name: gone, input: {name: gone}, expect: {status: compensated, error: gone}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SAGARUN_REDIS_URL", "SAGARUN_CONFIG", "SAGARUN_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/lend.yaml").write_text(DEFINITION)
    (tmp_path / "definitions/lend.test.yaml").write_text(CASES)
    registry = Registry(registered.BUILTIN)
    monkeypatch.setattr(registered, "REGISTRY", registry)
    monkeypatch.setattr(sys, "path", [*sys.path])

    @registry.worker("goods.lend", raises=["gone"])
    def lend(name: str) -> dict[str, str]:
        print("a worker's own words", os.environ["SAGARUN_STATE"])
        if name == "gone":
            raise BusinessError("gone", "nobody has it")
        return {"name": name}

    return tmp_path / "definitions"


def expect(folder: Path, old: str, new: str) -> None:
    (folder / "lend.test.yaml").write_text(CASES.replace(old, new))


def test_cases_that_end_as_they_should_pass_in_virtual_time(capsys: pytest.CaptureFixture[str]):
    assert invoke(["test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "definitions/lend.test.yaml"
    assert "✓ lent" in lines[1]
    assert "30 d in the run" in lines[1]
    assert lines[-1].startswith("2 passed in")


def test_a_failure_says_what_was_expected_and_what_happened(folder: Path, capsys: pytest.CaptureFixture[str]):
    expect(folder, "error: gone", "error: lost")
    assert invoke(["test"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[3:7] == [
        "      error: expected lost, got gone",
        "      what happened  error: gone at lend: nobody has it",
        "                     steps: pause completed, lend failed",
        "                     calls: goods.lend",
    ]
    assert lines[-1].startswith("1 failed, 1 passed in")


def test_quiet_names_the_failures_only(folder: Path, capsys: pytest.CaptureFixture[str]):
    expect(folder, "error: gone", "error: lost")
    invoke(["test", "-q"])
    lines = capsys.readouterr().out.splitlines()
    assert "✗ definitions/lend.test.yaml: gone" in lines[0]


@pytest.mark.parametrize("path", ["definitions", "definitions/lend.yaml", "definitions/lend.test.yaml"])
def test_a_path_is_a_folder_a_definition_or_a_test_file(path: str, capsys: pytest.CaptureFixture[str]):
    assert invoke(["test", path, "-k", "lent"]) == 0
    assert "1 passed" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["-k", "nobody"], ["-k", "and"], ["nowhere"], ["definitions/other.yaml"]])
def test_nothing_to_run_is_a_usage_error(folder: Path, arguments: list[str]):
    (folder / "other.yaml").write_text(DEFINITION)
    assert invoke(["test", *arguments]) == 2


def test_a_definition_with_mistakes_fails_with_them(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "lend.yaml").write_text(DEFINITION.replace("steps.lend.output", "steps.land.output"))
    assert invoke(["test"]) == 1
    out = capsys.readouterr().out
    assert "error[SR204]" in out
    assert "1 failed in" in out


def test_json_is_one_document(folder: Path, capsys: pytest.CaptureFixture[str]):
    expect(folder, "error: gone", "error: lost")
    invoke(["test", "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["failed"]) == (1, 1)
    assert [(case["name"], case["passed"]) for case in told["cases"]] == [("lent", True), ("gone", False)]


def test_junit_counts_what_failed(folder: Path, capsys: pytest.CaptureFixture[str]):
    expect(folder, "error: gone", "error: lost")
    assert invoke(["test", "--format", "junit"]) == 1
    suites = ElementTree.fromstring(capsys.readouterr().out)
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    failure = suites.find("testsuite/testcase[@name='gone']/failure")
    assert failure is not None
    assert failure.get("message") == "error: expected lost, got gone"


def test_workers_are_given_a_folder_that_is_gone_afterwards(capsys: pytest.CaptureFixture[str]):
    invoke(["test", "-k", "lent"])
    said = capsys.readouterr().err.splitlines()[0].split()
    assert said[:4] == ["a", "worker's", "own", "words"]
    assert not Path(said[4]).exists()
    assert "SAGARUN_STATE" not in os.environ
