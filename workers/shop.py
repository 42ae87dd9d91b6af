"""The shop's database: one SQLite file that every worker of every process writes to.

Write inside `transaction()` only, keep it short, and never wait for a network in it: there is one writer at a time.
The file is created whole and stocked in another place and then linked to its name, so nobody ever meets half a shop.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sqlite3
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from workers import opening
from workers.places import shop_database

_SCHEMA = """
CREATE TABLE stock (
    sku       TEXT PRIMARY KEY,
    opening   INTEGER NOT NULL,                           -- what the shop began with
    available INTEGER NOT NULL CHECK (available >= 0)     -- what may still be promised to an order
) WITHOUT ROWID;
CREATE TABLE holds (
    hold_ref TEXT NOT NULL,
    order_id TEXT NOT NULL,
    sku      TEXT NOT NULL REFERENCES stock (sku),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    sold     INTEGER NOT NULL DEFAULT 0,                  -- 1: confirmed, so it will not be released any more
    PRIMARY KEY (hold_ref, sku)
) WITHOUT ROWID;
CREATE TABLE payments (                                   -- the shop's copy of what the gateway answered
    payment_ref TEXT PRIMARY KEY,
    order_id    TEXT NOT NULL,
    payment_id  TEXT NOT NULL,                            -- the gateway's name for it
    amount      INTEGER NOT NULL,                         -- minor units
    currency    TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('charged', 'refunded'))
) WITHOUT ROWID;
CREATE TABLE refunds (                                    -- of returned goods; a payment undone whole has none
    refund_ref TEXT PRIMARY KEY,
    payment_id TEXT NOT NULL,
    refund_id  TEXT NOT NULL,
    amount     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE shipments (
    shipment_ref TEXT PRIMARY KEY,
    order_id     TEXT NOT NULL,
    tracking     TEXT NOT NULL UNIQUE,
    address      TEXT NOT NULL,                           -- JSON
    items        TEXT NOT NULL,                           -- JSON
    status       TEXT NOT NULL CHECK (status IN ('shipped', 'cancelled'))
) WITHOUT ROWID;
CREATE TABLE orders (
    order_id    TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    items       TEXT NOT NULL,                            -- JSON
    total       INTEGER NOT NULL,
    currency    TEXT NOT NULL,
    status      TEXT NOT NULL,                            -- of its run: completed, compensated, cancelled
    run_id      TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE customers (customer_id TEXT PRIMARY KEY, email TEXT) WITHOUT ROWID;
CREATE TABLE outbox (
    message_ref TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    template    TEXT NOT NULL,
    about       TEXT NOT NULL                             -- the order or return that it tells of
) WITHOUT ROWID;
CREATE TABLE returns (
    return_ref TEXT NOT NULL,
    return_id  TEXT NOT NULL,
    order_id   TEXT NOT NULL,
    sku        TEXT NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (return_ref, sku)
) WITHOUT ROWID;
CREATE TABLE parcels (
    parcel_ref TEXT PRIMARY KEY,
    return_id  TEXT NOT NULL,
    condition  TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('received', 'sent_back'))
) WITHOUT ROWID;
CREATE TABLE restocks (
    restock_ref TEXT NOT NULL,
    return_id   TEXT NOT NULL,
    sku         TEXT NOT NULL REFERENCES stock (sku),
    quantity    INTEGER NOT NULL,
    PRIMARY KEY (restock_ref, sku)
) WITHOUT ROWID;
CREATE TABLE credit_notes (
    number     INTEGER PRIMARY KEY,                       -- without gaps: tax offices insist
    note_ref   TEXT NOT NULL UNIQUE,
    return_id  TEXT NOT NULL,
    order_id   TEXT NOT NULL,
    refund_id  TEXT NOT NULL,
    amount     INTEGER NOT NULL
);
CREATE TABLE reviews (
    review_ref TEXT PRIMARY KEY,
    order_id   TEXT NOT NULL,
    reasons    TEXT NOT NULL,                             -- JSON
    status     TEXT NOT NULL CHECK (status IN ('open', 'closed'))
) WITHOUT ROWID;
CREATE TABLE invoices (
    invoice_ref     TEXT PRIMARY KEY,
    subscription_id TEXT NOT NULL,
    amount          INTEGER NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('open', 'void'))
) WITHOUT ROWID;
CREATE TABLE extensions (                                 -- paid periods of subscriptions
    extension_ref   TEXT PRIMARY KEY,
    subscription_id TEXT NOT NULL,
    payment_id      TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE offers (                                     -- flights, hotels and cars that trips are made of
    offer TEXT PRIMARY KEY,
    kind  TEXT NOT NULL CHECK (kind IN ('flight', 'hotel', 'car', 'transfer')),
    price INTEGER NOT NULL,
    free  INTEGER NOT NULL CHECK (free >= 0)
) WITHOUT ROWID;
CREATE TABLE bookings (
    booking_ref TEXT PRIMARY KEY,
    trip_id     TEXT NOT NULL,
    offer       TEXT NOT NULL REFERENCES offers (offer),
    traveller   TEXT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('booked', 'confirmed'))
) WITHOUT ROWID;
CREATE INDEX holds_by_order ON holds (order_id);
CREATE INDEX payments_by_order ON payments (order_id);
CREATE INDEX shipments_by_order ON shipments (order_id);
CREATE INDEX returns_by_order ON returns (order_id);
"""
_VERSION = 2
_BUSY_S = 8.0  # below the steps' timeouts, so that a shop that is locked for good says so itself

# Connections that wait for their next use. By process too: SQLite's must not be carried into a forked child.
_idle: dict[tuple[int, Path], list[sqlite3.Connection]] = defaultdict(list)
# SQLite's own queue for writers is a lottery: among many threads somebody always loses. Threads of one process wait
# here, so that at most one of each process takes part.
_writer = threading.Lock()


@dataclass(slots=True)
class Standing:
    """What an order has of the shop: goods held, money paid, parcels under way."""

    held: dict[str, int] = field(default_factory=dict)
    paid: int = 0
    shipped: int = 0


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """A connection inside one write transaction: committed at the end, rolled back by any exception."""
    with _writer, _lent() as db:
        db.execute("BEGIN IMMEDIATE")  # a read that turns into a write would fail instead of waiting
        yield db
        db.execute("COMMIT")


@contextmanager
def reading() -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the shop, and waits for no writer."""
    with _lent() as db:
        db.execute("BEGIN")
        yield db
        db.execute("COMMIT")


