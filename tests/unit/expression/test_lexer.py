"""Lexemes: their columns, where an expression ends, and what is refused before parsing."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.expression import lexer
from runner.expression.evaluate import ExpressionFault, compile_expression
from runner.expression.lexer import lex


@given(st.text(alphabet="abc_.[]'\"\\ 019+-*|~{}()\n\tüπ", max_size=30))
def test_lexemes_in_turn_are_the_source(source: str):
    lexemes = []
    with suppress(ExpressionFault):
        lexemes.extend(lex(source))
    assert source.startswith("".join(lexeme.text for lexeme in lexemes))
    assert all(source[lexeme.column - 1 :].startswith(lexeme.text) for lexeme in lexemes)


@pytest.mark.parametrize(
    ("source", "end"),
    [
        ("a }} b", 3),
        ("'}}' }}", 6),
        ('"}}" ~ "\\"}}" }}', 15),
        ("{'a': {'b': 1}} }}", 17),
        ("{'a': {'b': 1}}}}", 16),
        ("[{}]}}", 5),
    ],
)
def test_the_end_is_the_first_braces_outside_of_brackets_and_strings(source: str, end: int):
    assert [lexeme.column for lexeme in lex(source) if lexeme.kind == "variable_end"] == [end]


@pytest.mark.parametrize(
    ("source", "column", "expected"),
    [
        ("a && b", 3, "unexpected '&': write \"and\""),
        ("!a", 1, "unexpected '!': write \"not\""),
        ("a ? b : c", 3, "unexpected '?': write \"a if test else b\""),
        ("$.input", 1, "unexpected '$': names stand alone: input.total"),
        ("a == 'b", 6, 'unexpected "\'": the string is not closed'),
        ('a == "b', 6, "unexpected '\"': the string is not closed"),
        ("a\r\nb", 2, "a carriage return is not allowed"),
        ("(a]", 3, "unexpected ']', expected ')'"),
        ("a)", 2, "unexpected ')'"),
        ("a == `b`", 6, "unexpected '`'"),
        ("a\x00", 2, "unexpected '\\x00'"),
        ("a @ b", 3, "unexpected '@'"),
    ],
)
def test_what_is_no_lexeme_is_refused_at_its_column(source: str, column: int, expected: str):
    with pytest.raises(ExpressionFault) as caught:
        compile_expression(source)
    assert (caught.value.column, caught.value.message) == (column, expected)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        (r"'a\\b'", "a\\b"),
        (r"'it\'s'", "it's"),
        (r"'a\nb\tc'", "a\nb\tc"),
        (r"'\x41\u00fc\U0001F600'", "Aü😀"),
        ("'ü😀'", "ü😀"),
        ("'a\nb'", "a\nb"),
        ("'a' 'b'", "ab"),
    ],
)
def test_escapes_of_strings(source: str, value: str):
    assert compile_expression(source).evaluate({}) == value


@pytest.mark.parametrize(
    "source", [r"'\d'", r"'\101'", r"'\N{DIGIT ONE}'", r"'\xZZ'", r"'\u12'", "'\\\n'", r"'ok\\\q'"]
)
def test_unknown_escapes_are_refused_whatever_the_warning_filters_say(source: str):
    with pytest.raises(ExpressionFault, match="unknown escape") as caught:
        compile_expression(source)
    assert source[caught.value.column - 1] == "\\"


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(ExpressionFault, match="surrogate"):
        compile_expression(r"'\ud800'")


PIECES = (
    " ", ".", "|", "+", "-", "*", "**", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", "=", "!", "(", ")", "[", "]",
    ",", ":", "'a'", '"b"', "'", "0", "01", "1.5", "1e5", "1_0", "12", "a", "_b", "Zé", "is", "a.0", "1.a", "\n", "{",
    "}", "}}",
)  # fmt: skip


def test_the_quick_way_gives_what_the_lexer_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(1)
    sources = ["".join(random.choices(PIECES, k=random.randint(1, 9))) for _ in range(3_000)]
    quick = [lexed(source) for source in sources]
    monkeypatch.setattr(lexer, "_plain", lambda _source: None)
    assert [lexed(source) for source in sources] == quick


def lexed(source: str) -> object:
    try:
        return list(lexer.lex(source))
    except ExpressionFault as fault:
        return fault.message, fault.column, fault.length
