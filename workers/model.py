"""What the workers are given, typed. Money is in minor units, always an integer.

The schemas in `schemas/` say which values an order may have; these say what a worker reads of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Condition = Literal["as_new", "worn", "damaged"]


@dataclass(frozen=True, slots=True)
class Line:
    """So many of one thing."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A line of an order."""

    sku: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    """Goods that came back, as the inspection found them."""

    sku: str
    quantity: int
    condition: Condition


@dataclass(frozen=True, slots=True)
class Address:
    """Where a parcel goes."""

    street: str
    city: str
    zip: str
    country: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """An order, without what only the gateway may read."""

    order_id: str
    customer_id: str
    currency: str
    items: list[PricedLine]
    total: int
