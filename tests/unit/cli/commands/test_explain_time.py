"""`sagarun explain-time`: the sums, told with what they are made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli.main import invoke

DEFINITION = """
workflow: lend
version: 1.0.0
timeout: 1h
defaults: {timeout: 10s, retry: {max_attempts: 2, initial: 1s}}
steps:
  - {id: pause, wait: 2h, when: "{{ input.late }}"} # sagarun: ignore[SR318] on purpose
  - id: lines
    for_each:
      in: "{{ input.lines }}"
      as: line
      steps:
        - id: call
          worker: http.request
          with: {method: POST, url: "https://a.example"}
          compensate: {worker: http.request, with: {method: DELETE, url: "https://a.example"}}
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAGARUN_CONFIG", raising=False)
    (tmp_path / "lend.yaml").write_text(DEFINITION)


def test_every_step_says_how_long_and_why(capsys: pytest.CaptureFixture[str]):
    assert invoke(["explain-time", "lend.yaml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "lend 1.0.0",
        "  pause            2h",
        "  lines   21s + items  each item",
        "    call          21s  2 attempts of 10s, 1s between   undo 29m 3s: 12 attempts of 10s, 27m 3s between",
        "run   2h + items; its timeout of 1h comes first",
        "      an attempt whose process dies is over after 30s, also where its timeout is shorter",
        "undo  29m 3s, all of it, one after the other; a run's timeout does not end it",
    ]


def test_json_has_milliseconds(capsys: pytest.CaptureFixture[str]):
    invoke(["explain-time", "lend.yaml", "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["worst_ms"], told["open"], told["timeout_ms"]) == (7_221_000, ["items"], 3_600_000)
    assert [step["worst_ms"] for step in told["steps"]] == [7_200_000, 21_000, 21_000]


def test_what_finally_takes_is_said_apart(capsys: pytest.CaptureFixture[str]):
    closing = "finally: [{id: note, worker: http.request, with: {method: GET, url: 'https://a.example'}}]\n"
    Path("lend.yaml").write_text(DEFINITION + closing)
    invoke(["explain-time", "lend.yaml"])
    assert "      and 21s of finally behind it, which no timeout ends" in capsys.readouterr().out.splitlines()
    invoke(["explain-time", "lend.yaml", "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["worst_ms"], told["finally_ms"], told["finally_open"]) == (7_221_000, 21_000, [])


@pytest.mark.parametrize("command", [["explain-time"], ["graph"], ["diff", "--offline", "--against", "lend.yaml"]])
def test_a_definition_is_taken_by_its_name_too(command: list[str], capsys: pytest.CaptureFixture[str]):
    Path("definitions").mkdir()
    Path("definitions/lend.yaml").write_text(DEFINITION)
    assert invoke([command[0], "lend", *command[1:]]) == 0
    assert capsys.readouterr().out.startswith("lend 1.0.0")
    assert invoke([command[0], "land", *command[1:]]) == 2
    assert capsys.readouterr().err == 'error: the definition land is not there. Did you mean "lend"?\n'
