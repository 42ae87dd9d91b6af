"""The warehouse: goods are held for an order, released, and put back on the shelf. All lines or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from runner import BusinessError, Context, worker
from workers import shop
from workers.model import Line, ReturnedLine


@dataclass(frozen=True, slots=True)
class Hold:
    """Goods that are kept for an order."""

    hold_ref: str
    pieces: int


@dataclass(frozen=True, slots=True)
class Moved:
    """How many pieces went back to the shelf."""

    pieces: int


@worker("inventory.reserve", raises=["out_of_stock"])
def reserve(ctx: Context, hold_ref: str, order: str, items: list[Line]) -> Hold:
    """Hold stock for every line of an order, all or nothing."""
    wanted = _by_sku(items)
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        short = _shortages(db, wanted)
        if short:
            # Out of the block by an exception: the transaction is rolled back, so nothing is held.
            message = ", ".join(f"{s['sku']}: {s['wanted']} wanted, {s['available']} available" for s in short)
            raise BusinessError("out_of_stock", message, details={**short[0], "short": short})
        for sku, quantity in wanted.items():
            db.execute("UPDATE stock SET available = available - ? WHERE sku = ?", (quantity, sku))
            row = (hold_ref, order, sku, quantity)
            db.execute("INSERT INTO holds (hold_ref, order_id, sku, quantity) VALUES (?, ?, ?, ?)", row)
        return once.save(Hold(hold_ref, sum(wanted.values())))


@worker("inventory.release")
def release(ctx: Context, hold_ref: str) -> Moved | None:
    """Undo a reservation. Where none was made (the barrier is done, and has no result), none can be made any more."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        held = db.execute("SELECT sku, quantity FROM holds WHERE hold_ref = ?", (hold_ref,)).fetchall()
        db.execute("DELETE FROM holds WHERE hold_ref = ?", (hold_ref,))
        for sku, quantity in held:
            db.execute("UPDATE stock SET available = available + ? WHERE sku = ?", (quantity, sku))
        return once.save(Moved(sum(quantity for _, quantity in held)))


@worker("inventory.sell")
def sell(ctx: Context, hold_ref: str) -> Moved:
    """Confirm a reservation: the order is decided, so its goods leave the shelf for good."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        db.execute("UPDATE holds SET sold = 1 WHERE hold_ref = ?", (hold_ref,))
        (pieces,) = db.execute("SELECT SUM(quantity) FROM holds WHERE hold_ref = ?", (hold_ref,)).fetchone()
        return once.save(Moved(pieces))


@worker("inventory.restock")
def restock(ctx: Context, restock_ref: str, return_id: str, items: list[ReturnedLine]) -> Moved:
    """Put returned goods back on the shelf."""
    returned = _by_sku(items)
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        for sku, quantity in returned.items():
            db.execute("INSERT INTO restocks VALUES (?, ?, ?, ?)", (restock_ref, return_id, sku, quantity))
            db.execute("UPDATE stock SET available = available + ? WHERE sku = ?", (quantity, sku))
        return once.save(Moved(sum(returned.values())))


def _by_sku(items: Sequence[Line | ReturnedLine]) -> dict[str, int]:
    """Two lines may name one SKU; the shelf has it once."""
    wanted: dict[str, int] = {}
    for line in items:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def _shortages(db: sqlite3.Connection, wanted: dict[str, int]) -> list[dict[str, str | int]]:
    available = dict(db.execute("SELECT sku, available FROM stock"))
    return [
        {"sku": sku, "wanted": quantity, "available": available.get(sku, 0)}
        for sku, quantity in wanted.items()
        if available.get(sku, 0) < quantity
    ]
