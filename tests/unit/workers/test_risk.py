"""Who may order what unseen, and the desk where people look at the rest."""

from __future__ import annotations

import pytest

from tests.unit.workers.asking import ask, done
from workers import shop

REF = "run/desk"


def score(total: int = 500, quantity: int = 1, country: str = "US") -> dict[str, object]:
    lines = [{"sku": "PROD-001", "quantity": quantity, "unit_price": total}]
    order = {"order_id": "O", "customer_id": "C", "currency": "USD", "items": lines, "total": total}
    address = {"street": "s", "city": "c", "zip": "1", "country": country}
    found: dict[str, object] = done("risk.score", order=order, address=address)
    return found


def desk() -> list[tuple[str, str]]:
    with shop.reading() as db:
        return list(db.execute("SELECT order_id, status FROM reviews"))


@pytest.mark.parametrize(
    ("total", "quantity", "country", "level"),
    [(500, 1, "US", "low"), (99_999, 49, "US", "low"), (100_000, 1, "US", "high"), (500, 50, "NO", "high")],
)
def test_an_order_is_judged_by_what_it_asks_for_and_where_it_goes(total: int, quantity: int, country: str, level: str):
    assert score(total, quantity, country)["level"] == level


def test_the_reasons_are_named():
    assert score(100_000, 1, "NO")["reasons"] == ["100000 is a large order", "it goes to NO"]


def open_review() -> None:
    ask("reviews.open", ref=REF, review_ref=REF, order="ORD-1", reasons=["large"])


def test_an_order_lies_on_the_desk_until_it_is_taken_off():
    open_review()
    open_review()
    assert desk() == [("ORD-1", "open")]
    done("reviews.close", ref=REF, phase="compensate", review_ref=REF)
    assert desk() == [("ORD-1", "closed")]


def test_an_order_that_was_taken_off_cannot_come_to_the_desk_any_more():
    done("reviews.close", ref=REF, phase="compensate", review_ref=REF)
    assert ask("reviews.open", ref=REF, review_ref=REF, order="ORD-1", reasons=[]).code == "already_undone"
    assert desk() == []
