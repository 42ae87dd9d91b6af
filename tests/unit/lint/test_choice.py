"""Which findings count: selected ones, and warnings that nothing ignores."""

from __future__ import annotations

import pytest

from runner.definition.problem import Problem
from runner.lint.choice import Choice, without_ignored

ERROR = Problem("a.yaml", 2, 3, "SR204", "no step", "error")
WARNING = Problem("a.yaml", 2, 3, "SR314", "careful", "warning")
ELSEWHERE = Problem("b.yaml", 2, 3, "SR314", "careful", "warning")


def left(text: str, *problems: Problem) -> list[tuple[str, int]]:
    return [(problem.code, problem.line) for problem in without_ignored(problems, "a.yaml", text)]


@pytest.mark.parametrize(
    ("select", "ignore", "taken"),
    [
        ((), (), [ERROR, WARNING]),
        (("SR2",), (), [ERROR]),
        ((), ("SR3",), [ERROR]),
        ((), ("SR",), [ERROR]),
        (("SR3",), ("SR314",), []),
    ],
)
def test_codes_are_selected_and_ignored_by_their_beginnings(
    select: tuple[str, ...], ignore: tuple[str, ...], taken: list[Problem]
):
    assert [problem for problem in (ERROR, WARNING) if Choice(select, ignore).takes(problem)] == taken


def test_a_comment_in_the_line_ignores_a_warning():
    assert left("one\ntwo # sagarun: ignore[SR314] because\n", WARNING) == []


def test_a_comment_above_the_line_ignores_a_warning():
    assert left("# sagarun: ignore[SR314, SR315] because\nwarned\n", WARNING) == []


def test_an_error_cannot_be_ignored_and_says_so():
    (kept,) = without_ignored([ERROR], "a.yaml", "one\ntwo # sagarun: ignore[SR204] because\n")
    assert (kept.code, kept.hint) == ("SR204", "an error cannot be ignored")


def test_a_comment_ignores_its_own_line_and_file_only():
    text = "one # sagarun: ignore[SR314] because\ntwo\n"
    assert left(text, WARNING, ELSEWHERE) == [("SR600", 1), ("SR314", 2), ("SR314", 2)]


def test_a_comment_that_ignores_nothing_is_found():
    assert left("one\ntwo # sagarun: ignore[SR999] because\n") == [("SR600", 2)]


@pytest.mark.parametrize("comment", ["ignore", "ignore[] because", "ignore[SR314]", "ignore[charge] because"])
def test_a_comment_has_to_say_which_and_why(comment: str):
    assert left(f"one\ntwo # sagarun: {comment}\n", WARNING) == [("SR314", 2), ("SR601", 2)]
