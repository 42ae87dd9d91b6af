"""Values that the input schema marks, wherever they stand and wherever else they turn up."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from runner.definition.inputs import InputChecker
from runner.definition.secret_input import Redaction
from runner.errors import InputError
from runner.interpreter import event as ev
from runner.wire import ErrorRecord

SECRET = {"type": "string", "x-secret": True}
SHIPPED = sorted((Path(__file__).parents[3] / "schemas").glob("*.schema.json"))


def hidden(schema: Any, value: Any) -> Any:
    return Redaction(schema, value).input


@pytest.mark.parametrize(
    ("schema", "value", "shown"),
    [
        ({"properties": {"pin": SECRET}}, {"pin": "abcd", "n": 1}, {"pin": "***", "n": 1}),
        ({"properties": {"pin": {"x-secret": True}}}, {"pin": 7}, {"pin": "***"}),
        ({"properties": {"pin": {"x-secret": True}}}, {"pin": None}, {"pin": None}),
        ({"properties": {"card": {"x-secret": True}}}, {"card": {"number": [1, 2]}}, {"card": "***"}),
        ({"properties": {"all": {"items": SECRET}}}, {"all": ["aaaa", "bbbb"]}, {"all": ["***", "***"]}),
        ({"prefixItems": [{}, SECRET], "items": {}}, ["a", "b", "c"], ["a", "***", "c"]),
        ({"additionalProperties": SECRET, "properties": {"a": {}}}, {"a": "1", "b": "2"}, {"a": "1", "b": "***"}),
        ({"patternProperties": {"^x": SECRET}}, {"x1": "v"}, {"x1": "***"}),
        ({"properties": {"a": {"$ref": "#/$defs/s"}}, "$defs": {"s": SECRET}}, {"a": "v"}, {"a": "***"}),
        ({"allOf": [{"properties": {"a": SECRET}}]}, {"a": "v"}, {"a": "***"}),
        ({"oneOf": [{"properties": {"a": {}}}, {"properties": {"a": SECRET}}]}, {"a": "v"}, {"a": "***"}),
        ({"if": {}, "then": {"properties": {"a": SECRET}}}, {"a": "v"}, {"a": "***"}),
        ({"properties": {"a": {"x-secret": False}}}, {"a": "v"}, {"a": "v"}),
        (None, {"a": "v"}, {"a": "v"}),
        (True, {"a": "v"}, {"a": "v"}),
    ],
)
def test_what_is_marked_is_hidden_in_the_input(schema: Any, value: Any, shown: Any):
    assert hidden(schema, value) == shown


def test_the_input_itself_is_left_as_it_is():
    value = {"pin": "abcd"}
    hidden({"properties": {"pin": SECRET}}, value)
    assert value == {"pin": "abcd"}


def test_values_are_hidden_wherever_else_they_turn_up():
    schema = {"properties": {"token": SECRET, "pin": {"x-secret": True}}}
    redaction = Redaction(schema, {"token": "tok-1", "pin": 98765})
    assert redaction.of({"echo": ["Bearer tok-1", 98765]}) == {"echo": ["Bearer ***", "***"]}
    assert redaction.text('raise ValueError("tok-1")') == 'raise ValueError("***")'


def test_events_keep_what_sagarun_says_and_hide_what_data_says():
    redaction = Redaction({"properties": {"word": SECRET}}, {"word": "failed"})
    error = ErrorRecord("failed", message="it failed", details={"why": "failed"}, step="failed")
    event = redaction.of(ev.TaskSettled(5, "failed", "failed", error=error))
    assert (event.path, event.outcome, event.error.code, event.error.step) == ("failed",) * 4
    assert (event.error.message, event.error.details) == ("it ***", {"why": "***"})


def test_without_a_mark_everything_is_the_same_object():
    redaction, event = Redaction({"properties": {"a": {}}}, {"a": "v"}), ev.StepStarted(1, "a")
    assert redaction.of(event) is event
    assert not redaction.is_needed


def test_schemas_that_refer_to_each_other_take_no_time():
    both = [{"$ref": "#"}, {"$ref": "#/$defs/a"}]
    schema = {"anyOf": both, "$defs": {"a": {"allOf": both, "items": {"anyOf": [*both, SECRET]}}}}
    deep: Any = "v"
    for _ in range(60):
        deep = [deep, "w"]
    began_s = time.process_time()
    hidden(schema, deep)
    assert time.process_time() - began_s < 1


def test_a_complaint_about_an_input_with_secrets_quotes_nothing():
    checker = InputChecker({"properties": {"pin": {**SECRET, "maxLength": 3}, "n": {"type": "number"}}})
    with pytest.raises(InputError) as refused:
        checker.prepare({"pin": "kanarienvogel", "n": "kanarienvogel"})
    assert "kanarienvogel" not in str(refused.value)
    assert len(refused.value.problems) == 2


def test_the_card_is_marked_in_every_schema_of_the_shop():
    with_cards = []
    for schema in map(json.loads, (path.read_text() for path in SHIPPED)):
        for example in schema.get("examples", ()):
            if "tok_" in json.dumps(example):
                with_cards.append(schema["title"])
                assert "tok_" not in json.dumps(hidden(schema, example)), schema["title"]
    assert len(with_cards) == 3
