"""Workers that do nothing. Each gives back the whole order, so that every step stores and moves half a kilobyte."""

from __future__ import annotations

from typing import Any

from contest import tally

from runner import worker

Order = dict[str, Any]


@worker("noop.validate")
def validate(order: Order) -> Order:
    """The first step."""
    return order


@worker("noop.reserve")
def reserve(order: Order) -> Order:
    """The second."""
    return order


@worker("noop.charge")
def charge(order: Order) -> Order:
    """The third."""
    return order


@worker("noop.ship")
def ship(order: Order) -> Order:
    """The fourth."""
    return order


@worker("noop.notify")
def notify(order: Order) -> Order:
    """The last: whoever gets here has done the work of a workflow."""
    tally.mark()
    return order


@worker("noop.undo")
def undo() -> None:
    """Nothing to undo. No run of the benchmark ever asks for it; every step declares it, as real ones do."""
