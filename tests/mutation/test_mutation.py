"""A part of the mutation run: enough of every operator to notice that a rule no longer finds what it found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.mutation.__main__ import BOUND, rate_of
from tests.mutation.document import changed, put, renamed, without
from tests.mutation.operators import OPERATORS, misspelt, mutants_of
from tests.mutation.survey import Verdict, contracts, shipped, survey
from tests.mutation.survivors import reason_of

EVERY = 24


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    known = contracts()
    return [verdict for path in shipped() for verdict in survey(path, known, EVERY)]


def test_most_mistakes_in_the_shipped_definitions_are_found(verdicts: list[Verdict]):
    assert len(verdicts) > 150
    # The first of every operator and file: the rare operators, whose mutants survive more often, weigh more here.
    assert rate_of(verdicts) >= BOUND - 0.05


def test_every_operator_makes_mutants(verdicts: list[Verdict]):
    assert {verdict.mutant.operator for verdict in verdicts} == {*OPERATORS, "swap types"}


def test_what_survives_has_a_reason(verdicts: list[Verdict]):
    left = [verdict for verdict in verdicts if not verdict.codes and not verdict.is_equivalent]
    assert [verdict.name for verdict in left if not reason_of(verdict)] == []


def test_a_mutant_differs_from_its_definition_and_from_every_other():
    value = {"steps": [{"id": "a", "worker": "w", "with": {"x": "{{ input.x }}", "y": "{{ input.y }}"}, "retry": "r"}]}
    before = json.dumps(value)
    made = [json.dumps(mutant.value) for mutant in mutants_of(value, {})]
    assert len(set(made)) == len(made) > 10
    assert before not in made
    assert json.dumps(value) == before


@pytest.mark.parametrize(("word", "expected"), [("total", "toatl"), ("aa", "aax"), ("id", "idx"), ("x", "xx")])
def test_a_misspelt_word_is_another_one(word: str, expected: str):
    assert misspelt(word) == expected


def test_edits_are_made_in_a_copy():
    value = {"a": {"b": 1, "c": [2]}}
    assert put(value, ("a", "b"), 5) == {"a": {"b": 5, "c": [2]}}
    assert without(value, ("a", "c", 0)) == {"a": {"b": 1, "c": []}}
    assert list(renamed(value, ("a", "b"), "z")["a"]) == ["z", "c"]
    assert changed(value, ("a", "b"), lambda old: old + 1)["a"]["b"] == 2
    assert value == {"a": {"b": 1, "c": [2]}}


def test_the_shipped_definitions_are_all_there():
    names = [Path(path).stem for path in shipped()]
    assert names == ["fulfilment", "order", "renewal", "returns", "trip_booking"]
