"""`sagarun fmt`: what is written, what is said, and with which ending."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from runner.cli.main import invoke

LOOSE = "version:  1.0.0\nworkflow: a\nsteps: []\n"
TIDY = "workflow: a\nversion: 1.0.0\nsteps: []\n"
FILE = Path("definitions/a.yaml")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SAGARUN_REDIS_URL", "SAGARUN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    FILE.parent.mkdir()
    FILE.write_text(LOOSE)
    FILE.with_name("b.yaml").write_text(TIDY)


def test_files_are_written_in_the_canonical_form(capsys: pytest.CaptureFixture[str]):
    assert invoke(["fmt"]) == 0
    assert FILE.read_text() == TIDY
    assert capsys.readouterr() == ("", "reformatted definitions/a.yaml\n1 file reformatted, 1 file left as it is\n")


def test_check_writes_nothing(capsys: pytest.CaptureFixture[str]):
    assert invoke(["fmt", "--check"]) == 1
    assert FILE.read_text() == LOOSE
    assert capsys.readouterr().err.startswith("would reformat definitions/a.yaml\n1 file would be reformatted, ")
    assert invoke(["fmt", "--check", "definitions/b.yaml"]) == 0


def test_diff_shows_what_would_change(capsys: pytest.CaptureFixture[str]):
    assert invoke(["fmt", "--diff"]) == 1
    assert FILE.read_text() == LOOSE
    assert "-version:  1.0.0\n" in capsys.readouterr().out


def test_a_broken_file_is_left_and_the_others_are_written(capsys: pytest.CaptureFixture[str]):
    FILE.with_name("0.yaml").write_text("steps: [\n")
    assert invoke(["fmt"]) == 2
    assert FILE.read_text() == TIDY
    assert FILE.with_name("0.yaml").read_text() == "steps: [\n"
    assert capsys.readouterr().err.startswith("definitions/0.yaml:2:1: error[SR001]: not valid YAML")


def test_standard_input_goes_to_standard_output(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LOOSE.replace("\n", "\r\n").encode())))
    assert invoke(["fmt", "-"]) == 0
    assert capsys.readouterr() == (TIDY.replace("\n", "\r\n"), "")


@pytest.mark.parametrize(("data", "told"), [(b"a: [", "new.yaml:1:5: "), (b"\xff", "error: standard input")])
def test_broken_standard_input_is_refused(
    data: bytes, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert invoke(["fmt", "-", "--stdin-name", "new.yaml"]) == 2
    out, err = capsys.readouterr()
    assert (out, err[: len(told)]) == ("", told)
