"""Mistakes in test files."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.test_files import check_test_file
from tests.desk import ORDER

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


def test_its_form_is_checked_first(project: Path):
    assert found(project, GOOD.replace("input: {id: A}", "inptu: {}")) == [(4, "SR102")]


def test_a_file_that_is_no_yaml_is_told(project: Path):
    assert [code for _, code in found(project, "cases: [")] == ["SR001"]
