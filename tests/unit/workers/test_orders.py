"""The order desk: a sound order passes, every problem of an unsound one is named, and the last word is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workers.asking import ask, done
from workers import shop

ORDER: dict[str, Any] = {
    "order_id": "ORD-001",
    "customer_id": "CUST-123",
    "currency": "USD",
    "items": [
        {"sku": "PROD-001", "quantity": 2, "unit_price": 2999},
        {"sku": "PROD-002", "quantity": 1, "unit_price": 4999},
    ],
    "payment": {"method": "credit_card", "token": "tok_valid"},
    "shipping_address": {"street": "s", "city": "c", "zip": "1", "country": "US"},
    "total": 10997,
}


def line(**changes: Any) -> list[dict[str, Any]]:
    return [{"sku": "PROD-001", "quantity": 2, "unit_price": 2999, **changes}]


def recorded(order_id: str = "ORD-001") -> Any:
    with shop.reading() as db:
        return db.execute("SELECT status, run_id FROM orders WHERE order_id = ?", (order_id,)).fetchone()


def test_a_sound_order_is_confirmed_with_its_total():
    assert done("orders.validate", order=ORDER) == {"total": 10997, "currency": "USD", "pieces": 3}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"total": 10996}, "the lines come to 10997, the order says 10996"),
        ({"items": []}, "there are no lines"),
        ({"items": line(sku="PROD-999")}, "line 1: PROD-999 is not in the catalogue"),
        ({"items": line(quantity=0)}, "line 1: quantity 0 is not positive"),
        ({"items": line(quantity=-2), "total": -5998}, "line 1: quantity -2 is not positive"),
        ({"items": line(unit_price=0), "total": 0}, "line 1: unit_price 0 is not positive"),
    ],
)
def test_an_unsound_order_is_refused_with_the_reason(changes: dict[str, Any], problem: str):
    ended = ask("orders.validate", order={**ORDER, **changes})
    assert (ended.outcome, ended.code) == ("failed", "invalid_order")
    assert ended.error is not None
    assert problem in ended.error.details["problems"]


def test_all_problems_are_named_at_once():
    ended = ask("orders.validate", order={**ORDER, "items": line(sku="PROD-999", quantity=0)})
    assert ended.error is not None
    assert len(ended.error.details["problems"]) == 3


def test_an_order_is_recorded_with_its_status_and_run():
    done("orders.record", ref="run1/~finally/record", order=ORDER, status="completed")
    assert recorded() == ("completed", "run1")


def test_recording_twice_is_recording_once():
    first = done("orders.record", ref="run1/record", order=ORDER, status="completed")
    assert done("orders.record", ref="run1/record", order=ORDER, status="completed") == first


def test_a_later_run_of_an_undone_order_has_the_last_word():
    done("orders.record", ref="run1/record", order=ORDER, status="compensated")
    done("orders.record", ref="run2/record", order=ORDER, status="completed")
    assert recorded() == ("completed", "run2")


def test_a_repeat_of_an_earlier_run_does_not_overwrite_a_later_one():
    done("orders.record", ref="run1/record", order=ORDER, status="compensated")
    done("orders.record", ref="run2/record", order=ORDER, status="cancelled")
    done("orders.record", ref="run1/record", order=ORDER, status="compensated")
    assert recorded() == ("cancelled", "run2")


def test_a_completed_order_stays_completed():
    done("orders.record", ref="run1/record", order=ORDER, status="completed")
    done("orders.record", ref="run2/record", order=ORDER, status="compensated")
    assert recorded() == ("completed", "run1")
