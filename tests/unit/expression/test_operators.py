"""The operators: what each takes, what it gives, and that it agrees with Jinja2 where both answer."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.expression.evaluate import ExpressionFault, compile_expression


def evaluate(source: str, **scope: Any) -> Any:
    return compile_expression(source).evaluate(scope)


def message(source: str, **scope: Any) -> str:
    with pytest.raises(ExpressionFault) as caught:
        evaluate(source, **scope)
    return caught.value.message


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3.5),
        ("4 / 2", 2.0),
        ("7 // 2", 3),
        ("7 % 3", 1),
        ("-3 + +2", -1),
        ("- - 3", 3),
        ("'a' + 'b'", "ab"),
        ("[1] + ['b']", [1, "b"]),
        ("'n' ~ 1 ~ true ~ 1.0", "n1true1.0"),
        ("1 < 2", True),
        ("'a' < 'b'", True),
        ("1 <= 1 < 2", True),
        ("1 < 2 < 2", False),
        ("3 > 2 >= 2 != 5", True),
        ("1 == 1.0", True),
        ("true == 1", False),
        ("[true] == [1]", False),
        ("'1' == 1", False),
        ("none == none", True),
        ("{'a': 1} == {'a': 1.0}", True),
        ("2 in [1, 2]", True),
        ("true in [1]", False),
        ("'b' in 'abc'", True),
        ("'a' in {'a': 1}", True),
        ("1 in {'a': 1}", False),
        ("3 not in [1, 2]", True),
        ("not []", True),
        ("0 or 'x'", "x"),
        ("'' and 1", ""),
        ("1 if true else 2", 1),
        ("1 if [] else 2", 2),
        ("'abc'[1:]", "bc"),
        ("[1, 2, 3][:-1]", [1, 2]),
        ("[1, 2, 3][1:2]", [2]),
        ("{'a': {'b': [1]}}.a.b[0]", 1),
        ("{'a' ~ 1: 2}", {"a1": 2}),
        ("{}", {}),
        ("[]", []),
    ],
)
def test_operators_compute(source: str, value: Any):
    result = evaluate(source)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 'a'", "+ needs two numbers, two strings or two lists, not a number and a string; join texts with ~"),
        ("1 + true", "+ needs two numbers, two strings or two lists, not a number and a boolean"),
        ("'a' * 3", "* needs two numbers, not a string and a number"),
        ("[1] * 3", "* needs two numbers, not a list and a number"),
        ("'%s' % 1", "% needs two numbers, not a string and a number"),
        ("1 - none", "- needs two numbers, not a number and null"),
        ("1 / 0", "/ by zero"),
        ("1 // 0", "// by zero"),
        ("1 % 0.0", "% by zero"),
        ("-'a'", "- needs a number, not a string"),
        ("+[]", "+ needs a number, not a list"),
        ("1 < 'a'", "< needs two numbers or two strings, not a number and a string"),
        ("[1] >= [0]", ">= needs two numbers or two strings, not a list and a list"),
        ("true > false", "> needs two numbers or two strings, not a boolean and a boolean"),
        ("1 in 2", "in needs a list, a mapping, or two strings, not a number in a number"),
        ("1 in 'a'", "in needs a list, a mapping, or two strings, not a number in a string"),
        ("1 not in none", "in needs a list, a mapping, or two strings, not a number in null"),
        ("'a' ~ none", 'null cannot be part of a text; give it a default: | default("", true)'),
        ("'a' ~ [1]", 'a list cannot be part of a text; use | join(", ") or | tojson'),
        ("'a' ~ {}", "a mapping cannot be part of a text; use | tojson, or read one of its values"),
        ("{'a': 1}[1.5]", "a subscript is a name or a whole number, not a number"),
        ("[1][true]", "a subscript is a name or a whole number, not a boolean"),
        ("{1: 2}", "a key must be a string, not a number"),
        ("{[1]: 2}", "a key must be a string, not a list"),
        ("{'a': 1}[0:1]", "a slice needs a list or a string, not a mapping"),
        ("[1]['a':]", "a slice needs whole numbers, not a string"),
    ],
)
def test_operators_refuse_and_say_why(source: str, expected: str):
    assert message(source) == expected


@pytest.mark.parametrize("source", ["x + 1", "1 - x", "-x", "x ~ 'a'", "x == 1", "1 in x", "x in [1]", "[1, x]",
                                    "{'a': x}", "{x: 1}", "[[x]]", "x[0:1]", "[1][x]", "[1][x:]", "not x", "x and 1",
                                    "x or 1",
                                    "1 and x", "1 if x else 2", "x if true else 2", "x < 1 < 2"])  # fmt: skip
def test_using_what_is_absent_is_a_fault_that_names_it(source: str):
    assert message(source, y=1).startswith("x is absent")


def test_what_is_not_used_may_be_absent():
    assert evaluate("1 if true else x") == 1
    assert evaluate("false and x") is False
    assert evaluate("1 or x") == 1


def test_a_computed_look_up_is_named_as_far_as_it_is_known():
    assert message("steps[k].outpt.n", steps={"a": {"output": 1}}, k="a") == (
        'steps[…].outpt.n is absent: steps[…] has no "outpt" (has: output)'
    )


def test_the_column_is_that_of_the_operator():
    columns = []
    for source in (
        "1 + 'a'",
        "1 + (2 - 'a')",
        "(1 + 2) + ('a')",
        "1 + 2 + 3 + []",
        "a ~ 1 ~ []",
        "1 < 'a'",
        "-[]",
        "[1][ true]",
    ):
        with pytest.raises(ExpressionFault) as caught:
            evaluate(source, a="")
        columns.append(caught.value.column)
    assert columns == [3, 8, 9, 11, 3, 3, 1, 6]


NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
STOCK = ImmutableSandboxedEnvironment(optimized=False)


@given(
    st.sampled_from(["+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or"]),
    st.sampled_from(["+", "-", "*", "<", "==", "and", "or"]),
    NUMBERS,
    NUMBERS,
    NUMBERS,
)
@example("/", "+", 1, 5e-324, 0)
@example("//", "<", 1, 5e-324, 0)
def test_arithmetic_and_comparisons_of_numbers_agree_with_jinja2(one: str, other: str, a: Any, b: Any, c: Any):
    source = f"a {one} b {other} c"
    try:
        expected = STOCK.compile_expression(source)(a=a, b=b, c=c)
    except ZeroDivisionError:
        assert "by zero" in message(source, a=a, b=b, c=c)
        return
    if one in ("/", "//") and not math.isfinite(STOCK.compile_expression(f"a {one} b")(a=a, b=b)):
        assert message(source, a=a, b=b, c=c) == "the result is not a finite number"  # Jinja2 goes on with infinity
        return
    result = evaluate(source, a=a, b=b, c=c)
    assert result == expected
    assert type(result) is type(expected)


@given(st.text(max_size=5), st.text(max_size=5))
def test_operators_of_texts_agree_with_jinja2(a: str, b: str):
    for source in (
        "a + b",
        "a ~ b",
        "a == b",
        "a < b",
        "a in b",
        "a not in b",
        "a[1:]",
        "a[:-1] ~ b[0:2]",
        "a or b",
        "a and b",
    ):
        assert evaluate(source, a=a, b=b) == STOCK.compile_expression(source)(a=a, b=b)
