"""The returns desk: goods of a delivered order come back, are looked at, and are credited or sent back."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass

from runner import BusinessError, Context, worker
from workers import shop
from workers.model import Condition, ReturnedLine

_WORST_FIRST: tuple[Condition, ...] = ("damaged", "worn", "as_new")


@dataclass(frozen=True, slots=True)
class Authorised:
    """Goods that may come back: what was paid for them, by whom, and with which payment."""

    customer_id: str
    payment_id: str
    value: int
    currency: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """How many pieces may be returned again."""

    pieces: int


@dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel that arrived, judged by the worst that is in it."""

    parcel_ref: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class CreditNote:
    """The customer's paper about the refund."""

    number: int
    amount: int


@worker("returns.authorise", raises=["not_returnable"])
def authorise(ctx: Context, return_ref: str, return_id: str, order: str, items: list[ReturnedLine]) -> Authorised:
    """Claim goods of a delivered order for this return; what was claimed before cannot be claimed again."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        bought = _bought(db, order)
        claims = db.execute("SELECT sku, SUM(quantity) FROM returns WHERE order_id = ? GROUP BY sku", (order,))
        earlier = Counter(dict(claims))
        claimed: Counter[str] = Counter()
        for line in items:
            claimed[line.sku] += line.quantity
        value = 0
        for sku, quantity in claimed.items():
            left = bought.prices.get(sku, [])[earlier[sku] :]
            if quantity > len(left):
                message = f"{order} has {len(left)} of {sku} that may come back, not {quantity}"
                raise BusinessError("not_returnable", message, {"sku": sku, "claimed": quantity, "left": len(left)})
            value += sum(left[:quantity])
            db.execute("INSERT INTO returns VALUES (?, ?, ?, ?, ?)", (return_ref, return_id, order, sku, quantity))
        return once.save(Authorised(bought.customer_id, bought.payment_id, value, bought.currency))


@worker("returns.withdraw")
def withdraw(ctx: Context, return_ref: str) -> Withdrawn | None:
    """Give the claim up: the goods stay the customer's."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        (freed,) = db.execute("SELECT SUM(quantity) FROM returns WHERE return_ref = ?", (return_ref,)).fetchone()
        db.execute("DELETE FROM returns WHERE return_ref = ?", (return_ref,))
        return once.save(Withdrawn(freed))


@worker("returns.receive")
def receive(ctx: Context, parcel_ref: str, return_id: str, items: list[ReturnedLine]) -> Parcel:
    """Take the parcel in, and judge it by its worst piece."""
    found = {line.condition for line in items}
    parcel = Parcel(parcel_ref, next(condition for condition in _WORST_FIRST if condition in found))
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        db.execute("INSERT INTO parcels VALUES (?, ?, ?, 'received')", (parcel_ref, return_id, parcel.condition))
        return once.save(parcel)


@worker("returns.send_back")
def send_back(ctx: Context, parcel_ref: str) -> Parcel | None:
    """Send the parcel back to the customer; None: none had come."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        db.execute("UPDATE parcels SET status = 'sent_back' WHERE parcel_ref = ?", (parcel_ref,))
        (condition,) = db.execute("SELECT condition FROM parcels WHERE parcel_ref = ?", (parcel_ref,)).fetchone()
        return once.save(Parcel(parcel_ref, condition))


@worker("returns.credit_note")
def credit_note(ctx: Context, note_ref: str, return_id: str, order: str, refund_id: str, amount: int) -> CreditNote:
    """Write the credit note for a refund, under the next number."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        # Numbers without gaps: one above the last, in a transaction that alone may write.
        (number,) = db.execute("SELECT COALESCE(MAX(number), 0) + 1 FROM credit_notes").fetchone()
        row = (number, note_ref, return_id, order, refund_id, amount)
        db.execute("INSERT INTO credit_notes VALUES (?, ?, ?, ?, ?, ?)", row)
        return once.save(CreditNote(number, amount))


@dataclass(frozen=True, slots=True)
class _Bought:
    customer_id: str
    payment_id: str
    currency: str
    prices: dict[str, list[int]]  # of each SKU, the price of every piece, in the order in which they come back


def _bought(db: sqlite3.Connection, order: str) -> _Bought:
    """What the order delivered and what paid for it; a completed order counts as delivered, its carrier is quick."""
    row = db.execute(
        "SELECT customer_id, payment_id, orders.currency, orders.items FROM orders"
        " JOIN payments USING (order_id) JOIN shipments USING (order_id)"
        " WHERE order_id = ? AND orders.status = 'completed'"
        " AND payments.status = 'charged' AND shipments.status = 'shipped'",
        (order,),
    ).fetchone()
    if row is None:
        raise BusinessError("not_returnable", f"no order {order} was delivered and paid", details={"order": order})
    prices: dict[str, list[int]] = {}
    for line in json.loads(row[3]):
        prices.setdefault(line["sku"], []).extend([line["unit_price"]] * line["quantity"])
    return _Bought(row[0], row[1], row[2], prices)
