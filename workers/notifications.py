"""The mail room: messages are put into the outbox, from where a mailer would take them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

from runner import BusinessError, Context, worker
from workers import shop

Template = Literal[
    "order_confirmed", "return_refunded", "return_refused", "trip_confirmed", "payment_failed", "subscription_renewed"
]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message on its way."""

    recipient: str


@worker("notifications.send", raises=["undeliverable"])
def send(ctx: Context, message_ref: str, customer: str, about: str, template: Template) -> Sent:
    """Tell a customer something, once. A customer without an e-mail address cannot be told."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        recipient = _mailbox(db, customer)
        if recipient is None:
            raise BusinessError("undeliverable", f"{customer} has no e-mail address", details={"customer": customer})
        db.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?)", (message_ref, customer, recipient, template, about))
        return once.save(Sent(recipient))


def _mailbox(db: sqlite3.Connection, customer: str) -> str | None:
    """The customer's address. Whom the address book does not know has the usual one: it is a sandbox."""
    row = db.execute("SELECT email FROM customers WHERE customer_id = ?", (customer,)).fetchone()
    return row[0] if row else f"{customer.lower()}@customers.example"
