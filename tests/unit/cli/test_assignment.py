"""`--set`: text with `=`, JSON with `:=`, at any place of the input."""

from __future__ import annotations

import re

import pytest

from runner.cli.assignment import assign, parse, text_for_json, unknown_member
from runner.errors import UsageError


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("a=1", {"a": "1"}),
        ("a:=1", {"a": 1}),
        ("a=x=y", {"a": "x=y"}),
        ("a=x:=y", {"a": "x:=y"}),
        ("a:=[1,2]", {"a": [1, 2]}),
        ("a=", {"a": ""}),
        ("a.b.c=x", {"a": {"b": {"c": "x"}}}),
    ],
)
def test_set_takes_text_with_equals_and_json_with_colon_equals(setting: str, expected: object):
    assert assign({}, parse(setting)) == expected


def test_set_appends_to_a_list_at_its_length():
    assert assign({"items": [1]}, parse("items.1:=2")) == {"items": [1, 2]}


def test_set_leaves_what_it_was_given_unchanged():
    before = {"a": {"b": 1}}
    assign(before, parse("a.b:=2"))
    assert before == {"a": {"b": 1}}


@pytest.mark.parametrize("setting", ["a", "=x", ":=1", "a:=nope", "a.b=1", "items.x=1", "items.9=1", "..=1"])
def test_a_setting_that_cannot_be_applied_is_a_usage_error(setting: str):
    with pytest.raises(UsageError, match=re.escape(repr(setting))):
        assign({"a": "text", "items": [1]}, parse(setting))


SCHEMA = {
    "properties": {
        "customer": {"properties": {"name": {}}},
        "items": {"items": {"properties": {"sku": {}}}},
        "closed": {"properties": {"a": {}}, "additionalProperties": False},
        "open": {"type": "object"},
    }
}


@pytest.mark.parametrize(
    ("setting", "unknown"),
    [
        ("custmer=x", "custmer"),
        ("customer.nmae=x", "nmae"),
        ("items.0.sk=x", "sk"),
        ("customer.name=x", None),
        ("items.0.sku=x", None),
        ("open.anything=x", None),
        ("closed.b=x", None),  # the schema itself refuses it
    ],
)
def test_a_place_that_the_schema_does_not_name_is_known(setting: str, unknown: str | None):
    found = unknown_member(SCHEMA, parse(setting).path)
    assert (found[0] if found else None) == unknown


@pytest.mark.parametrize(
    ("setting", "problem", "said"),
    [
        ("total=5", 'total: "5" is not of type "integer"', "; --set total:=5 gives it as JSON"),
        ("items.0.n=5", 'items[0].n: "5" is not of type "integer"', "; --set items.0.n:=5 gives it as JSON"),
        ("total=x", 'total: "x" is not of type "integer"', ""),
        ('total:="5"', 'total: "5" is not of type "integer"', ""),
        ("other=5", 'total: "5" is not of type "integer"', ""),
        ("total=5", 'total: "5" is longer than 0 characters', ""),
    ],
)
def test_who_gave_a_text_for_a_number_is_told_how_to_give_a_number(setting: str, problem: str, said: str):
    assert text_for_json(problem, [parse(setting)]) == said
