"""The carrier: parcels are sent, and called back while they can be."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass

from runner import BusinessError, Context, worker
from workers import shop
from workers.model import Address, Line

_NO_MANS_LAND = "00000"  # the sandbox's postcode to which nobody delivers


@dataclass(frozen=True, slots=True)
class Shipment:
    """A parcel under way."""

    shipment_ref: str
    tracking: str


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
        if address.zip == _NO_MANS_LAND:
            raise BusinessError("address_refused", f"nobody delivers to postcode {address.zip}", {"zip": address.zip})
        shipment = Shipment(shipment_ref, f"TRK-{secrets.token_hex(5).upper()}")
        label, contents = json.dumps(asdict(address)), json.dumps([asdict(line) for line in items])
        row = (shipment_ref, order, shipment.tracking, label, contents)
        db.execute("INSERT INTO shipments VALUES (?, ?, ?, ?, ?, 'shipped')", row)
        return once.save(shipment)


@worker("shipping.cancel")
def cancel(ctx: Context, shipment_ref: str) -> Cancelled | None:
    """Call a parcel back. Where none was sent (the barrier is done, and has no result), none can be sent any more."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        db.execute("UPDATE shipments SET status = 'cancelled' WHERE shipment_ref = ?", (shipment_ref,))
        (tracking,) = db.execute("SELECT tracking FROM shipments WHERE shipment_ref = ?", (shipment_ref,)).fetchone()
        return once.save(Cancelled(tracking))
