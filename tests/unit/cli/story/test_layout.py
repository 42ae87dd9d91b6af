"""Columns, and what is remarked at the end of a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.story.layout import Layout, attempts_text, label
from runner.interpreter.plan import compile_plan
from runner.monitor.story import Attempt
from runner.wire import ErrorRecord
from tests.desk import EVERYTHING, Desk


def test_the_columns_are_as_wide_as_the_definition_needs(tmp_path: Path):
    plan = compile_plan(Desk(tmp_path).definition)
    assert Layout.of(plan) == Layout(step=len("reserve"), worker=len("stock.reserve"))


def test_paths_have_room_for_the_numbers_of_items(tmp_path: Path):
    plan = compile_plan(Desk(tmp_path, EVERYTHING).definition)
    assert Layout.of(plan).step == len("checks.stock/lines#00/hold")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("charge", ("charge", 0)),
        ("checks.stock/lines#3/hold", ("checks.stock/lines#3/hold", 0)),
        ("risk.else/auto", ("risk.else/auto", 0)),
        ("gone", ("gone", 0)),
    ],
)
def test_what_is_in_a_branch_or_an_item_is_called_by_its_path(tmp_path: Path, path: str, name: tuple[str, int]):
    plan = compile_plan(Desk(tmp_path, EVERYTHING).definition)
    assert label(path, plan.steps.get(path.replace("#3", "#"))) == name


def attempts(*codes: str) -> list[Attempt]:
    return [
        Attempt("action", number, "w", 0, "completed" if code == "ok" else "unknown", ErrorRecord(code))
        for number, code in enumerate(codes)
    ]


@pytest.mark.parametrize(
    ("codes", "text"),
    [
        ((), ""),
        (("ok",), ""),
        (("timeout", "ok"), "2 attempts (timeout, then ok)"),
        (("a", "b", "c", "ok"), "4 attempts (a, b, c, then ok)"),
        (("a", "b", "c", "d", "ok"), "5 attempts (…, d, then ok)"),
        (("a", "a", "a"), "3 attempts"),
    ],
)
def test_attempts_in_words(codes: tuple[str, ...], text: str):
    assert attempts_text(attempts(*codes)) == text
