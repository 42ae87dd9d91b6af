"""The mail room: one message an operation, and a definite no where there is nobody to write to."""

from __future__ import annotations

from tests.unit.workers.asking import Ended, ask
from workers import shop


def send(customer: str = "CUST-123", **changes: str) -> Ended:
    return ask(
        "notifications.send",
        **{"message_ref": "m", "customer": customer, "about": "ORD-1", "template": "order_confirmed", **changes},
    )


def outbox() -> list[tuple[str, str]]:
    with shop.reading() as db:
        return list(db.execute("SELECT recipient, template FROM outbox"))


def test_a_message_goes_to_the_customers_mailbox_once():
    assert send().output == send().output == {"recipient": "ada@customers.example"}
    assert outbox() == [("ada@customers.example", "order_confirmed")]


def test_a_customer_whom_the_address_book_does_not_know_has_the_usual_address():
    assert send("CUST-X").output == {"recipient": "cust-x@customers.example"}


def test_a_customer_without_a_mailbox_cannot_be_told():
    ended = send("CUST-404")
    assert (ended.outcome, ended.code, outbox()) == ("failed", "undeliverable", [])


def test_a_template_that_does_not_exist_is_an_invalid_input():
    assert send(template="birthday").code == "invalid_input"
