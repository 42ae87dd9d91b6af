"""`sagarun explain` has a page for every code, and what the pages show is so.

A rule that is new needs one: runner/lint/docs/CODE.md, in the form of its neighbours.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.cli.checking.explanations import FOLDER, Example, explained_codes, read_page
from runner.cli.checking.test_files import CODES as TEST_FILE_CODES
from runner.cli.checking.test_files import check_test_file
from runner.definition.problem import Problem
from runner.lint.checked import check_file
from runner.lint.linter import titles
from tests.project.repository import ROOT

CONTRACTS = json.loads((ROOT / "tests/golden/workers.json").read_text(encoding="utf-8"))
WITHOUT_EXAMPLE = {"SR002", "SR109", "SR112"}  # too long for a page, or nothing that a file can have
PAGES = [read_page((FOLDER / f"{code}.md").read_text(encoding="utf-8")) for code in explained_codes()]
SHOWN = [page for page in PAGES if page.code not in WITHOUT_EXAMPLE]


def problems(folder: Path, examples: tuple[Example, ...]) -> list[Problem]:
    for example in examples:
        (folder / example.file).write_text(example.text, encoding="utf-8")
    if examples[0].file.endswith(".test.yaml"):
        return check_test_file(folder / examples[0].file, folder)
    return check_file(folder / examples[0].file, root=folder, contracts=CONTRACTS)[1]


def test_every_code_has_a_page_with_its_title():
    assert {page.code: page.title for page in PAGES} == {**titles(), **TEST_FILE_CODES}
    assert [page.code for page in PAGES] == explained_codes()
    assert [page.code for page in PAGES if not page.meaning] == []


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.code)
def test_the_wrong_example_has_the_code_and_no_other(page, tmp_path: Path):
    assert {problem.code for problem in problems(tmp_path, page.wrong)} == {page.code}


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.code)
def test_the_right_example_has_no_problem(page, tmp_path: Path):
    assert list(map(str, problems(tmp_path, page.right))) == []


def test_only_what_cannot_be_shown_has_no_example():
    assert {page.code for page in PAGES if not page.wrong or not page.right} == WITHOUT_EXAMPLE
