"""Every case of the definitions' test files, on the real shop and the real gateway, with the run itself in memory.

It ends as the case expects, and the books say so too: what was undone left no trace, what completed was paid once.
"""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from runner.testing import TestRun, run_workflow
from tests.project.repository import ROOT
from tests.unit.workers.asking import WORKERS
from workers import opening, shop

DEFINITIONS = ROOT / "definitions"
ORDER, RETURNS = DEFINITIONS / "order.yaml", DEFINITIONS / "returns.yaml"
FULFILMENT, TRIP, RENEWAL = (DEFINITIONS / f"{name}.yaml" for name in ("fulfilment", "trip_booking", "renewal"))


def cases(path: Path) -> dict[str, dict[str, Any]]:
    return {case["name"]: case for case in yaml.safe_load(path.with_suffix(".test.yaml").read_text())["cases"]}


ORDERS, PARCELS = cases(ORDER), cases(RETURNS)
FULFILLED, TRIPS, RENEWED = cases(FULFILMENT), cases(TRIP), cases(RENEWAL)


def run(path: Path, given: dict[str, Any], run_id: str = "run1") -> TestRun:
    return run_workflow(path, given, workers=WORKERS, root=ROOT, run_id=run_id)


def run_case(path: Path, case: dict[str, Any]) -> TestRun:
    signals = case.get("signals", ())
    return run_workflow(path, case["input"], workers=WORKERS, root=ROOT, run_id="run1", signals=signals)


def count(question: str) -> int:
    with shop.reading() as db:
        return int(db.execute(question).fetchone()[0])


def books(gateway: str, order: str | None = None) -> dict[str, Any]:
    query = "" if order is None else f"?reference={order}"
    found: dict[str, Any] = httpx.get(f"{gateway}/v1/ledger{query}", trust_env=False).json()
    return found


def outbox() -> list[tuple[str, str, str]]:
    with shop.reading() as db:
        return list(db.execute("SELECT customer_id, template, about FROM outbox"))


def check_end(ended: TestRun, expected: dict[str, Any]) -> None:
    wanted = expected.get("undone", [])
    pairs = zip_longest(ended.undone, wanted, fillvalue="")
    steps = [path if "/" in name else path.rpartition("/")[2] for path, name in pairs]
    assert (ended.status, ended.error and ended.error.code) == (expected["status"], expected.get("error"))
    assert steps == wanted


@pytest.fixture(autouse=True)
def _stock_always_adds_up():
    yield
    assert shop.miscounted() == []


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_ends_as_its_case_expects_and_the_books_agree(gateway: str, name: str):
    case = ORDERS[name]
    order, expected = case["input"], case["expect"]
    before = (shop.available(), shop.standing())
    ended = run(ORDER, order)
    check_end(ended, expected)
    if expected["status"] == "compensated":
        assert (shop.available(), shop.standing()) == before
        assert books(gateway, order["order_id"])["taken"] == 0
    else:
        standing = shop.standing()[order["order_id"]]
        held = {line["sku"]: line["quantity"] for line in order["items"]}
        assert (standing.held, standing.paid) == (held, order["total"])
        assert standing.shipped == (1 if expected["status"] == "completed" else 0)
        assert [charge["amount"] for charge in books(gateway, order["order_id"])["charges"]] == [order["total"]]


def test_a_short_order_never_reaches_the_gateway(gateway: str):
    assert "payments.charge" not in run(ORDER, ORDERS["stock_short"]["input"]).calls
    assert books(gateway, "ORD-003")["charges"] == []


def test_an_invalid_order_touches_nothing_and_its_record_says_that_it_was_undone():
    ended = run(ORDER, ORDERS["invalid_order"]["input"])
    assert ended.calls == ("orders.validate", "orders.record")
    with shop.reading() as db:
        assert list(db.execute("SELECT status FROM orders WHERE order_id = 'ORD-009'")) == [("compensated",)]


def test_the_output_of_an_order_names_the_payment_and_the_parcel(gateway: str):
    ended = run(ORDER, ORDERS["success"]["input"])
    (charge,) = books(gateway, "ORD-001")["charges"]
    assert ended.output["payment_id"] == charge["id"]
    assert ended.output["tracking"].startswith("TRK-")
    assert outbox() == [("CUST-123", "order_confirmed", "ORD-001")]


def test_a_refused_shipment_is_undone_last_step_first():
    assert run(ORDER, ORDERS["shipping_refused"]["input"]).calls[-3:] == (
        "payments.refund",
        "inventory.release",
        "orders.record",
    )


def test_an_order_that_was_just_delivered_can_be_returned(gateway: str):
    run(ORDER, ORDERS["success"]["input"], "run1")
    items = [{"sku": "PROD-001", "quantity": 1, "condition": "as_new"}]
    ended = run(RETURNS, {"return_id": "R-1", "order_id": "ORD-001", "items": items}, "run2")
    assert (ended.status, ended.output["amount"]) == ("completed", 2999)
    assert books(gateway, "ORD-001")["taken"] == 10997 - 2999
    assert shop.standing()["ORD-001"].paid == 10997 - 2999


@pytest.mark.parametrize("name", PARCELS)
def test_a_return_ends_as_its_case_expects_and_the_books_agree(gateway: str, name: str):
    case = PARCELS[name]
    before = (shop.available(), shop.standing(), books(gateway)["taken"])
    check_end(run(RETURNS, case["input"]), case["expect"])
    if case["expect"]["status"] == "compensated":
        assert (shop.available(), shop.standing(), books(gateway)["taken"]) == before


