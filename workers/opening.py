"""What the shop and the sandbox gateway hold before the first run: stock, customers, and orders delivered long ago.

A past order is in the shop's books and in the gateway's ledger alike, so that it can be returned and refunded.
"""

from __future__ import annotations

from dataclasses import dataclass

# PROD-004 is nearly sold out: a hundred of them cannot be had. Of the rest there is enough for thousands of orders.
STOCK = {
    "PROD-001": 10_000,
    "PROD-002": 10_000,
    "PROD-003": 10_000,
    "PROD-004": 25,
    "PROD-005": 10_000,
    "PROD-006": 10_000,
}

# Everybody has a mailbox in this sandbox, but for those whom this table gives none.
MAILBOXES = {
    "CUST-123": "ada@customers.example",
    "CUST-456": "grace@customers.example",
    "CUST-789": "edsger@customers.example",
    "CUST-404": None,
}


# Name, kind, price in minor units, how many are free. The Grand is full: whoever wants it needs another way.
OFFERS = (
    ("OSL-LIS", "flight", 18_900, 10_000),
    ("OSL-NRT", "flight", 74_500, 0),
    ("grand", "hotel", 42_000, 0),
    ("harbour", "hotel", 27_500, 10_000),
    ("hostel", "hotel", 9_000, 10_000),
    ("grand-shuttle", "transfer", 1_500, 10_000),
    ("harbour-shuttle", "transfer", 1_200, 10_000),
    ("small-car", "car", 12_000, 10_000),
    ("convertible", "car", 31_000, 0),
)


@dataclass(frozen=True, slots=True)
class PastOrder:
    """An order that was delivered and paid before the first run. Money in minor units."""

    order_id: str
    customer_id: str
    lines: tuple[tuple[str, int, int], ...]  # sku, quantity, unit price
    payment_id: str
    token: str = "tok_valid"
    currency: str = "USD"

    @property
    def total(self) -> int:
        return sum(quantity * unit_price for _, quantity, unit_price in self.lines)


PAST_ORDERS = (
    PastOrder("ORD-901", "CUST-123", (("PROD-005", 2, 4_500), ("PROD-006", 1, 1_250)), "pay_past_901"),
    PastOrder("ORD-902", "CUST-456", (("PROD-005", 1, 4_500),), "pay_past_902"),
    PastOrder("ORD-903", "CUST-789", (("PROD-006", 3, 1_250),), "pay_past_903"),
    PastOrder("ORD-904", "CUST-404", (("PROD-002", 1, 4_999),), "pay_past_904"),
    PastOrder("ORD-905", "CUST-789", (("PROD-003", 1, 9_999),), "pay_past_905", "tok_refund_refused"),
)
