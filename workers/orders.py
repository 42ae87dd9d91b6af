"""The order desk: is an order sound, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from runner import BusinessError, Context, worker
from workers import shop
from workers.model import Order


@dataclass(frozen=True, slots=True)
class Validated:
    """What a sound order comes to."""

    total: int
    currency: str
    pieces: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """The order's last line in the shop's books."""

    order: str
    status: str


@worker("orders.validate", raises=["invalid_order"], readonly=True)
def validate(order: Order) -> Validated:
    """Check an order against itself and the catalogue; every problem is named at once."""
    problems = list(_problems(order))
    if problems:
        raise BusinessError("invalid_order", "; ".join(problems), details={"problems": problems})
    return Validated(order.total, order.currency, sum(line.quantity for line in order.items))


@worker("orders.record")
def record(ctx: Context, order: Order, status: str) -> Recorded:
    """Write down how the order ended. What a later run of the order says stands, unless the order was completed."""
    with shop.transaction() as db, ctx.barrier(db) as once:
        if once.done:
            return once.result
        items = json.dumps([asdict(line) for line in order.items])
        row = (order.order_id, order.customer_id, items, order.total, order.currency, status, ctx.run_id)
        db.execute("DELETE FROM orders WHERE order_id = ? AND status != 'completed'", (order.order_id,))
        db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING", row)
        return once.save(Recorded(order.order_id, status))


def _problems(order: Order) -> Iterator[str]:
    if not order.items:
        yield "there are no lines"
    known = shop.available()
    for number, line in enumerate(order.items, 1):
        if line.sku not in known:
            yield f"line {number}: {line.sku} is not in the catalogue"
        if line.quantity <= 0:
            yield f"line {number}: quantity {line.quantity} is not positive"
        if line.unit_price <= 0:
            yield f"line {number}: unit_price {line.unit_price} is not positive"
    total = sum(line.quantity * line.unit_price for line in order.items)
    if total != order.total:
        yield f"the lines come to {total}, the order says {order.total}"
