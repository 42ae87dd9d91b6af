"""The filters: what each takes and gives, and where they are stricter than Jinja2's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.expression.evaluate import ExpressionFault, compile_expression
from runner.expression.filters import FILTERS


def evaluate(source: str, **scope: Any) -> Any:
    return compile_expression(source).evaluate(scope)


def message(source: str, **scope: Any) -> str:
    with pytest.raises(ExpressionFault) as caught:
        evaluate(source, **scope)
    return caught.value.message


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("input.x | default('d')", "d"),
        ("input.x.y.z | default('d')", "d"),
        ("input.x | d(1)", 1),
        ("input.x | default", ""),
        ("input.none | default('d')", None),
        ("input.none | default('d', true)", "d"),
        ("0 | default(1, boolean=true)", 1),
        ("input.x | default(input.y) | default(3)", 3),
        ("input.one | default(input.y)", 1),
        ("'abc' | length", 3),
        ("[1, 2] | count", 2),
        ("{'a': 1} | length", 1),
        ("'aB' | lower", "ab"),
        ("'aB' | upper", "AB"),
        ("'  a ' | trim", "a"),
        ("'a-b-c' | replace('-', '+')", "a+b+c"),
        ("'abc' | replace('b', '')", "ac"),
        ("['a', 1, true] | join(', ')", "a, 1, true"),
        ("[] | join('x')", ""),
        ("[{'n': 1}, {'n': 2}] | join('+', attribute='n')", "1+2"),
        ("42.55 | round", 43.0),
        ("42.55 | round(1)", 42.5),
        ("42 | round", 42),
        ("1234 | round(-2)", 1200),
        ("42.51 | round(1, 'ceil')", 42.6),
        ("42.59 | round(method='floor')", 42.0),
        ("'007' | int", 7),
        ("'-3' | int", -3),
        ("3.9 | int", 3),
        ("'3.9' | int", 3),
        ("'x' | int(default=0)", 0),
        ("none | int(5)", 5),
        ("'1.5' | float", 1.5),
        ("2 | float", 2.0),
        ("'x' | float(0.5)", 0.5),
        ("7 | string", "7"),
        ("true | string", "true"),
        ("-5 | abs", 5),
        ("[3, 1, 2] | min", 1),
        ("['b', 'a'] | max", "b"),
        ("[{'n': 1}, {'n': 2}] | max(attribute='n')", {"n": 2}),
        ("[1, 2.5] | sum", 3.5),
        ("[] | sum", 0),
        ("[{'n': 1}, {'n': 2}] | sum(attribute='n', start=10)", 13),
        ("[3, 1, 2] | sort", [1, 2, 3]),
        ("[3, 1, 2] | sort(reverse=true)", [3, 2, 1]),
        ("['b', 'B', 'a'] | sort", ["B", "a", "b"]),
        ("[{'n': 2}, {'n': 1}] | sort(attribute='n') | map(attribute='n')", [1, 2]),
        ("[1, 2, 1.0, true, '1', 'a', 'A'] | unique", [1, 2, True, "1", "a", "A"]),
        ("[{'n': 1, 'm': 1}, {'n': 1, 'm': 2}] | unique(attribute='n') | length", 1),
        ("[[1], [1], {'a': 1}, {'a': 1}] | unique | length", 2),
        ("[1, 2] | first", 1),
        ("[1, 2] | last", 2),
        ("'ab' | first", "a"),
        ("[] | first | default('none')", "none"),
        ("[] | max | default(0)", 0),
        ("{'b': 1, 'a': 2} | list", ["b", "a"]),
        ("[1] | list", [1]),
        ("{'b': [1, null], 'a': '<ü>'} | tojson", None),
    ],
)
def test_filters_compute(source: str, value: Any):
    scope = {"input": {"one": 1, "none": None}, "null": None}
    result = evaluate(source, **scope)
    if "tojson" in source:
        assert result == '{"a":"<ü>","b":[1,null]}'
        return
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 | length", "length needs a string, a list or a mapping, not a number"),
        ("1 | lower", "lower needs a string, not a number"),
        ("none | trim", "trim needs a string, not null"),
        ("'a' | replace('', 'b')", "replace needs a text to look for"),
        ("'a' | replace('a', 1)", "replace needs a string, not a number"),
        ("'abc' | join", "join needs a list, not a string"),
        ("[none] | join", 'null cannot be part of a text; give it a default: | default("", true)'),
        ("1 | round(16)", "round takes at most 15 digits"),
        ("1 | round(-16)", "round takes at most 15 digits"),
        ("1 | round(true)", "round takes at most 15 digits"),
        ("1.5 | round(1, 'up')", 'round knows the methods "common", "ceil" and "floor"'),
        ("'x' | int", "int cannot read this string as a number; int(default=0) would give 0"),
        ("'1_000' | int", "int cannot read this string as a number; int(default=0) would give 0"),
        ("true | int", "int cannot read a boolean as a number; int(default=0) would give 0"),
        ("'nan' | float", "float cannot read this string as a number; float(default=0) would give 0"),
        ("'1e999' | float", "the result is not a finite number"),
        ("'1e30' | int", "the number does not fit into 64 bits"),
        ("[1] | string", 'a list cannot be part of a text; use | join(", ") or | tojson'),
        ("'a' | abs", "abs needs a number, not a string"),
        ("[1, 'a'] | min", "min needs all numbers or all strings, not a number and a string; or give attribute="),
        ("[{}] | sort", "sort needs all numbers or all strings, not a mapping; or give attribute="),
        ("[{}] | sort(attribute='n')", 'item 0 has no "n" (it is empty)'),
        ("['a'] | sum", "sum needs a number, not a string"),
        ("{} | first", "first needs a list or a string, not a mapping"),
        ("[] | last", "the last of a list is absent: it is empty"),
        ("[] | min", "the min of a list is absent: it is empty"),
        ("'abc' | list", "list needs a list or a mapping, not a string"),
    ],
)
def test_filters_refuse_and_say_why(source: str, expected: str):
    assert message(source) == expected


@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"default", "d"}))
def test_every_filter_but_default_refuses_what_is_absent(name: str):
    arguments = {"replace": "('a', 'b')", "map": "(attribute='a')", "selectattr": "('a')", "rejectattr": "('a')"}.get(
        name, ""
    )
    assert message(f"x | {name}{arguments}").startswith("x is absent")


def test_an_absent_argument_is_a_fault():
    assert message("['a'] | join(x)").startswith("x is absent")
    assert message("['a'] | join(attribute=x)").startswith("x is absent")


def test_the_column_of_a_filter_is_that_of_its_name():
    with pytest.raises(ExpressionFault) as caught:
        evaluate("1 | round | lower")
    assert (caught.value.column, caught.value.length) == (13, 5)


STOCK = ImmutableSandboxedEnvironment(optimized=False)


@given(st.lists(st.integers(-(10**9), 10**9), max_size=8))
def test_filters_of_numbers_agree_with_jinja2(values: list[int]):
    sources = [
        "sort",
        "sort(reverse=true)",
        "unique | list",
        "sum",
        "length",
        "join('-')",
        "select('odd') | list",
        "list",
    ]
    sources += ["min", "max", "first", "last"] if values else []
    for source in sources:
        assert evaluate(f"x | {source}", x=values) == STOCK.compile_expression(f"x | {source}")(x=values)


@given(st.text(max_size=20), st.text(min_size=1, max_size=2), st.text(max_size=2))
def test_filters_of_texts_agree_with_jinja2(text: str, old: str, new: str):
    for source in ("lower", "upper", "trim", "length", "replace(old, new)"):
        expected = STOCK.compile_expression(f"x | {source}")(x=text, old=old, new=new)
        assert evaluate(f"x | {source}", x=text, old=old, new=new) == expected


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text()))
def test_tojson_can_be_read_back(value: dict[str, Any]):
    assert json.loads(evaluate("x | tojson", x=value)) == value
