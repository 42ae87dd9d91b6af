"""`sagarun validate`: which files, in which form, with which ending."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from runner.cli.main import invoke
from tests.desk import ORDER


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SAGARUN_REDIS_URL", "SAGARUN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions/order.yaml").write_text(ORDER)


def validate(*arguments: str) -> int:
    return invoke(["validate", "--no-workers", *arguments])


def break_it(tmp_path: Path) -> None:
    (tmp_path / "definitions/order.yaml").write_text(ORDER.replace("steps.charge.output", "steps.chrage.output"))


def test_the_projects_definitions_are_checked_by_default(capsys: pytest.CaptureFixture[str]):
    assert validate() == 0
    assert capsys.readouterr() == ("", "no problems in 1 file\n")


def test_an_error_is_shown_with_its_line_and_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    break_it(tmp_path)
    assert validate() == 1
    out, err = capsys.readouterr()
    assert out.startswith("definitions/order.yaml:31:29")
    assert "^^^^^^ did you mean" in out
    assert err == "1 error in 1 file\n"


@pytest.mark.parametrize("form", ["text", "full"])
def test_text_is_the_full_form(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]):
    break_it(tmp_path)
    validate("--format", form)
    assert "^^^^^^" in capsys.readouterr().out


def test_the_concise_form_is_a_line_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    break_it(tmp_path)
    validate("--format", "concise")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("definitions/order.yaml:31:29")


def test_json_is_one_array_and_jsonl_a_line_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    break_it(tmp_path)
    validate("--format", "json")
    (problem,) = json.loads(capsys.readouterr().out)
    validate("--format", "jsonl")
    assert json.loads(capsys.readouterr().out) == problem
    assert problem["code"] == "SR204"


def test_test_files_are_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "definitions/order.test.yaml").write_text("definition: order.yaml\ncases: []\n")
    assert validate() == 1
    assert "order.test.yaml:2:" in capsys.readouterr().out


def test_only_what_is_named_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    break_it(tmp_path)
    (tmp_path / "good.yaml").write_text(ORDER)
    assert validate("good.yaml") == 0
    assert validate("good.yaml", "definitions") == 1


@pytest.mark.parametrize("path", ["nowhere", "empty"])
def test_a_path_without_definitions_is_a_usage_error(tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").mkdir()
    assert validate(path) == 2
    assert capsys.readouterr().err.startswith("error: there is no ")


@pytest.mark.parametrize("form", ["github", "gitlab", "junit", "sarif"])
def test_other_programs_get_the_findings_in_their_form(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]):
    break_it(tmp_path)
    assert validate("--format", form) == 1
    assert "SR204" in capsys.readouterr().out


def test_in_github_actions_the_form_is_that_of_github(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    break_it(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    validate()
    assert capsys.readouterr().out.startswith("::error file=definitions/order.yaml,line=31,")


def test_a_definition_from_standard_input_is_called_what_it_is_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.stdin", io.StringIO(ORDER.replace("steps.charge.output", "steps.chrage.output")))
    assert validate("-", "--stdin-name", "definitions/new.yaml") == 1
    out, err = capsys.readouterr()
    assert out.startswith("definitions/new.yaml:31:29")
    assert "^^^^^^" in out
    assert err == "1 error in 1 file\n"


UNUSED = "# sagarun: ignore[SR314] there is nothing\n"


def test_warnings_fail_where_they_are_to(tmp_path: Path):
    (tmp_path / "definitions/order.yaml").write_text(UNUSED + ORDER.lstrip())
    assert validate() == 0
    assert validate("--fail-on", "warning") == 1
    assert validate("--fail-on", "warning", "--ignore", "SR6") == 0
    assert validate("--fail-on", "warning", "--select", "SR2") == 0


def test_the_project_says_what_is_ignored_and_what_fails(tmp_path: Path):
    (tmp_path / "definitions/order.yaml").write_text(UNUSED + ORDER.lstrip())
    (tmp_path / "sagarun.yaml").write_text("validate: {fail_on: warning}\n")
    assert validate() == 1
    (tmp_path / "sagarun.yaml").write_text("validate: {fail_on: warning, ignore: [SR600]}\n")
    assert validate() == 0


def test_a_code_that_no_check_has_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    assert validate("--ignore", "SR999") == 2
    assert "no check has the code SR999" in capsys.readouterr().err
