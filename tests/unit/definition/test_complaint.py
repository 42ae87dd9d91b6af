"""Suggestions: what somebody probably meant."""

from __future__ import annotations

import time

import pytest

from runner.definition.complaint import closest, did_you_mean, slip


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("chrage", ["charge", "ship"], "charge"),
        ("max_attempt", ["max_attempts", "max"], "max_attempts"),
        ("expo", ["fixed", "linear", "exponential"], "exponential"),
        ("com", ["compensate", "completed"], ""),
        ("zzz", ["charge"], ""),
        ("", ["charge"], ""),
        ("charge", [], ""),
    ],
)
def test_a_word_that_looks_alike_or_the_only_one_it_begins_is_meant(word: str, known: list[str], meant: str) -> None:
    assert closest(word, known) == meant
    assert did_you_mean(word, known) == (f'did you mean "{meant}"?' if meant else "")


def test_huge_words_and_lists_are_not_compared() -> None:
    started = time.thread_time()
    assert closest("x" * 100_000, ["y" * 100_000]) == ""
    closest("name", [f"name_{number}" for number in range(100_000)])
    assert time.thread_time() - started < 1


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("chrage", ["charge", "ship"], "charge"),  # two neighbours swapped
        ("chage", ["charge"], "charge"),
        ("chharge", ["charge"], "charge"),
        ("cherge", ["charge"], "charge"),
        ("chrgae", ["charge"], None),  # two slips in a short word
        ("shippnig_adress", ["shipping_address"], "shipping_address"),
        ("steos", ["steps", "step"], None),  # the other one is nearly as near
        ("item", ["items", "item_id"], "items"),
        ("a", ["b", "c"], None),
        ("x" * 200, ["x" * 199], None),
        ("anything", [], None),
    ],
)
def test_a_slip_is_what_can_have_been_meant_one_way_only(word: str, known: list[str], meant: str | None) -> None:
    assert slip(word, known).get("instead") == meant
