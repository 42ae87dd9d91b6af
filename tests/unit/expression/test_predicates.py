"""The tests of expressions: `is defined`, `is number`, …"""

from __future__ import annotations

from typing import Any

import pytest

from runner.expression.evaluate import ExpressionFault, compile_expression
from runner.expression.predicates import PREDICATES


def evaluate(source: str, **scope: Any) -> Any:
    return compile_expression(source).evaluate(scope)


VALUES: dict[str, Any] = {
    "null": None, "true": True, "zero": 0, "one": 1, "half": 0.5, "text": "a", "list": [1], "mapping": {"a": 1}
}  # fmt: skip


@pytest.mark.parametrize(
    ("test", "true_for"),
    [
        ("none", {"null"}),
        ("boolean", {"true"}),
        ("true", {"true"}),
        ("false", set()),
        ("number", {"zero", "one", "half"}),
        ("integer", {"zero", "one"}),
        ("float", {"half"}),
        ("string", {"text"}),
        ("mapping", {"mapping"}),
        ("sequence", {"list"}),
        ("defined", set(VALUES)),
        ("undefined", set()),
    ],
)
def test_tests_of_kind_are_true_for_just_that_kind(test: str, true_for: set[str]):
    assert {name for name, value in VALUES.items() if evaluate(f"x is {test}", x=value)} == true_for


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("3 is odd", True),
        ("3 is even", False),
        ("9 is divisibleby 3", True),
        ("9 is divisibleby(2)", False),
        ("1 is eq 1.0", True),
        ("1 is ne 2", True),
        ("1 is lt 2", True),
        ("1 is le 1", True),
        ("1 is gt 2", False),
        ("1 is ge 1", True),
        ("1 is lessthan(2)", True),
        ("2 is greaterthan 1", True),
        ("1 is equalto true", False),
        ("1 is in [1]", True),
        ("1 is not in [1]", False),
        ("'a' is not none", True),
    ],
)
def test_tests_with_arguments(source: str, value: bool):
    assert evaluate(source) is value


def test_what_is_absent_is_not_defined():
    assert evaluate("input.a.b.c is defined", input={}) is False
    assert evaluate("input.a.b.c is undefined", input={}) is True
    assert evaluate("input.a is not defined", input={"a": None}) is False


@pytest.mark.parametrize(
    "test", sorted(name for name in PREDICATES if name.isalpha() and name not in ("defined", "undefined"))
)
def test_every_other_test_of_what_is_absent_is_a_fault(test: str):
    argument = " [1]" if test == "in" else " 1" if test not in ARGUMENTLESS else ""
    with pytest.raises(ExpressionFault, match="x is absent"):
        evaluate(f"x is {test}{argument}")


ARGUMENTLESS = {
    "none",
    "boolean",
    "true",
    "false",
    "number",
    "integer",
    "float",
    "string",
    "mapping",
    "sequence",
    "odd",
    "even",
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'a' is odd", "a whole number is needed, not a string"),
        ("1.0 is even", "a whole number is needed, not a number"),
        ("1 is divisibleby 0", "divisibleby zero"),
        ("1 is lt 'a'", "< needs two numbers or two strings, not a number and a string"),
    ],
)
def test_tests_refuse_and_say_why(source: str, expected: str):
    with pytest.raises(ExpressionFault) as caught:
        evaluate(source)
    assert caught.value.message == expected


def test_the_column_of_a_test_is_that_of_its_name():
    with pytest.raises(ExpressionFault) as caught:
        evaluate("'a' is  not odd")
    assert (caught.value.column, caught.value.length) == (13, 3)
