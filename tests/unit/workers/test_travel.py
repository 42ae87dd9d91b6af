"""The travel desk: one place an operation, none that is not free, and none after its cancellation."""

from __future__ import annotations

from tests.unit.workers.asking import Ended, ask, done
from workers import shop

REF = "run/flight"


def book(offer: str = "OSL-LIS") -> Ended:
    return ask("travel.book", ref=REF, booking_ref=REF, trip="T-1", offer=offer, traveller="ADA")


def cancel() -> Ended:
    return ask("travel.cancel", ref=REF, phase="compensate", booking_ref=REF)


def bookings() -> list[tuple[str, str]]:
    with shop.reading() as db:
        return list(db.execute("SELECT offer, status FROM bookings"))


def free(offer: str = "OSL-LIS") -> int:
    with shop.reading() as db:
        return int(db.execute("SELECT free FROM offers WHERE offer = ?", (offer,)).fetchone()[0])


def test_a_place_is_kept_once():
    before = free()
    assert book() == book()
    assert (bookings(), free()) == ([("OSL-LIS", "booked")], before - 1)


def test_what_is_sold_out_or_unknown_is_a_definite_no():
    assert [book("grand").code, book("nowhere").code] == ["sold_out", "sold_out"]
    assert bookings() == []


def test_a_cancelled_place_is_free_again():
    before = free()
    book()
    assert [cancel().outcome, cancel().outcome] == ["completed", "completed"]
    assert (bookings(), free()) == ([], before)


def test_a_place_cannot_be_booked_after_its_cancellation():
    before = free()
    cancel()
    assert (book().code, bookings(), free()) == ("already_undone", [], before)


def test_a_confirmed_booking_is_binding():
    book()
    done("travel.confirm", ref=REF, phase="confirm", booking_ref=REF)
    assert bookings() == [("OSL-LIS", "confirmed")]
