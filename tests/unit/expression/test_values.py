"""JSON values: kinds, text, equality, size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.expression.fault import Misuse
from runner.expression.values import hashable, json_size, kind, plain, same, text_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


class View(Mapping[str, Any]):
    """A lazy mapping, like the interpreter's `steps`."""

    def __init__(self, items: dict[str, Any]) -> None:
        self.items_of_view = items

    def __getitem__(self, key: str) -> Any:
        return self.items_of_view[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_of_view)

    def __len__(self) -> int:
        return len(self.items_of_view)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("", "a string"),
        ([], "a list"),
        ({}, "a mapping"),
        (View({}), "a mapping"),
        (object(), "a object"),
    ],
)
def test_kinds_are_named_as_in_json(value: Any, name: str):
    assert kind(value) == name


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (True, "true"), (False, "false"), (7, "7"), (1.0, "1.0"), (-0.5, "-0.5"), ("007", "007")],
)
def test_scalars_are_rendered_as_json_renders_them(value: Any, text: str):
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, [], {}, View({}), pytest.param(10**5000, id="10**5000"), 2**63])
def test_null_lists_mappings_and_huge_numbers_have_no_text(value: Any):
    with pytest.raises(Misuse):
        text_of(value)


def test_true_is_not_one_at_any_depth():
    assert not same({"a": [True]}, {"a": [1]})


def test_one_is_one_point_zero():
    assert same([1, {"a": 2}], [1.0, {"a": 2.0}])


@given(JSON, JSON)
def test_equality_is_that_of_json_text_but_for_number_formats(left: Any, right: Any):
    """Python's equality of the two with every boolean tagged is the reference."""

    def tagged(value: Any) -> Any:
        if isinstance(value, bool):
            return ("boolean", value)
        if isinstance(value, list):
            return [tagged(item) for item in value]
        return {key: tagged(item) for key, item in value.items()} if isinstance(value, dict) else value

    assert same(left, right) == (tagged(left) == tagged(right))
    assert same(left, json.loads(json.dumps(left)))


@given(JSON, JSON)
def test_hashable_forms_are_equal_exactly_when_the_values_are(left: Any, right: Any):
    assert (hashable(left) == hashable(right)) == same(left, right)
    assert hash(hashable(left)) == hash(hashable(json.loads(json.dumps(left))))


@given(JSON)
def test_json_size_is_the_size_of_the_json(value: Any):
    value = json.loads(json.dumps(value, default=str))
    encoded = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    if all(abs(number) < 2**63 for number in _integers(value)):
        assert json_size(value, 10**9) == len(encoded)


def _integers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _integers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _integers(item)]
    return [value] if isinstance(value, int) else []


def test_json_size_stops_counting_at_the_limit():
    large = ["x" * 1000] * 1000
    nested = [large] * 1000  # a gigabyte as JSON
    assert 100 < json_size(nested, 100) < 10_000


def test_json_size_does_not_recurse():
    deep: list[Any] = []
    for _ in range(50_000):
        deep = [deep]
    assert json_size(deep, 10**6) == 2 * 50_001


def test_plain_returns_json_types_as_they_are():
    value = {"a": [1]}
    assert plain(value) is value


def test_plain_turns_views_tuples_and_string_enums_into_json():
    class Status(StrEnum):
        RUNNING = "running"

    result = plain(View({"a": View({"b": (1, Status.RUNNING)})}))
    assert result == {"a": {"b": [1, "running"]}}
    assert type(result["a"]) is dict
    assert type(result["a"]["b"][1]) is str


def test_plain_refuses_what_json_cannot_hold():
    with pytest.raises(Misuse, match="a object is not a JSON value"):
        plain(object())
