"""The fault matrix of docs/reliability.md: it has every row, and every test that it names is there."""

from __future__ import annotations

import re

import pytest

from tests.project.repository import ROOT

PAGE = (ROOT / "docs/reliability.md").read_text("utf-8")
MATRIX = PAGE.partition("## Fault matrix")[2].partition("\n## ")[0]
SECURITY = PAGE.partition("## Security")[2].partition("\n## ")[0]
ROWS = 41
NAMED = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", MATRIX + SECURITY)


def test_every_row_is_there_once():
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", MATRIX, re.MULTILINE)] == list(range(1, ROWS + 1))


def test_there_is_something_to_look_for():
    assert len(NAMED) > 60


@pytest.mark.parametrize(("path", "test"), sorted(set(NAMED)))
def test_what_is_named_is_there(path: str, test: str):
    text = (ROOT / "tests" / path).read_text("utf-8")
    assert not test or re.search(rf"^def {test}(_|\()", text, re.MULTILINE), f"tests/{path} has no {test}"


def test_the_commands_that_it_names_are_in_the_makefile():
    commands = set(re.findall(r"`make (\w+)`", MATRIX + SECURITY))
    made = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert commands
    assert commands <= made
