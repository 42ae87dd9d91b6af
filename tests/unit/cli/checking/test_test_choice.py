"""`sagarun test -k`: which names an expression means."""

from __future__ import annotations

import pytest

from runner.cli.checking.test_choice import matcher
from runner.errors import UsageError

NAMES = ["success", "card_declined", "card_lost", "stock_short"]


@pytest.mark.parametrize(
    ("expression", "taken"),
    [
        ("", NAMES),
        ("card", ["card_declined", "card_lost"]),
        ("CARD and not lost", ["card_declined"]),
        ("short or success", ["success", "stock_short"]),
        ("not (card or success)", ["stock_short"]),
        ("not not card and lost", ["card_lost"]),
        ("nothing", []),
    ],
)
def test_names_are_taken_by_their_texts(expression: str, taken: list[str]):
    assert [name for name in NAMES if matcher(expression)(name)] == taken


@pytest.mark.parametrize("expression", ["and", "card and", "(card", "card)", "card lost", "not", "()"])
def test_what_is_no_expression_is_a_usage_error(expression: str):
    with pytest.raises(UsageError, match="-k"):
        matcher(expression)
