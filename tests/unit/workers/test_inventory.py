"""The warehouse: all lines or none, once, and never after the release."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workers.asking import Ended, ask, done
from workers import opening, shop

REF = "run/reserve"
TWO_LINES = [{"sku": "PROD-001", "quantity": 2}, {"sku": "PROD-002", "quantity": 1}]


def reserve(items: list[dict[str, Any]] | None = None, ref: str = REF) -> Ended:
    return ask("inventory.reserve", ref=ref, hold_ref=ref, order="ORD-1", items=items or TWO_LINES)


def release(ref: str = REF) -> Ended:
    return ask("inventory.release", ref=ref, phase="compensate", hold_ref=ref)


def taken() -> dict[str, int]:
    now = shop.available()
    return {sku: count - now[sku] for sku, count in opening.STOCK.items() if count != now[sku]}


@pytest.fixture(autouse=True)
def _stock_always_adds_up():
    yield
    assert shop.miscounted() == []


def test_every_line_is_held_for_the_order():
    assert reserve().output == {"hold_ref": REF, "pieces": 3}
    assert taken() == {"PROD-001": 2, "PROD-002": 1}
    assert shop.standing()["ORD-1"].held == {"PROD-001": 2, "PROD-002": 1}


def test_one_line_that_is_short_holds_nothing_at_all():
    ended = reserve([{"sku": "PROD-001", "quantity": 2}, {"sku": "PROD-004", "quantity": 100}])
    assert (ended.outcome, ended.code, taken()) == ("failed", "out_of_stock", {})
    assert ended.error is not None
    short = {"sku": "PROD-004", "wanted": 100, "available": 25}
    assert ended.error.details == {**short, "short": [short]}
    assert ended.error.message == "PROD-004: 100 wanted, 25 available"


def test_two_lines_of_one_sku_are_short_together():
    ended = reserve([{"sku": "PROD-004", "quantity": 13}, {"sku": "PROD-004", "quantity": 13}])
    assert (ended.code, taken()) == ("out_of_stock", {})


def test_two_lines_of_one_sku_are_held_together():
    reserve([{"sku": "PROD-004", "quantity": 12}, {"sku": "PROD-004", "quantity": 13}])
    assert taken() == {"PROD-004": 25}


def test_the_last_piece_is_held_once():
    everything = [{"sku": "PROD-004", "quantity": 25}]
    assert reserve(everything, "run1/reserve").outcome == "completed"
    assert reserve(everything, "run2/reserve").code == "out_of_stock"
    assert taken() == {"PROD-004": 25}


def test_an_unknown_sku_is_out_of_stock():
    assert reserve([{"sku": "PROD-999", "quantity": 1}]).code == "out_of_stock"


def test_a_repeat_holds_nothing_more_and_answers_the_same():
    assert reserve().output == reserve().output
    assert taken() == {"PROD-001": 2, "PROD-002": 1}


def test_a_shortage_is_judged_anew_by_the_next_attempt():
    reserve([{"sku": "PROD-004", "quantity": 25}], "other/reserve")
    assert reserve([{"sku": "PROD-004", "quantity": 1}]).code == "out_of_stock"
    release("other/reserve")
    assert reserve([{"sku": "PROD-004", "quantity": 1}]).outcome == "completed"


def test_a_release_puts_everything_back():
    reserve()
    assert release().output == {"pieces": 3}
    assert taken() == {}
    assert "ORD-1" not in shop.standing()


def test_a_repeated_release_puts_nothing_back_again():
    reserve()
    assert release().output == release().output
    assert taken() == {}


def test_a_release_before_the_reservation_has_nothing_to_do():
    ended = release()
    assert (ended.outcome, ended.output, taken()) == ("completed", None, {})


@pytest.mark.parametrize("was_reserved", [True, False])
def test_a_reservation_that_arrives_after_its_release_is_refused(was_reserved: bool):
    if was_reserved:
        reserve()
    release()
    late = reserve()
    assert (late.outcome, late.code, taken()) == ("failed", "already_undone", {})


def test_returned_goods_are_back_on_the_shelf_once():
    items = [{"sku": "PROD-001", "quantity": 2, "condition": "as_new"}]
    outputs = [done("inventory.restock", restock_ref="r", return_id="RET-1", items=items) for _ in range(2)]
    assert outputs == [{"pieces": 2}] * 2
    assert taken() == {"PROD-001": -2}


def test_a_sale_confirms_the_hold_and_moves_nothing():
    reserve()
    assert [done("inventory.sell", ref=REF, phase="confirm", hold_ref=REF) for _ in range(2)] == [{"pieces": 3}] * 2
    assert taken() == {"PROD-001": 2, "PROD-002": 1}
    with shop.reading() as db:
        assert list(db.execute("SELECT DISTINCT sold FROM holds")) == [(1,)]
