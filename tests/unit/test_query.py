"""What a query means, and what is said of one that means nothing."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from runner.errors import UsageError
from runner.query import Details, Listed, parse_query

NOW_MS = 1_700_000_000_000
ORDER = Listed("ab12cd34ef56gh78", "stuck", "order", "1.2.0", "ORD-006", "", "")
CHILD = Listed("zz12cd34ef56gh78", "running", "payment", "2.0.0", "", "ab12cd34ef56gh78", "")
MORE = Details(
    input={"customer_id": "CUST-7", "total": 120, "gift": True, "note": None, "items": [{"sku": "A"}, {"sku": "B"}]},
    output={"tracking": "TRK-1"}, errors=frozenset({"card_declined"}), steps=frozenset({"charge"}),
    groups=frozenset({"v1:abc123"}),
)


def fits(text: str, run: Listed = ORDER, details: Details = MORE) -> bool:
    query = parse_query(text, NOW_MS)
    return query.fits_listed(run) and query.fits_details(details)


@pytest.mark.parametrize("text", [
    "", "   ", "workflow:order", "workflow:ord*", "status:stuck,completed", "status:failed", "status:live", "run:AB12",
    "key:ORD-*", "version:1.2.0", "parent:none", "-status:completed", "!status:completed", "-key:test*", "ord-006",
    "workflow:order status:stuck", 'key:"ORD-006"', "input.customer_id:CUST-7", "input.customer_id:CUST-*",
    "input.total:120", "input.total:>100", "input.total:<=120", "input.gift:true", "input.note:null",
    "input.items.sku:B", "input.items.1.sku:B", "output.tracking:TRK-1", "error:card_declined", "error:card_*",
    "step:charge", "pattern:abc", "pattern:v1:abc", "-error:timeout", '"-status:completed"', "-parent:any",
])  # fmt: skip
def test_a_query_fits(text: str):
    assert fits(text)


@pytest.mark.parametrize("text", [
    "workflow:payment", "status:completed", "status:over", "-status:stuck", "run:zz", "key:ORD", "key:ORD-00[6]",
    "parent:any", "workflow:order status:completed", "input.customer_id:CUST", "input.total:>120", "input.total:1*0.5",
    "input.gift:True", "input.absent:x", "input.items.0.sku:B", "input.items.9.sku:B", "error:timeout", "step:ship",
    "pattern:xyz", "-error:card_declined", '"-status:stuck"', "other", "input.customer_id:>5", "output.tracking.x:1",
])  # fmt: skip
def test_a_query_does_not_fit(text: str):
    assert not fits(text)


def test_children_are_asked_for_by_their_parent():
    assert fits("parent:ab12", CHILD)
    assert fits("parent:any", CHILD)
    assert not fits("parent:none", CHILD)


def test_either_of_several_values_fits_and_none_of_them_when_turned_round():
    assert fits("error:timeout,card_declined")
    assert not fits("-error:timeout,card_declined")


@pytest.mark.parametrize(("text", "since_ms", "until_ms"), [
    ("since:1d", NOW_MS - 86_400_000, 0), ("until:2h", 0, NOW_MS - 7_200_000),
    ("since:1d until:2h", NOW_MS - 86_400_000, NOW_MS - 7_200_000),
    ("since:2023-11-14T00:00:00Z", 1_699_920_000_000, 0), ("since:3650d", NOW_MS - 315_360_000_000, 0),
])  # fmt: skip
def test_times_bound_what_is_read(text: str, since_ms: int, until_ms: int):
    query = parse_query(text, NOW_MS)
    assert (query.since_ms, query.until_ms, query.terms) == (since_ms, until_ms, ())


def test_only_what_is_in_a_run_needs_the_whole_run():
    assert not parse_query("workflow:order -status:completed since:1d ord", NOW_MS).needs_details
    assert parse_query("input.a:1", NOW_MS).needs_details
    assert parse_query("error:x", NOW_MS).needs_details


@pytest.mark.parametrize(("text", "is_so"), [
    ("status:stuck", True), ("status:live", True), ("status:stuck,running workflow:x", True), ("status:failed", False),
    ("-status:stuck", False), ("workflow:x", False), ("status:stuck,completed", False),
])  # fmt: skip
def test_it_is_known_when_only_live_runs_can_fit(text: str, is_so: bool):
    assert parse_query(text, NOW_MS).wants_live_only is is_so


@pytest.mark.parametrize(("text", "said"), [
    ("worflow:order", r'no field "worflow".*did you mean "workflow"'), ("colour:red", "there are run, workflow"),
    ("status:stuk", 'no status "stuk": did you mean "stuck"'), ("status:xyzzy", "there are pending"),
    ("status:", "has no value"), ("status:,", "has no value"), ("-", "has no value"), ("workflow:", "has no value"),
    ("input:5", "says no place"), ("input.:5", "says no place"), ("since:soon", "neither a duration"),
    ("since:99999d", "neither a duration"), ("-since:1d", "cannot be turned round"), ("since:1d,2d", "one time"),
    ("input.total:>abc", "compares with no number"), ("output.at:<=", "compares with no number"),
    ('ab "open', "cannot be read from column 4"), ("a " * 51, "51 terms"),
])  # fmt: skip
def test_what_means_nothing_is_refused(text: str, said: str):
    with pytest.raises(UsageError, match=said):
        parse_query(text, NOW_MS)


@pytest.mark.parametrize("text", ["*" * 40 + "x", "key:" + "a*" * 30 + "b", "[" * 30, "??", "key:[", 'input.a."b":x'])
def test_any_text_is_answered(text: str):
    long: Any = Listed("a" * 16, "stuck", "a" * 200, "1", "a" * 256, "", "")
    with contextlib.suppress(UsageError):
        fits(text, long)
