"""Reading by path: what is found, what is absent and why, and that it agrees with Jinja2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.expression.evaluate import ExpressionFault, compile_expression, is_absent
from runner.expression.grammar import parse
from runner.expression.lowering import compile_generated, compile_tree
from runner.expression.paths import Absent, member

ORDER = {
    "order_id": "007",
    "items": [{"sku": "a"}, {"sku": "b"}],
    "payment": {"token": "t"},
    "note": None,
    "name": "Ann",
}


class View(Mapping[str, Any]):
    """A lazy mapping: its values are made when they are read."""

    def __init__(self, **items: Any) -> None:
        self.hidden = items

    def __getitem__(self, key: str) -> Any:
        return self.hidden[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.hidden)

    def __len__(self) -> int:
        return len(self.hidden)


def evaluate(source: str, **scope: Any) -> Any:
    return compile_expression(source).evaluate(scope)


def message(source: str, **scope: Any) -> str:
    with pytest.raises(ExpressionFault) as caught:
        evaluate(source, **scope)
    return caught.value.message


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("input.order_id", "007"),
        ("input['order_id']", "007"),
        ('input["payment"].token', "t"),
        ("input.items[0].sku", "a"),
        ("input.items[-1].sku", "b"),
        ("input.items.1.sku", "b"),
        ("input . items [ 0 ] . sku", "a"),
        ("(input.items)[0].sku", "a"),
        ("input.name[0]", "A"),
        ("input.note", None),
        ("input", ORDER),
    ],
)
def test_a_path_gives_the_value_itself(source: str, value: Any):
    assert evaluate(source, input=ORDER) == value


def test_a_dot_reads_the_key_and_never_a_method():
    assert evaluate("input.items", input={"items": [1]}) == [1]
    assert "has no" in message("input.items", input={"keys": 1})


def test_attributes_of_objects_do_not_exist():
    view = View(a=1)
    assert evaluate("steps.a", steps=view) == 1
    assert 'steps has no "hidden" (has: a)' in message("steps.hidden", steps=view)


def test_a_key_with_underscores_is_data_like_any_other():
    assert evaluate("input.__class__", input={"__class__": "first"}) == "first"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("input.gift.note", 'input.gift.note is absent: input has no "gift" (has: items, order_id)'),
        (
            "steps.reserve.output.total",
            'steps.reserve.output.total is absent: steps.reserve has no "output" (has: status)',
        ),
        ("inptu.x", 'inptu.x is absent: there is no "inptu" here (there are: empty, input, nothing, steps)'),
        ("input.items[5].sku", "input.items[5].sku is absent: input.items has 1 items"),
        ("input.order_id[9]", "input.order_id[9] is absent: input.order_id has 3 characters"),
        ("nothing.x", "nothing.x is absent: nothing is null"),
        ("empty.x", 'empty.x is absent: empty has no "x" (it is empty)'),
        ("input.order_id.x", "input.order_id.x is absent: input.order_id is a string"),
        ("input[0]", "input[0] is absent: input is a mapping"),
        ("input['a key'].b", 'input["a key"].b is absent: input has no "a key" (has: items, order_id)'),
    ],
)
def test_an_absent_path_is_named_with_what_is_there(source: str, expected: str):
    scope = {
        "input": {"order_id": "007", "items": [{"sku": "a"}]},
        "steps": View(reserve={"status": "skipped"}),
        "nothing": None,
        "empty": {},
    }
    assert message(source, **scope) == expected


def test_a_property_of_a_list_is_answered_with_how_to_read_it():
    assert '| map(attribute="sku")' in message("input.items.sku", input=ORDER)


def test_the_column_of_an_absent_path_is_that_of_the_missing_part():
    with pytest.raises(ExpressionFault) as caught:
        evaluate("input.gift.note", input=ORDER)
    assert (caught.value.column, caught.value.length) == (7, 4)


def test_many_keys_are_not_all_listed():
    text = message("input.x", input={f"key{number:02}": 1 for number in range(50)})
    assert "key07, …" in text
    assert "key08" not in text


def test_asking_an_absent_for_its_truth_is_a_fault():
    with pytest.raises(ExpressionFault, match="somewhere is absent: of a reason"):
        bool(Absent("somewhere", lambda: "of a reason"))


def test_only_an_absent_is_absent():
    assert is_absent(Absent("x", str))
    assert not any(is_absent(value) for value in (None, "", [], {}, 0, False))


@pytest.mark.parametrize("value", [None, 1, 1.5, True, object(), type, len])
def test_what_is_neither_mapping_list_nor_string_has_no_members(value: Any):
    found = [key for key in ("__class__", "__doc__", "real", 0) if not is_missing(member(value, key))]
    assert found == []


def is_missing(value: Any) -> bool:
    return value is member({}, "nothing")


# Keys that no Python object has as an attribute: the stock sandbox would read the attribute where we read nothing.
KEYS = st.sampled_from(["alpha", "beta", "gamma", "a key", "über", "0"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
STEPS = st.lists(KEYS | st.integers(min_value=-4, max_value=4), max_size=5)
STOCK = ImmutableSandboxedEnvironment(undefined=jinja2.ChainableUndefined)


@given(VALUES, STEPS)
def test_the_walker_agrees_with_jinja2(value: Any, steps: list[str | int]):
    source = "input" + "".join(f"[{step!r}]" for step in steps)
    expected = STOCK.compile_expression(source, undefined_to_none=False)(input=value)
    found = compile_tree(parse(source))({"input": value})
    assert is_absent(found) == jinja2.is_undefined(expected)
    if not is_absent(found):
        assert found == expected
        assert type(found) is type(expected)


@given(VALUES, STEPS)
def test_the_walker_agrees_with_generated_code(value: Any, steps: list[str | int]):
    tree = parse("input" + "".join(f"[{step!r}]" for step in steps))
    walked, generated = compile_tree(tree)({"input": value}), compile_generated(tree)({"input": value})
    assert walked is generated or (is_absent(walked) and walked.path == generated.path)


@given(VALUES, STEPS)
def test_a_computed_subscript_reads_what_a_fixed_one_reads(value: Any, steps: list[str | int]):
    fixed = "input" + "".join(f"[{step!r}]" for step in steps)
    computed = "input" + "".join(f"[vars.steps[{index}]]" for index in range(len(steps)))
    scope = {"input": value, "vars": {"steps": steps}}
    one = compile_tree(parse(fixed))(scope)
    other = compile_tree(parse(computed))(scope)
    assert is_absent(one) == is_absent(other)
    assert is_absent(one) or one == other
