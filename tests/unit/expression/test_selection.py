"""map, select, reject, selectattr, rejectattr."""

from __future__ import annotations

from typing import Any

import pytest

from runner.expression.evaluate import ExpressionFault, compile_expression

ITEMS = [
    {"sku": "a", "qty": 2, "gift": True, "box": {"size": [1, 2]}},
    {"sku": "b", "qty": 0, "gift": False, "box": {"size": [3]}},
]


def evaluate(source: str, items: Any = ITEMS, **scope: Any) -> Any:
    return compile_expression(source).evaluate({"items": items, **scope})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("items | map(attribute='sku')", ["a", "b"]),
        ("items | map(attribute='box.size.0')", [1, 3]),
        ("items | map(attribute='box.size.1', default=0)", [2, 0]),
        ("items | map(attribute='price', default=none)", [None, None]),
        ("[[1, 2], [3, 4]] | map(attribute=1)", [2, 4]),
        ("[{'0': 'x'}] | map(attribute='0')", ["x"]),
        ("items | selectattr('gift') | map(attribute='sku')", ["a"]),
        ("items | rejectattr('gift') | map(attribute='sku')", ["b"]),
        ("items | selectattr('qty', 'gt', 1) | map(attribute='sku')", ["a"]),
        ("items | selectattr('qty', '<', 1) | map(attribute='sku')", ["b"]),
        ("items | selectattr('sku', 'in', ['b', 'c']) | list | length", 1),
        ("items | selectattr('price', 'defined')", []),
        ("items | rejectattr('price', 'defined') | length", 2),
        ("[0, 1, 2, ''] | select", [1, 2]),
        ("[0, 1, 2] | select('odd')", [1]),
        ("[0, 1, 2] | reject('odd')", [0, 2]),
        ("[1, 'a', none] | select('string')", ["a"]),
        ("[1, 2, 3] | select('ge', 2)", [2, 3]),
    ],
)
def test_items_are_chosen_and_mapped(source: str, value: Any):
    assert evaluate(source) == value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("items | map(attribute='price')", 'item 0 has no "price" (has: box, gift, qty, sku)'),
        ("items | map(attribute='box.size.1')", "item 1.box.size has 1 items"),
        ("items | selectattr('price')", 'item 0 has no "price" (has: box, gift, qty, sku)'),
        ("items | selectattr('price', 'gt', 1)", 'item 0 has no "price" (has: box, gift, qty, sku)'),
        ("items | map(attribute='__class__')", 'item 0 has no "__class__" (has: box, gift, qty, sku)'),
        ("items | map(attribute=none)", "an attribute is a name or a whole number, not null"),
        ("1 | map(attribute='x')", "map needs a list, not a number"),
        ("'abc' | select", "select needs a list, not a string"),
        ("items | selectattr('qty', 'lt', 'x')", "< needs two numbers or two strings, not a number and a string"),
    ],
)
def test_selections_refuse_and_say_why(source: str, expected: str):
    with pytest.raises(ExpressionFault) as caught:
        evaluate(source)
    assert caught.value.message == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("items | map('upper')", "map: too many positional arguments; it takes attribute, default"),
        ("items | map", "map: missing a required argument: 'attribute'; it takes attribute, default"),
        ("items | select('od')", 'there is no test "od"; did you mean "odd"?'),
        ("items | select(test)", 'the test of select is written as a text, such as "eq"'),
        ("items | selectattr('qty', 'gt')", "the test gt: missing a required argument: 'other'"),
        ("items | selectattr('qty', 'odd', 1)", "the test odd: too many positional arguments"),
    ],
)
def test_what_a_selection_tests_is_known_when_it_is_compiled(source: str, expected: str):
    with pytest.raises(ExpressionFault) as caught:
        compile_expression(source)
    assert caught.value.message == expected


def test_work_that_grows_with_a_product_is_bounded():
    numbers = list(range(2_000))
    with pytest.raises(ExpressionFault, match="compare more than 1,000,000 times"):
        evaluate("items | select('in', items)", items=numbers)
    assert len(evaluate("items | select('in', items)", items=numbers[:1_000])) == 1_000


def test_the_list_that_is_selected_from_is_left_alone():
    items = [3, 1, 2]
    evaluate("items | sort", items=items)
    evaluate("items | select('odd')", items=items)
    assert items == [3, 1, 2]
