"""Who may order what unseen: a score for each order, and the desk where people look at the doubtful ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from runner import Context, worker
from workers import shop
from workers.model import Address, Order

_LARGE = 100_000  # minor units
_MANY = 50  # pieces
_HIGH = 50


@dataclass(frozen=True, slots=True)
class Risk:
    """How doubtful an order is, and why. `high`: a person must look at it."""

    score: int
    level: Literal["low", "high"]
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class Review:
    """An order on the desk."""

    review_ref: str


@worker("risk.score", readonly=True)
def score(order: Order, address: Address) -> Risk:
    """Judge an order by what it asks for and where it goes."""
    found = list(_doubts(order, address))
    points = min(100, sum(points for points, _ in found))
    return Risk(points, "high" if points >= _HIGH else "low", [reason for _, reason in found])


@worker("reviews.open")
def open_review(ctx: Context, review_ref: str, order: str, reasons: list[str]) -> Review:
    """Put an order on the desk."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        db.execute("INSERT INTO reviews VALUES (?, ?, ?, 'open')", (review_ref, order, json.dumps(reasons)))
        return once.save(Review(review_ref))


@worker("reviews.close")
def close_review(ctx: Context, review_ref: str) -> None:
    """Take an order off the desk: it was looked at, or it will not be carried out anyway."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if not once.done:
            db.execute("UPDATE reviews SET status = 'closed' WHERE review_ref = ?", (review_ref,))
            once.save(None)


def _doubts(order: Order, address: Address) -> Iterator[tuple[int, str]]:
    if order.total >= _LARGE:
        yield 60, f"{order.total} is a large order"
    if sum(line.quantity for line in order.items) >= _MANY:
        yield 30, "many pieces"
    if address.country != "US":
        yield 20, f"it goes to {address.country}"
