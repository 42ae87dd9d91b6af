"""Mistakes in test files."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.checking.test_files import check_test_file
from tests.desk import EVERYTHING, ORDER

GOOD = """
definition: order.yaml
cases:
  - {name: one, input: {id: A}, expect: {status: completed}}
  - {name: two, input: {id: B, fail: declined}, expect: {status: compensated, undone: [reserve]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "order.yaml").write_text(ORDER)
    return tmp_path


def found(project: Path, text: str) -> list[tuple[int, str]]:
    path = project / "order.test.yaml"
    path.write_text(text)
    return [(problem.line, problem.code) for problem in check_test_file(path, project)]


def test_a_sound_test_file_has_no_problems(project: Path):
    assert found(project, GOOD) == []


def test_two_cases_of_one_name_are_told(project: Path):
    assert found(project, GOOD.replace("two", "one")) == [(5, "SR120")]


def test_a_definition_that_is_not_there_is_told(project: Path):
    assert found(project, GOOD.replace("order.yaml", "ordr.yaml")) == [(2, "SR121")]


def test_an_input_that_does_not_fit_is_told(project: Path):
    assert found(project, GOOD.replace("{id: A}", "{id: 1}")) == [(4, "SR122")]


def test_a_step_that_is_not_there_is_told(project: Path):
    assert found(project, GOOD.replace("[reserve]", "[reserv]")) == [(5, "SR123")]


CONSTRUCTS = """
definition: everything.yaml
cases:
  - name: approved
    input: {}
    signals:
      - {name: review, data: {approved: true}, after: 2s}
    expect:
      status: completed
      undone: [lines, checks.stock/lines#1/hold]
      steps: {auto: pending, checks.fraud/score: completed, again#0/count: completed}
      output: {review: true}
"""


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    (tmp_path / "everything.yaml").write_text(EVERYTHING)
    return tmp_path


def test_signals_and_steps_in_containers_may_be_named(wide: Path):
    assert found(wide, CONSTRUCTS) == []


@pytest.mark.parametrize(
    ("sound", "wrong", "line", "code"),
    [
        ("name: review", "name: reviw", 7, "SR124"),
        ("approved: true", "approved: yes", 7, "SR125"),
        ("data: {approved: true}, ", "", 7, "SR125"),
        ("checks.stock/lines#1/hold", "checks.stock/lines#/hold", 10, "SR123"),
        ("checks.fraud/score", "checks.frod/score", 11, "SR123"),
        ("auto: pending", "auto: open", 11, "SR104"),
        ("after: 2s", "after: soon", 7, "SR105"),
    ],
)
def test_what_does_not_fit_the_definition_is_told(wide: Path, sound: str, wrong: str, line: int, code: str):
    assert found(wide, CONSTRUCTS.replace(sound, wrong)) == [(line, code)]


def test_a_step_that_was_probably_meant_keeps_its_numbers(wide: Path):
    path = wide / "everything.test.yaml"
    path.write_text(CONSTRUCTS.replace("checks.stock/lines#1/hold", "lines#1/hold"))
    (problem,) = check_test_file(path, wide)
    assert problem.hint == 'did you mean "checks.stock/lines#1/hold"?'


def test_a_signal_that_nothing_takes_is_told_with_those_there_are(wide: Path):
    path = wide / "everything.test.yaml"
    path.write_text(CONSTRUCTS.replace("name: review", "name: reviw"))
    (problem,) = check_test_file(path, wide)
    assert problem.message == 'a run takes no signal "reviw"; did you mean "review"? it takes: review'


def test_its_form_is_checked_first(project: Path):
    assert found(project, GOOD.replace("input: {id: A}", "inptu: {}")) == [(4, "SR102")]


def test_a_file_that_is_no_yaml_is_told(project: Path):
    assert [code for _, code in found(project, "cases: [")] == ["SR001"]
