"""Invoices are written once, voided but never erased, and a paid period is given once."""

from __future__ import annotations

from tests.unit.workers.asking import ask, done
from workers import shop

REF = "run/invoice"


def open_invoice() -> object:
    return ask("billing.open_invoice", ref=REF, invoice_ref=REF, subscription="SUB-1", amount=900)


def void() -> None:
    done("billing.void_invoice", ref=REF, phase="compensate", invoice_ref=REF)


def invoices() -> list[tuple[str, int, str]]:
    with shop.reading() as db:
        return list(db.execute("SELECT subscription_id, amount, status FROM invoices"))


def test_an_invoice_is_written_once():
    assert open_invoice() == open_invoice()
    assert invoices() == [("SUB-1", 900, "open")]


def test_a_voided_invoice_stays_in_the_books():
    open_invoice()
    void()
    void()
    assert invoices() == [("SUB-1", 900, "void")]


def test_an_invoice_cannot_be_written_after_its_undo():
    void()
    assert ask("billing.open_invoice", ref=REF, invoice_ref=REF, subscription="S", amount=1).code == "already_undone"
    assert invoices() == []


def test_periods_are_counted_and_a_repeat_adds_none():
    given = [
        done("billing.extend", ref=ref, extension_ref=ref, subscription="SUB-1", payment_id="pay_1")
        for ref in ("a/extend", "a/extend", "b/extend")
    ]
    assert [extension["periods"] for extension in given] == [1, 1, 2]
