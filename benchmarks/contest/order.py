"""The order that every workflow of the benchmark carries: 495 to 500 bytes of JSON, like a real one.

Standard library only: both sides import it, each in a virtual environment of its own.
"""

from __future__ import annotations

import json
from typing import Any


def order(number: int) -> dict[str, Any]:
    """The same size for every number below a hundred million."""
    return {
        "order_id": f"A-{number:08d}",
        "customer_id": "C-20417",
        "currency": "EUR",
        "items": [
            {"sku": "SKU-1001", "name": "Travel mug, steel, 0.4 l", "quantity": 2, "unit_price": 1890},
            {"sku": "SKU-2044", "name": "Filter papers, size 4, 100 pieces", "quantity": 1, "unit_price": 349},
        ],
        "total": 4129,
        "payment": {"method": "card", "token": "tok_valid"},
        "shipping_address": {"name": "Ada Example", "street": "12 Analytical Row", "city": "London", "country": "GB"},
        "note": "Please leave it with a neighbour",
    }


SIZE = len(json.dumps(order(0)))
