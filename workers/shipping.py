"""The carrier: parcels are sent, and called back while they can be."""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import asdict, dataclass

from runner import BusinessError, Context, worker
from workers import shop
from workers.model import Address, Line

_CARRIER = "sandbox-post"
_NO_MANS_LAND = "00000"  # the sandbox's postcode to which nobody delivers


@dataclass(frozen=True, slots=True)
class Shipment:
    """A parcel under way."""

    shipment_ref: str
    tracking: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Who would deliver, and where to."""

    carrier: str
    zip: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The parcel that was called back."""

    tracking: str


@worker("shipping.create", raises=["address_refused"])
def create(ctx: Context, shipment_ref: str, order: str, address: Address, items: list[Line]) -> Shipment:
    """Send the goods, or refuse an address that cannot be reached."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        _refuse_unreachable(address)
        return once.save(_send(db, shipment_ref, order, address, items))


@worker("shipping.quote", raises=["address_refused"], readonly=True)
def quote(address: Address) -> Quote:
    """Ask whether an address can be reached, before anything is sent."""
    _refuse_unreachable(address)
    return Quote(_CARRIER, address.zip)


@worker("shipping.send")
def send(ctx: Context, shipment_ref: str, order: str, address: Address, items: list[Line]) -> Shipment:
    """Send the goods to an address that the carrier has accepted."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        return once.result if once.done else once.save(_send(db, shipment_ref, order, address, items))


@worker("shipping.cancel")
def cancel(ctx: Context, shipment_ref: str) -> Cancelled | None:
    """Call a parcel back. Where none was sent (the barrier is done, and has no result), none can be sent any more."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        db.execute("UPDATE shipments SET status = 'cancelled' WHERE shipment_ref = ?", (shipment_ref,))
        (tracking,) = db.execute("SELECT tracking FROM shipments WHERE shipment_ref = ?", (shipment_ref,)).fetchone()
        return once.save(Cancelled(tracking))


def _refuse_unreachable(address: Address) -> None:
    if address.zip == _NO_MANS_LAND:
        raise BusinessError("address_refused", f"nobody delivers to postcode {address.zip}", {"zip": address.zip})


def _send(db: sqlite3.Connection, shipment_ref: str, order: str, address: Address, items: list[Line]) -> Shipment:
    shipment = Shipment(shipment_ref, f"TRK-{secrets.token_hex(5).upper()}")
    label, contents = json.dumps(asdict(address)), json.dumps([asdict(line) for line in items])
    row = (shipment_ref, order, shipment.tracking, label, contents)
    db.execute("INSERT INTO shipments VALUES (?, ?, ?, ?, ?, 'shipped')", row)
    return shipment
