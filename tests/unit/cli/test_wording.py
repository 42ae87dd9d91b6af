"""Times, errors and values in words."""

from __future__ import annotations

import pytest

from runner.cli import wording
from runner.cli.screen import plain
from runner.store.ports import SlotInfo
from runner.wire import ErrorRecord


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (SlotInfo("order", 1, 1, 1, ("abc",)), "order has 1 of 1 run under way (abc); it is next"),
        (SlotInfo("a:b", 2, 2, 3, ("c", "d"), 1), "a:b has 2 of 2 runs under way (c, d); 1 other begins before it"),
        (SlotInfo("order", 9, 9, 3, ("a",), 2), "order has 9 of 9 runs under way (a, …); 2 others begin before it"),
    ],
)
def test_what_a_pending_run_waits_for_is_told(line: SlotInfo, text: str):
    assert wording.line_text(line) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, ""),
        (0, "0 ms"),
        (3.4, "3 ms"),
        (999, "999 ms"),
        (1_200, "1.20 s"),
        (12_345, "12.3 s"),
        (60_000, "1 min"),
        (125_000, "2 min 5 s"),
        (3_600_000, "1 h"),
        (12_000_000, "3 h 20 min"),
    ],
)
def test_durations_are_short_and_exact_enough(ms: float | None, text: str):
    assert wording.duration(ms) == text


def test_a_whole_run_is_told_in_seconds():
    assert wording.seconds(490) == "0.49 s"
    assert wording.seconds(90_000) == "1 min 30 s"


def test_an_error_is_its_code_and_message():
    assert wording.error_text(ErrorRecord("card_declined", message="insufficient funds")) == (
        "card_declined: insufficient funds"
    )
    assert wording.error_text(ErrorRecord("timeout")) == "timeout"
    assert wording.error_text(None) == ""


def test_an_object_is_told_by_its_members():
    assert wording.pairs({"payment_id": "pay_19x", "total": 3}) == 'payment_id: "pay_19x"  total: 3'
    assert wording.pairs([1, 2]) == "[1,2]"
    assert wording.pairs({}) == "{}"


def test_columns_line_up_and_the_last_one_is_not_padded():
    lines = [plain(line) for line in wording.columns([("a", "x", "end"), ("long", [("y", "red")], "")])]
    assert lines == ["a     x  end", "long  y"]


def test_columns_of_nothing_are_nothing():
    assert wording.columns([]) == []


def test_built_in_workers_are_not_counted_as_the_projects_own():
    contracts = {"a.b": {}, "http.request": {}}
    assert wording.hosted(("workers", "more"), contracts) == "workers, more (1 worker)"
    assert wording.hosted((), contracts) == "built-in workers only"