def test_goods_as_new_are_refunded_in_full_credited_and_on_the_shelf_again(gateway: str):
    ended = run(RETURNS, PARCELS["as_new"]["input"])
    assert (ended.output["amount"], ended.output["credit_note"]) == (4_500, 1)
    assert books(gateway, "ORD-901")["taken"] == 10_250 - 4_500
    assert shop.available()["PROD-005"] == opening.STOCK["PROD-005"] + 1
    assert outbox() == [("CUST-123", "return_refunded", "RET-001")]


def test_worn_goods_are_refunded_less_a_fee_and_not_sold_again():
    ended = run(RETURNS, PARCELS["worn"]["input"])
    assert ended.output["amount"] == 4_500 - 675
    assert shop.available() == opening.STOCK


def test_damaged_goods_are_sent_back_before_the_customer_is_told_and_the_claim_is_freed():
    ended = run(RETURNS, PARCELS["damaged"]["input"])
    tail = ("returns.send_back", "notifications.send", "returns.withdraw")
    assert ended.calls[-3:] == tail
    assert outbox() == [("CUST-789", "return_refused", "RET-003")]
    assert [entry.step for entry in ended.standing] == ["inspection~0/explain"]


@pytest.mark.parametrize("name", FULFILLED)
def test_a_fulfilment_ends_as_its_case_expects_and_the_books_agree(gateway: str, name: str):
    case = FULFILLED[name]
    order, expected = case["input"], case["expect"]
    before = (shop.available(), shop.standing())
    check_end(run_case(FULFILMENT, case), expected)
    kept = books(gateway, order["order_id"])
    assert kept["authorised"] == count("SELECT COUNT(*) FROM reviews WHERE status = 'open'") == 0
    if expected["status"] == "compensated":
        assert (shop.available(), shop.standing(), kept["taken"]) == (*before, 0)
    else:
        standing = shop.standing()[order["order_id"]]
        assert (standing.paid, standing.shipped, kept["taken"]) == (order["total"], 1, order["total"])
        assert [charge["status"] for charge in kept["charges"]] == ["succeeded"]
        assert count("SELECT COUNT(*) FROM holds WHERE sold = 0") == 0


def test_a_short_line_sets_no_money_aside(gateway: str):
    assert "payments.authorise" not in run_case(FULFILMENT, FULFILLED["out_of_stock"]).calls


def test_a_review_that_nobody_does_expires_and_everything_is_undone(gateway: str):
    before = (shop.available(), shop.standing())
    ended = run(FULFILMENT, FULFILLED["risky_approved"]["input"])
    assert (ended.status, ended.error and ended.error.code) == ("compensated", "review_expired")
    assert ended.duration_ms >= 2 * 86_400_000
    assert (shop.available(), shop.standing()) == before


def test_an_approved_order_says_who_approved_it():
    assert run_case(FULFILMENT, FULFILLED["risky_approved"]).output["reviewed_by"] == "grace"


@pytest.mark.parametrize("name", TRIPS)
def test_a_trip_ends_as_its_case_expects_and_the_desk_agrees(gateway: str, name: str):
    case = TRIPS[name]
    free = count("SELECT SUM(free) FROM offers")
    check_end(run_case(TRIP, case), case["expect"])
    if case["expect"]["status"] == "compensated":
        assert count("SELECT COUNT(*) FROM bookings") == 0
        assert count("SELECT SUM(free) FROM offers") == free
        assert books(gateway, case["input"]["trip_id"])["taken"] == 0
    else:
        assert count("SELECT COUNT(*) FROM bookings WHERE status = 'booked'") == 0  # each that stands is confirmed
        assert count("SELECT SUM(free) FROM offers") == free - count("SELECT COUNT(*) FROM bookings")


def test_a_full_hotel_leaves_flight_and_other_hotel_and_no_shuttle(gateway: str):
    ended = run_case(TRIP, TRIPS["hotel_full"])
    with shop.reading() as db:
        assert sorted(offer for (offer,) in db.execute("SELECT offer FROM bookings")) == ["OSL-LIS", "hostel"]
    assert ended.output == {"hotel": "hostel", "paid": 18_900 + 9_000}
    assert books(gateway, "TRIP-002")["taken"] == 27_900


@pytest.mark.parametrize("name", RENEWED)
def test_a_renewal_ends_as_its_case_expects_and_the_books_agree(gateway: str, name: str):
    case = RENEWED[name]
    check_end(run_case(RENEWAL, case), case["expect"])
    paid = case["expect"]["status"] == "completed"
    assert books(gateway, case["input"]["subscription_id"])["taken"] == (1200 if paid else 0)
    assert count("SELECT COUNT(*) FROM extensions") == paid
    assert count("SELECT COUNT(*) FROM invoices WHERE status = 'open'") == paid


def test_without_a_word_from_the_customer_the_card_is_tried_again_after_the_pause():
    ended = run(RENEWAL, {**RENEWED["second_try"]["input"], "pause": "3d"})
    assert (ended.status, ended.calls.count("payments.charge")) == ("completed", 2)
    assert ended.duration_ms >= 3 * 86_400_000


def test_a_new_card_is_charged_at_once_and_a_mail_was_sent_before():
    ended = run_case(RENEWAL, {**RENEWED["new_card"], "input": {**RENEWED["new_card"]["input"], "pause": "3d"}})
    assert ended.duration_ms < 86_400_000
    assert [template for _, template, _ in outbox()] == ["payment_failed", "subscription_renewed"]
