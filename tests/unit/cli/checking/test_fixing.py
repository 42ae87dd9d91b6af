"""`validate --fix`: what is written, what is said, and with which ending."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.main import invoke
from tests.desk import ORDER

FILE = Path("definitions/order.yaml")
WRONG = ORDER.replace("summary:", "sumary:").replace("steps.charge.output", "steps.chrage.output")


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SAGARUN_REDIS_URL", "SAGARUN_CONFIG", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    FILE.parent.mkdir()
    FILE.write_text(WRONG)


def fix(*arguments: str) -> int:
    return invoke(["validate", "--no-workers", "--fix", *arguments])


def test_slips_are_mended_and_said(capsys: pytest.CaptureFixture[str]):
    assert fix() == 0
    assert FILE.read_text() == ORDER
    assert capsys.readouterr() == (
        "",
        "definitions/order.yaml:4:1: SR102: sumary → summary\n"
        "definitions/order.yaml:31:29: SR204: chrage → charge\n"
        "2 slips mended in 1 file\n"
        "no problems in 1 file\n",
    )


def test_what_is_left_is_reported_and_decides_the_exit_code(capsys: pytest.CaptureFixture[str]):
    FILE.write_text(WRONG + "whatever: 1\n")
    assert fix("--format", "concise") == 1
    assert FILE.read_text() == ORDER + "whatever: 1\n"
    assert capsys.readouterr().out.startswith('definitions/order.yaml:32:1: error[SR102]: unknown key "whatever"')


def test_with_diff_nothing_is_written(capsys: pytest.CaptureFixture[str]):
    assert fix("--diff") == 1
    assert FILE.read_text() == WRONG
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if line.startswith(("+", "-"))] == [
        "--- definitions/order.yaml", "+++ definitions/order.yaml", "-sumary: A small one", "+summary: A small one",
        '-output: {charged: "{{ steps.chrage.output.amount }}"}',
        '+output: {charged: "{{ steps.charge.output.amount }}"}',
    ]  # fmt: skip
    assert err == "2 slips to mend in 1 file\n"


def test_a_sound_file_is_not_touched(capsys: pytest.CaptureFixture[str]):
    FILE.write_text(ORDER)
    before = FILE.stat().st_mtime_ns
    assert fix("--diff") == 0
    assert fix() == 0
    assert FILE.stat().st_mtime_ns == before
    assert capsys.readouterr().err.startswith("nothing to mend\nnothing mended\n")


def test_only_what_was_selected_is_mended():
    assert fix("--select", "SR2") == 0
    assert FILE.read_text() == ORDER.replace("summary:", "sumary:")


def test_a_test_file_is_mended_too():
    FILE.write_text(ORDER)
    file = FILE.with_name("order.test.yaml")
    file.write_text("definition: order.yaml\ncases: [{naem: one, input: {id: A-1}, expect: {stauts: completed}}]\n")
    assert fix() == 0
    assert "{name: one, " in file.read_text()
    assert "{status: completed}" in file.read_text()


@pytest.mark.parametrize("arguments", [["--fix", "-"], ["--diff"]])
def test_what_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert invoke(["validate", *arguments]) == 2
    assert capsys.readouterr().err.startswith("error: --")
