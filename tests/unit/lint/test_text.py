"""A problem as people read it."""

from __future__ import annotations

from runner.definition.problem import Problem
from runner.lint.text import render


def problem(line: int, column: int, length: int = 1, hint: str = "") -> Problem:
    return Problem("a.yaml", line, column, "SR204", "no such step", length=length, hint=hint)


def test_the_caret_is_under_what_is_meant() -> None:
    text = "one\n" * 13 + '    with: {payment: "{{ steps.chrage.output }}"}\n'
    assert render(problem(14, 31, 6, 'did you mean "charge"?'), text) == (
        "a.yaml:14:31: error[SR204]: no such step\n"
        "   |\n"
        '14 |     with: {payment: "{{ steps.chrage.output }}"}\n'
        '   |                               ^^^^^^ did you mean "charge"?'
    )


def test_a_file_that_cannot_be_read_has_no_line_to_show() -> None:
    assert render(problem(1, 1), "") == "a.yaml:1:1: error[SR204]: no such step"
    assert render(problem(9, 1, hint="look"), "one\n") == "a.yaml:9:1: error[SR204]: no such step (look)"


def test_a_long_line_is_cut_around_the_caret() -> None:
    shown, caret = render(problem(1, 5001, 3), "x" * 5000 + "bad" + "y" * 5000).split("\n")[2:]
    assert len(shown) < 130
    start = caret.index("^")
    assert shown[start : start + 3] == "bad"
    assert caret.count("^") == 3


def test_wide_characters_move_the_caret_as_they_move_the_text() -> None:
    caret = render(problem(1, 5, 2), 'a: 日本 "x"').split("\n")[3]
    assert caret.index("^") == len("  | ") - 1 + len("a: ") + 2 + 1 - 1 + 1


def test_nothing_in_the_file_reaches_the_terminal_as_a_command() -> None:
    shown = render(problem(1, 1), "\x1b[2J\ta\u202eb\r\n")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "1 | ?[2J a?b\n" in shown


def test_the_last_line_needs_no_newline() -> None:
    assert render(problem(1, 3, 99), "abc").endswith("1 | abc\n  |   ^")
