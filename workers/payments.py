"""The cash desk: money is taken and given back at the payment gateway, and the shop keeps a copy of what it answered.

The gateway is what counts. It makes each request effective once (its key is the operation's name), refuses a charge
after its undo, and can be asked. So the copy needs no barrier: it is written after the answer, as often as need be,
and a payment that was refunded stays so, however late the news of its charge arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner import AlreadyUndone, BusinessError, Context, Landed, NotLanded, worker
from workers import shop
from workers.gateway import client as gateway


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that was taken."""

    payment_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Authorisation:
    """Money that is set aside, and not taken yet."""

    payment_ref: str
    payment_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that was given back; without an id there was none to give."""

    refund_id: str | None
    amount: int


@worker("payments.charge", raises=["card_declined"])
def charge(payment_ref: str, order: str, amount: int, currency: str, token: str) -> Payment:
    """Charge a card, once however often it is asked."""
    try:
        answer = gateway.charge(payment_ref, amount=amount, currency=currency, token=token, reference=order)
    except gateway.Refused as no:
        if no.code == "key_sealed":
            raise AlreadyUndone(no.message) from no
        if no.code == "card_declined":
            raise BusinessError("card_declined", no.message) from no
        raise
    return _book(payment_ref, order, answer)


@worker("payments.lookup")
def lookup(ctx: Context, payment_ref: str, order: str) -> Landed[Payment] | NotLanded:
    """What became of a charge that nobody answered for. The last time it is asked, a charge that is not there is
    kept from ever coming."""
    try:
        answer = gateway.seal(payment_ref) if ctx.fencing else gateway.find(payment_ref)
    except gateway.Refused as no:
        if no.code == "no_charge":
            return NotLanded()
        raise
    if answer["status"] == "succeeded":
        return Landed(_book(payment_ref, order, answer))
    return NotLanded(fenced=ctx.fencing or answer["status"] != "declined")  # sealed, refunded: closed for good


@worker("payments.refund", raises=["refund_refused"])
def refund(ctx: Context, payment_ref: str, order: str) -> Refund:
    """Undo a charge, whether or not it was ever made: after this, it never will be."""
    try:
        answer = gateway.cancel(payment_ref, refund_key=ctx.idempotency_key)
    except gateway.Refused as no:
        if no.code == "refund_refused":
            raise BusinessError("refund_refused", no.message) from no
        raise
    if answer["id"] is not None:
        _book(payment_ref, order, answer)
    return Refund(answer["refund_id"], answer["refund_amount"])


@worker("payments.authorise", raises=["card_declined"])
def authorise(payment_ref: str, order: str, amount: int, currency: str, token: str) -> Authorisation:
    """Set money aside on a card: nothing is taken until it is captured."""
    try:
        answer = gateway.authorise(payment_ref, amount=amount, currency=currency, token=token, reference=order)
    except gateway.Refused as no:
        if no.code == "key_sealed":
            raise AlreadyUndone(no.message) from no
        if no.code == "card_declined":
            raise BusinessError("card_declined", no.message) from no
        raise
    return Authorisation(payment_ref, answer["id"], answer["amount"])


@worker("payments.void")
def void(ctx: Context, payment_ref: str) -> None:
    """Undo an authorisation, whether or not it was ever made: after this, it never will be."""
    gateway.cancel(payment_ref, refund_key=ctx.idempotency_key)


@worker("payments.capture")
def capture(payment_ref: str, order: str) -> Payment:
    """Take the money that was set aside. This cannot be taken back by an undo: it is the point of no return."""
    return _book(payment_ref, order, gateway.capture(payment_ref))


@worker("payments.captured")
def captured(payment_ref: str, order: str) -> Landed[Payment] | NotLanded:
    """What became of a capture that nobody answered for. One that has not landed is simply asked for again."""
    answer = gateway.find(payment_ref)
    if answer["status"] == "succeeded":
        return Landed(_book(payment_ref, order, answer))
    return NotLanded(fenced=answer["status"] != "authorised")  # voided: nothing can be captured any more


@worker("payments.give_back", raises=["refund_refused"])
def give_back(ctx: Context, refund_ref: str, payment_id: str, amount: int) -> Refund:
    """Refund a part of a payment that otherwise stands."""
    try:
        answer = gateway.refund(payment_id, amount=amount, refund_key=ctx.idempotency_key)
    except gateway.Refused as no:
        raise BusinessError("refund_refused", no.message, details={"reason": no.code, **no.details}) from no
    with shop.transaction() as db:
        db.execute(
            "INSERT INTO refunds VALUES (?, ?, ?, ?) ON CONFLICT (refund_ref) DO NOTHING",
            (refund_ref, payment_id, answer["id"], answer["amount"]),
        )
    return Refund(answer["id"], answer["amount"])


def _book(payment_ref: str, order: str, answer: dict[str, Any]) -> Payment:
    """Copy the gateway's answer into the shop's books. Answers may arrive in any order; refunded is the last word."""
    payment = Payment(answer["id"], answer["amount"], answer["currency"])
    status = "refunded" if answer["status"] == "refunded" else "charged"
    with shop.transaction() as db:
        db.execute(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (payment_ref) DO UPDATE SET status = 'refunded' WHERE excluded.status = 'refunded'",
            (payment_ref, order, payment.payment_id, payment.amount, payment.currency, status),
        )
    return payment
