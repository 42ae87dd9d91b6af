"""A run's input: defaults, and every problem with its place."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from runner.definition.inputs import MAX_INPUT_BYTES, InputChecker
from runner.errors import InputError

ORDER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "currency": {"type": "string", "default": "EUR"},
        "ship": {"type": "object", "properties": {"fast": {"type": "boolean", "default": False}}, "default": {}},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
    },
    "$defs": {"line": {"type": "object", "properties": {"quantity": {"type": "integer", "default": 1}}}},
}


def problems(schema: dict[str, Any] | None, value: Any) -> tuple[str, ...]:
    with pytest.raises(InputError) as raised:
        InputChecker(schema).prepare(value)
    return raised.value.problems


def test_defaults_are_filled_in_below_objects_lists_and_references():
    assert InputChecker(ORDER).prepare({"id": "1", "lines": [{}, {"quantity": 2}]}) == {
        "id": "1",
        "currency": "EUR",
        "ship": {"fast": False},
        "lines": [{"quantity": 1}, {"quantity": 2}],
    }


def test_what_was_given_is_not_changed():
    given = {"id": "1", "lines": [{}]}
    InputChecker(ORDER).prepare(given)
    assert given == {"id": "1", "lines": [{}]}


def test_a_default_is_not_shared_between_inputs():
    checker = InputChecker(ORDER)
    checker.prepare({"id": "1"})["ship"]["fast"] = True
    assert checker.prepare({"id": "2"})["ship"] == {"fast": False}


def test_every_problem_is_told_with_its_path():
    found = problems(ORDER, {"lines": [{"quantity": "x"}], "colour": 1})
    assert any(problem.startswith("lines[0].quantity: ") for problem in found)
    assert any("colour" in problem for problem in found)
    assert any('"id"' in problem for problem in found)


def test_without_a_schema_any_json_will_do():
    assert InputChecker(None).prepare([1, "a", None, {"b": 1.5}]) == [1, "a", None, {"b": 1.5}]


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**64, object(), {1: 2}, {"a": {"b": b"bytes"}}, "\ud800", {"\ud800": 1},
              -(2**63) - 1, [2**200], datetime.date(2026, 1, 2), Decimal("1.5"), {1}, {True: 1}, [{"a": (b"b",)}]],
)
def test_what_json_cannot_say_is_refused_and_never_written_as_null(value: Any):
    assert "is not JSON" in problems(None, value)[0]


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), 1e308, -0.0, "é", ("a", (1,)), [[[]] * 70], {"a": None}])
def test_what_json_can_say_is_copied(value: Any):
    copy = InputChecker(None).prepare(value)
    assert msgspec.json.encode(copy) == msgspec.json.encode(value)


def test_the_place_of_what_json_cannot_say_is_told():
    assert problems(None, {"a": [1, float("nan")]})[0].startswith("a[1]: nan")


def test_a_bottomless_input_is_refused():
    value: Any = []
    for _ in range(100):
        value = [value]
    assert "nested" in problems(None, value)[0]


def test_an_input_of_the_largest_size_is_taken_and_one_byte_more_is_not():
    assert InputChecker(None).prepare("x" * (MAX_INPUT_BYTES - 2))
    assert "bytes" in problems(None, "x" * (MAX_INPUT_BYTES - 1))[0]


def test_a_thousand_wrong_lines_are_told_by_the_first_ones():
    found = problems({"items": {"type": "integer"}}, ["x"] * 1000)
    assert len(found) == 51
    assert found[-1] == "… and more"


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/x", "file:///etc/passwd", "other.json"])
def test_a_reference_that_leaves_the_schema_is_refused_and_never_fetched(reference: str):
    assert "retrieving it failed" in problems({"$ref": reference}, {})[0]


def test_a_schema_that_refers_to_itself_ends():
    tree = {"type": "object", "properties": {"next": {"$ref": "#"}, "n": {"type": "integer", "default": 0}}}
    assert InputChecker(tree).prepare({"next": {"next": {}}}) == {"n": 0, "next": {"n": 0, "next": {"n": 0}}}


@pytest.mark.parametrize(
    ("schema", "value", "headline"),
    [
        (ORDER, {}, "the input does not fit the schema"),
        (None, float("nan"), "the input is not JSON"),
        (None, {"a": object()}, "the input is not JSON"),
        (None, "x" * MAX_INPUT_BYTES, "the input is too large"),
        ({"type": "objct"}, {}, "the input cannot be checked"),
    ],
)
def test_the_schema_is_not_blamed_for_what_never_got_there(schema: Any, value: Any, headline: str):
    with pytest.raises(InputError) as raised:
        InputChecker(schema).prepare(value)
    assert raised.value.headline == headline
