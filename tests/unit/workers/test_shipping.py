"""The carrier: one parcel an operation, none to nowhere, and none after it was called back."""

from __future__ import annotations

import pytest

from tests.unit.workers.asking import Ended, ask
from workers import shop

REF = "run/ship"


def create(zip: str = "94105", ref: str = REF) -> Ended:
    address = {"street": "123 Main St", "city": "San Francisco", "zip": zip, "country": "US"}
    items = [{"sku": "PROD-001", "quantity": 2, "unit_price": 2999}]
    return ask("shipping.create", ref=ref, shipment_ref=ref, order="ORD-1", address=address, items=items)


def cancel(ref: str = REF) -> Ended:
    return ask("shipping.cancel", ref=ref, phase="compensate", shipment_ref=ref)


def parcels() -> int:
    standing = shop.standing().get("ORD-1")
    return 0 if standing is None else standing.shipped


def test_a_parcel_is_sent_with_a_tracking_number():
    ended = create()
    assert ended.output["tracking"].startswith("TRK-")
    assert parcels() == 1


def test_two_parcels_have_two_tracking_numbers():
    assert create(ref="a/ship").output["tracking"] != create(ref="b/ship").output["tracking"]
    assert parcels() == 2


def test_a_repeat_sends_no_second_parcel_and_answers_the_same():
    assert create().output == create().output
    assert parcels() == 1


def test_nobody_delivers_to_nowhere():
    ended = create(zip="00000")
    assert (ended.outcome, ended.code, parcels()) == ("failed", "address_refused", 0)


def test_a_parcel_is_called_back_once():
    tracking = create().output["tracking"]
    assert [cancel().output, cancel().output] == [{"tracking": tracking}] * 2
    assert parcels() == 0


def test_calling_back_a_parcel_that_was_never_sent_has_nothing_to_do():
    assert (cancel().outcome, cancel().output) == ("completed", None)


@pytest.mark.parametrize("was_sent", [True, False])
def test_a_parcel_is_not_sent_after_it_was_called_back(was_sent: bool):
    if was_sent:
        create()
    cancel()
    late = create()
    assert (late.outcome, late.code, parcels()) == ("failed", "already_undone", 0)


ADDRESS = {"street": "123 Main St", "city": "San Francisco", "zip": "94105", "country": "US"}


def test_the_carrier_says_beforehand_where_nobody_delivers():
    assert ask("shipping.quote", address=ADDRESS).output["zip"] == "94105"
    assert ask("shipping.quote", address={**ADDRESS, "zip": "00000"}).code == "address_refused"
    assert parcels() == 0


def test_a_parcel_to_an_accepted_address_is_sent_once():
    items = [{"sku": "PROD-001", "quantity": 2}]
    sent = [
        ask("shipping.send", ref=REF, shipment_ref=REF, order="ORD-1", address=ADDRESS, items=items).output["tracking"]
        for _ in range(2)
    ]
    assert (sent[0], parcels()) == (sent[1], 1)
