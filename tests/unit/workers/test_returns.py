"""The returns desk: what was delivered comes back once, and the undo frees it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workers.asking import Ended, ask, done
from workers import shop

REF = "run/authorise"


def goods(sku: str = "PROD-005", quantity: int = 1, condition: str = "as_new") -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity, "condition": condition}]


def authorise(items: list[dict[str, Any]] | None = None, *, order: str = "ORD-901", ref: str = REF) -> Ended:
    given = {"return_ref": ref, "return_id": "RET-1", "order": order, "items": items or goods()}
    return ask("returns.authorise", ref=ref, **given)


def withdraw(ref: str = REF) -> Ended:
    return ask("returns.withdraw", ref=ref, phase="compensate", return_ref=ref)


def parcels() -> list[tuple[str, str]]:
    with shop.reading() as db:
        return list(db.execute("SELECT condition, status FROM parcels"))


def test_goods_of_a_delivered_order_may_come_back_for_what_was_paid():
    assert authorise(goods(quantity=2)).output == {
        "customer_id": "CUST-123",
        "payment_id": "pay_past_901",
        "value": 9_000,
        "currency": "USD",
    }


def test_pieces_that_were_sold_at_two_prices_come_back_at_theirs():
    lines = [{"sku": "PROD-001", "quantity": 1, "unit_price": price} for price in (300, 200)]
    order = {"order_id": "ORD-1", "customer_id": "C", "currency": "USD", "items": lines, "total": 500}
    done("orders.record", ref="run/record", order=order, status="completed")
    with shop.transaction() as db:
        db.execute("INSERT INTO payments VALUES ('p', 'ORD-1', 'pay_1', 500, 'USD', 'charged')")
        db.execute("INSERT INTO shipments VALUES ('s', 'ORD-1', 'TRK-1', '{}', '[]', 'shipped')")
    values = [authorise(goods("PROD-001"), order="ORD-1", ref=ref).output["value"] for ref in ("a/a", "b/a")]
    assert sum(values) == 500


@pytest.mark.parametrize("status", ["compensated", "cancelled"])
def test_an_order_that_was_not_delivered_has_nothing_to_return(status: str):
    items = [{"sku": "PROD-005", "quantity": 1, "unit_price": 1}]
    order = {"order_id": "ORD-1", "customer_id": "C", "currency": "USD", "items": items, "total": 1}
    done("orders.record", ref="run/record", order=order, status=status)
    assert authorise(order="ORD-1").code == "not_returnable"


def test_an_order_that_never_was_has_nothing_to_return():
    assert authorise(order="ORD-000").code == "not_returnable"


def test_no_more_comes_back_than_was_bought():
    ended = authorise(goods(quantity=3))
    assert ended.code == "not_returnable"
    assert ended.error is not None
    assert ended.error.details == {"sku": "PROD-005", "claimed": 3, "left": 2}


def test_what_one_return_claimed_another_cannot():
    authorise(goods(quantity=2))
    assert authorise(goods(), ref="other/authorise").code == "not_returnable"


def test_a_return_that_is_refused_claims_nothing():
    authorise(goods() + goods("PROD-006", 9))
    assert authorise(goods(quantity=2), ref="other/authorise").outcome == "completed"


def test_a_repeat_claims_nothing_more():
    assert authorise(goods(quantity=2)).output == authorise(goods(quantity=2)).output


def test_a_withdrawn_return_frees_the_goods():
    authorise(goods(quantity=2))
    assert [withdraw().output, withdraw().output] == [{"pieces": 2}] * 2
    assert authorise(goods(quantity=2), ref="other/authorise").outcome == "completed"


@pytest.mark.parametrize("was_authorised", [True, False])
def test_a_return_is_not_authorised_after_it_was_withdrawn(was_authorised: bool):
    if was_authorised:
        authorise()
    assert withdraw().outcome == "completed"
    assert authorise().code == "already_undone"


@pytest.mark.parametrize(
    ("conditions", "judged"),
    [
        (["as_new"], "as_new"),
        (["as_new", "worn"], "worn"),
        (["worn", "damaged", "as_new"], "damaged"),
    ],
)
def test_a_parcel_is_judged_by_its_worst_piece(conditions: list[str], judged: str):
    items = [goods(condition=condition)[0] for condition in conditions]
    parcel = done("returns.receive", parcel_ref="p", return_id="RET-1", items=items)
    assert (parcel["condition"], parcels()) == (judged, [(judged, "received")])


def test_a_parcel_is_taken_in_once_and_sent_back_once():
    for _ in range(2):
        done("returns.receive", ref="run/receive", parcel_ref="p", return_id="RET-1", items=goods())
    for _ in range(2):
        done("returns.send_back", ref="run/receive", phase="compensate", parcel_ref="p")
    assert parcels() == [("as_new", "sent_back")]


def test_a_parcel_that_never_came_is_not_sent_back_and_not_taken_in_later():
    assert done("returns.send_back", ref="run/receive", phase="compensate", parcel_ref="p") is None
    late = ask("returns.receive", ref="run/receive", parcel_ref="p", return_id="RET-1", items=goods())
    assert (late.code, parcels()) == ("already_undone", [])


def test_credit_notes_are_numbered_without_gaps_and_written_once():
    given = {"return_id": "RET-1", "order": "ORD-901", "refund_id": "ref_1", "amount": 100}
    refs = ["a/note", "b/note", "a/note", "c/note"]
    numbers = [done("returns.credit_note", ref=ref, note_ref=ref, **given)["number"] for ref in refs]
    assert numbers == [1, 2, 1, 3]
