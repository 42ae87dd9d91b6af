"""The travel desk: flights, hotels, transfers and cars are booked, confirmed and cancelled."""

from __future__ import annotations

from dataclasses import dataclass

from runner import BusinessError, Context, worker
from workers import shop


@dataclass(frozen=True, slots=True)
class Booking:
    """A place that is kept for a traveller."""

    booking_ref: str
    offer: str
    price: int


@worker("travel.book", raises=["sold_out"])
def book(ctx: Context, booking_ref: str, trip: str, offer: str, traveller: str) -> Booking:
    """Keep one place of an offer."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        row = db.execute("SELECT price, free FROM offers WHERE offer = ?", (offer,)).fetchone()
        if row is None or row[1] == 0:
            why = f"{offer} is sold out" if row else f"there is no {offer}"
            raise BusinessError("sold_out", why, details={"offer": offer})
        db.execute("UPDATE offers SET free = free - 1 WHERE offer = ?", (offer,))
        db.execute("INSERT INTO bookings VALUES (?, ?, ?, ?, 'booked')", (booking_ref, trip, offer, traveller))
        return once.save(Booking(booking_ref, offer, row[0]))


@worker("travel.cancel")
def cancel(ctx: Context, booking_ref: str) -> None:
    """Undo a booking. Where none was made, none can be made any more."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return
        found = db.execute("SELECT offer FROM bookings WHERE booking_ref = ?", (booking_ref,)).fetchone()
        db.execute("DELETE FROM bookings WHERE booking_ref = ?", (booking_ref,))
        db.execute("UPDATE offers SET free = free + 1 WHERE offer = ?", found)
        once.save(None)


@worker("travel.confirm")
def confirm(ctx: Context, booking_ref: str) -> None:
    """Make a booking binding, once the whole trip is decided."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if not once.done:
            db.execute("UPDATE bookings SET status = 'confirmed' WHERE booking_ref = ?", (booking_ref,))
            once.save(None)