def available() -> dict[str, int]:
    """What may still be promised, of each SKU."""
    with reading() as db:
        return dict(db.execute("SELECT sku, available FROM stock"))


def standing() -> dict[str, Standing]:
    """What stands of each order; an order of which nothing stands is not listed. For tests and for people."""
    orders: dict[str, Standing] = defaultdict(Standing)
    with reading() as db:
        for order_id, sku, quantity in db.execute("SELECT order_id, sku, SUM(quantity) FROM holds GROUP BY 1, 2"):
            orders[order_id].held[sku] = quantity
        paid = (
            "SELECT order_id, SUM(amount - (SELECT COALESCE(SUM(amount), 0) FROM refunds"
            " WHERE refunds.payment_id = payments.payment_id)) FROM payments WHERE status = 'charged' GROUP BY 1"
        )
        for order_id, amount in db.execute(paid):
            orders[order_id].paid = amount
        shipped = "SELECT order_id, COUNT(*) FROM shipments WHERE status = 'shipped' GROUP BY 1"
        for order_id, count in db.execute(shipped):
            orders[order_id].shipped = count
    return dict(orders)


def miscounted() -> list[str]:
    """The SKUs whose stock does not add up: opening - held + put back = available. Always empty, or it is a bug."""
    with reading() as db:
        rows = db.execute(
            "SELECT sku FROM stock WHERE available != opening"
            " - (SELECT COALESCE(SUM(quantity), 0) FROM holds WHERE holds.sku = stock.sku)"
            " + (SELECT COALESCE(SUM(quantity), 0) FROM restocks WHERE restocks.sku = stock.sku)"
        )
        return [sku for (sku,) in rows]


@atexit.register
def close() -> None:
    """Close the connections that wait for their next use."""
    for process, path in list(_idle):
        if process == os.getpid():
            for connection in _idle.pop((process, path)):
                connection.close()


@contextmanager
def _lent() -> Iterator[sqlite3.Connection]:
    """A connection, from those that are idle or a new one. Whatever an exception left open is rolled back."""
    path = shop_database()
    idle = _idle[os.getpid(), path]
    try:
        db = idle.pop()
    except IndexError:
        db = _connect(path)
    try:
        yield db
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
        idle.append(db)


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        _create(path)
    # Lent to one thread at a time, so SQLite need not insist on the thread that made it.
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA synchronous = FULL")  # what the runner records as done must not be lost by a power cut
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != _VERSION:
        db.close()
        raise RuntimeError(f"{path} is the shop of another version ({version}); move it away")
    return db


def _create(path: Path) -> None:
    """Make the shop, unless another process is quicker: only one of them gets the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shop-", dir=path.parent) as folder:
        draft = Path(folder, "shop.db")
        with closing(sqlite3.connect(draft, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")  # kept in the file
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION};")
            _open_for_business(db)
            db.execute("COMMIT")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)


def _open_for_business(db: sqlite3.Connection) -> None:
    """The first stock, the address book, and the past orders with what was paid and shipped for them."""
    db.executemany("INSERT INTO stock VALUES (?, ?, ?)", [(sku, count, count) for sku, count in opening.STOCK.items()])
    db.executemany("INSERT INTO customers VALUES (?, ?)", opening.MAILBOXES.items())
    db.executemany("INSERT INTO offers VALUES (?, ?, ?, ?)", opening.OFFERS)
    for order in opening.PAST_ORDERS:
        items = json.dumps([{"sku": s, "quantity": q, "unit_price": p} for s, q, p in order.lines])
        ref = f"past/{order.order_id}"
        db.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, 'completed', 'past')",
            (order.order_id, order.customer_id, items, order.total, order.currency),
        )
        db.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?, 'charged')",
            (ref, order.order_id, order.payment_id, order.total, order.currency),
        )
        db.execute(
            "INSERT INTO shipments VALUES (?, ?, ?, '{}', ?, 'shipped')",
            (ref, order.order_id, f"TRK-{order.order_id}", items),
        )
