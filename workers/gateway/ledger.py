"""The sandbox gateway's books: charges and refunds in one SQLite file. What is answered was committed before.

One row stands for one idempotency key, and what a key once means it means for ever: a charge is made or declined
once, a refunded or sealed key takes no charge any more. Nothing here waits, steers or speaks HTTP.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.gateway import tokens
from workers.opening import PAST_ORDERS

_SCHEMA = """
CREATE TABLE ledger (id TEXT NOT NULL);
CREATE TABLE charges (
    key        TEXT PRIMARY KEY,            -- the idempotency key of the charge
    status     TEXT NOT NULL CHECK (status IN ('authorised', 'succeeded', 'declined', 'refunded', 'sealed')),
    id         TEXT UNIQUE,                 -- none: sealed or declined, there never was a charge
    amount     INTEGER NOT NULL DEFAULT 0,  -- minor units
    refunded   INTEGER NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount),
    currency   TEXT NOT NULL DEFAULT '',
    reference  TEXT NOT NULL DEFAULT '',    -- the merchant's own, such as an order id
    token      TEXT NOT NULL DEFAULT '',
    reason     TEXT NOT NULL DEFAULT '',    -- of a decline
    digest     TEXT NOT NULL DEFAULT '',    -- of the request that the key was first used with
    held       INTEGER NOT NULL DEFAULT 0,  -- 1: set aside at first, taken only by a capture
    created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE refunds (
    key        TEXT PRIMARY KEY,            -- the idempotency key of the refund
    id         TEXT NOT NULL UNIQUE,
    charge_id  TEXT NOT NULL REFERENCES charges (id),
    amount     INTEGER NOT NULL,
    digest     TEXT NOT NULL,
    created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE heard (what TEXT PRIMARY KEY) WITHOUT ROWID;  -- requests that the sandbox treats differently once
CREATE INDEX charges_by_reference ON charges (reference);
CREATE INDEX refunds_by_digest ON refunds (digest);
"""
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gateway says: an HTTP status, a JSON body, and whether it was said before."""

    status: int
    body: dict[str, Any]
    replayed: bool = False


def refusal(status: int, code: str, message: str, **details: Any) -> Answer:
    """A no, in the one form that every error of this gateway has."""
    return Answer(status, {"error": {"code": code, "message": message, "details": details}})


class Ledger:
    """The books. One connection and one lock: the program is the only writer of the file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.row_factory = sqlite3.Row
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # money: an answer is on disk before it is given
            self._db.execute("PRAGMA foreign_keys = ON")
            self._open_books()
            self._inode = path.stat().st_ino
            self.id: str = self._db.execute("SELECT id FROM ledger").fetchone()["id"]
        except BaseException:  # books that cannot be opened are nobody's to close
            self._db.close()
            raise

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def is_gone(self) -> bool:
        """Whether somebody removed the file under this program, which then must not answer any more."""
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def charge(
        self, key: str, *, amount: int, currency: str, token: str, reference: str, capture: bool = True
    ) -> Answer:
        """Take the money, once for each key; without `capture` it is only set aside until it is captured."""
        digest = _digest(amount=amount, currency=currency, token=token, reference=reference, capture=capture)
        with self._transaction() as db:
            known = _charge_of(db, key)
            if known is not None:
                return _repeat(known, digest)
            declined = _decline(db, token, reference)
            taken = "succeeded" if capture else "authorised"
            status, charge_id = ("declined", None) if declined else (taken, _identifier("pay"))
            row = (
                key, status, charge_id, amount, currency, reference, token, declined, digest, not capture, time.time()
            )
            db.execute(
                "INSERT INTO charges"
                " (key, status, id, amount, currency, reference, token, reason, digest, held, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            return _first_answer(_charge_of(db, key))

    def capture(self, key: str) -> Answer:
        """Take what was set aside; asked again, the same answer. A key that is closed gives nothing any more."""
        with self._transaction() as db:
            row = _charge_of(db, key)
            if row is None or row["status"] not in ("authorised", "succeeded"):
                state = "unknown" if row is None else row["status"]
                return refusal(409, "not_authorised", f"nothing is set aside under the key {key}: {state}", state=state)
            db.execute("UPDATE charges SET status = 'succeeded' WHERE key = ?", (key,))
            return Answer(200, _public(_charge_of(db, key)), replayed=row["status"] == "succeeded")

    def token_of(self, key: str) -> str:
        """The card that a key was first used with; "" where it has no meaning yet."""
        with self._transaction() as db:
            row = _charge_of(db, key)
        return "" if row is None else str(row["token"])

    def find(self, key: str) -> Answer:
        """What became of a charge; 404 while its key has no meaning yet, so it may still come."""
        with self._transaction() as db:
            row = _charge_of(db, key)
        return refusal(404, "no_charge", f"no charge has the key {key}") if row is None else Answer(200, _public(row))

    def seal(self, key: str) -> Answer:
        """What became of a charge; if nothing yet, then nothing ever will: the key is closed."""
        with self._transaction() as db:
            return Answer(200, _public(_sealed(db, key)))

    def cancel(self, key: str, *, refund_key: str) -> Answer:
        """Give back whatever the key took or set aside, and close it. Of a charge that never came, only the closing
        is left."""
        digest = _digest(cancel=key)
        with self._transaction() as db:
            earlier = _refund_of(db, refund_key)
            if earlier is not None and earlier["digest"] != digest:
                return _key_reused(refund_key)
            charge = _sealed(db, key)
            if charge["status"] == "authorised":  # nothing was taken yet, so there is nothing to give back
                db.execute("UPDATE charges SET status = 'sealed' WHERE key = ?", (key,))
            if charge["status"] == "succeeded":
                held = _held_for_review(db, charge)
                if held is not None:
                    return held
                _book_refund(db, charge, refund_key, charge["amount"] - charge["refunded"], digest)
                db.execute("UPDATE charges SET status = 'refunded', refunded = amount WHERE key = ?", (key,))
            given = db.execute("SELECT id, amount FROM refunds WHERE digest = ?", (digest,)).fetchone()
            given = given or {"id": None, "amount": 0}  # there was nothing to give back
            body = {**_public(_charge_of(db, key)), "refund_id": given["id"], "refund_amount": given["amount"]}
            return Answer(200, body)

    def refund(self, charge_id: str, *, amount: int, refund_key: str) -> Answer:
        """Give back a part of a charge that otherwise stands."""
        digest = _digest(charge=charge_id, amount=amount)
        with self._transaction() as db:
            earlier = _refund_of(db, refund_key)
            if earlier is not None:
                return _repeat_refund(earlier, digest)
            charge = db.execute("SELECT * FROM charges WHERE id = ?", (charge_id,)).fetchone()
            if charge is None or charge["status"] in ("authorised", "sealed"):
                return refusal(404, "no_charge", f"there is no charge {charge_id}")
            rest = charge["amount"] - charge["refunded"]
            if amount > rest:
                return refusal(409, "refund_exceeds_charge", f"{rest} of {charge_id} is left to give back", left=rest)
            held = _held_for_review(db, charge)
            if held is not None:
                return held
            _book_refund(db, charge, refund_key, amount, digest)
            db.execute("UPDATE charges SET refunded = refunded + ? WHERE id = ?", (amount, charge_id))
            return Answer(201, _public_refund(_refund_of(db, refund_key)))

    def is_first(self, what: str) -> bool:
        """Whether this was never heard before; from now on it was, also after a restart."""
        with self._transaction() as db:
            return _first_time(db, what)

    def entries(self, reference: str | None = None) -> dict[str, Any]:
        """The whole ledger, or what belongs to one reference, and what money was taken: for tests and for people."""
        where, values = ("", ()) if reference is None else (" WHERE reference = ?", (reference,))
        with self._transaction() as db:
            rows = db.execute(f"SELECT * FROM charges{where} ORDER BY created_at, key", values)
            charges = [_public(row) for row in rows]
            refunds = [_public_refund(row) for row in db.execute("SELECT * FROM refunds ORDER BY created_at, key")]
        made = {charge["id"]: charge for charge in charges if charge["id"] is not None}
        kept = [charge for charge in made.values() if charge["status"] in ("succeeded", "refunded")]
        taken = sum(charge["amount"] - charge["refunded"] for charge in kept)
        authorised = sum(charge["amount"] for charge in made.values() if charge["status"] == "authorised")
        refunds = [refund for refund in refunds if refund["charge_id"] in made]
        return {"id": self.id, "taken": taken, "authorised": authorised, "charges": charges, "refunds": refunds}

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _open_books(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise RuntimeError(f"{self.path} was written by another version ({version}) of the gateway; move it away")
        if version == _VERSION:
            return
        with closing(self._db.cursor()) as cursor:
            # One transaction: a program killed here leaves no half-made books behind.
            cursor.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION};")
            cursor.execute("INSERT INTO ledger (id) VALUES (?)", (secrets.token_hex(8),))
            for order in PAST_ORDERS:
                cursor.execute(
                    "INSERT INTO charges (key, status, id, amount, currency, reference, token, created_at)"
                    " VALUES (?, 'succeeded', ?, ?, ?, ?, ?, 0)",
                    (
                        f"past/{order.order_id}",
                        order.payment_id,
                        order.total,
                        order.currency,
                        order.order_id,
                        order.token,
                    ),
                )
            cursor.execute("COMMIT")


def _identifier(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(8)}"


def _digest(**request: Any) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _charge_of(db: sqlite3.Connection, key: str) -> Any:
    return db.execute("SELECT * FROM charges WHERE key = ?", (key,)).fetchone()


def _refund_of(db: sqlite3.Connection, key: str) -> Any:
    return db.execute("SELECT * FROM refunds WHERE key = ?", (key,)).fetchone()


def _sealed(db: sqlite3.Connection, key: str) -> Any:
    """The key's row; made now, and closed, if it has none."""
    db.execute(
        "INSERT INTO charges (key, status, created_at) VALUES (?, 'sealed', ?) ON CONFLICT (key) DO NOTHING",
        (key, time.time()),
    )
    return _charge_of(db, key)


def _first_time(db: sqlite3.Connection, what: str) -> bool:
    return db.execute("INSERT INTO heard (what) VALUES (?) ON CONFLICT DO NOTHING", (what,)).rowcount == 1


def _decline(db: sqlite3.Connection, token: str, reference: str) -> str:
    """Why the bank says no; "" for a yes."""
    behaviour = tokens.behaviour(token)
    if behaviour.declined_once and _first_time(db, f"charge of {token} for {reference}"):
        return behaviour.declined_once
    return behaviour.declined


def _repeat(row: Any, digest: str) -> Answer:
    """A charge whose key is taken: its stored answer, unless the key was closed or meant something else."""
    if row["status"] in ("sealed", "refunded"):
        return refusal(409, "key_sealed", f"the key {row['key']} is closed: {row['status']}", state=row["status"])
    if row["digest"] != digest:
        return _key_reused(row["key"])
    first = _first_answer(row)
    return Answer(first.status, first.body, replayed=True)


def _first_answer(row: Any) -> Answer:
    """What the first request with a key was told. Never depends on when it is asked."""
    if row["status"] == "declined":
        return refusal(402, "card_declined", row["reason"])
    return Answer(201, {**_public(row), "refunded": 0, "status": "authorised" if row["held"] else "succeeded"})


def _repeat_refund(row: Any, digest: str) -> Answer:
    if row["digest"] != digest:
        return _key_reused(row["key"])
    return Answer(201, _public_refund(row), replayed=True)


def _key_reused(key: str) -> Answer:
    return refusal(422, "key_reused", f"the key {key} was used with another request")


def _held_for_review(db: sqlite3.Connection, charge: Any) -> Answer | None:
    """A refusal is no effect and is not stored: asked again, the refund is made."""
    if tokens.behaviour(charge["token"]).refund_refused and _first_time(db, f"refund of {charge['id']}"):
        return refusal(409, "refund_refused", f"the refund of {charge['id']} is held for review; ask again after it")
    return None


def _book_refund(db: sqlite3.Connection, charge: Any, key: str, amount: int, digest: str) -> None:
    db.execute(
        "INSERT INTO refunds (key, id, charge_id, amount, digest, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        (key, _identifier("ref"), charge["id"], amount, digest, time.time()),
    )


def _public(row: Any) -> dict[str, Any]:
    """A charge as it is shown: everything but the card and the digest."""
    shown = ("key", "status", "id", "amount", "refunded", "currency", "reference", "reason")
    return {name: row[name] for name in shown}


def _public_refund(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in ("key", "id", "charge_id", "amount")}
