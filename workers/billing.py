"""Billing: invoices of subscriptions, and the periods that were paid."""

from __future__ import annotations

from dataclasses import dataclass

from runner import Context, worker
from workers import shop


@dataclass(frozen=True, slots=True)
class Invoice:
    """What a subscriber owes."""

    invoice_ref: str
    amount: int


@dataclass(frozen=True, slots=True)
class Extension:
    """A subscription and how many periods of it were paid so far."""

    subscription_id: str
    periods: int


@worker("billing.open_invoice")
def open_invoice(ctx: Context, invoice_ref: str, subscription: str, amount: int) -> Invoice:
    """Write the invoice of the next period."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        db.execute("INSERT INTO invoices VALUES (?, ?, ?, 'open')", (invoice_ref, subscription, amount))
        return once.save(Invoice(invoice_ref, amount))


@worker("billing.void_invoice")
def void_invoice(ctx: Context, invoice_ref: str) -> None:
    """Undo an invoice: it stays in the books, and nobody owes it."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if not once.done:
            db.execute("UPDATE invoices SET status = 'void' WHERE invoice_ref = ?", (invoice_ref,))
            once.save(None)


@worker("billing.extend")
def extend(ctx: Context, extension_ref: str, subscription: str, payment_id: str) -> Extension:
    """Give the period that was paid."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        db.execute("INSERT INTO extensions VALUES (?, ?, ?)", (extension_ref, subscription, payment_id))
        count = "SELECT COUNT(*) FROM extensions WHERE subscription_id = ?"
        (periods,) = db.execute(count, (subscription,)).fetchone()
        return once.save(Extension(subscription, periods))
