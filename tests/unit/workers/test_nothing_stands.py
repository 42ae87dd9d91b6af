"""Whatever happened to the steps of an order, and in which order its undos and late attempts came: nothing stands.

Each example is an order whose steps ran, ran twice, got no answer or never ran at all. Its undos are asked one or more
times, and attempts that everybody had given up arrive in between and after. In the end the shop and the gateway must
be as before, and no late attempt may have been told that it succeeded.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.workers.asking import Ended, ask
from workers import shop

STEPS = ("reserve", "charge", "ship")
ITEMS = [{"sku": "PROD-001", "quantity": 2}, {"sku": "PROD-004", "quantity": 20}]
ADDRESS = {"street": "s", "city": "c", "zip": "1", "country": "US"}
TOKENS = ("tok_valid", "tok_declined", "tok_no_answer_charged", "tok_no_answer_lost", "tok_unavailable")
PAST = ("action", "action, twice", "nothing", "undo first")
ORDERS = itertools.count()


class AnOrder:
    """The operations of one order, as an engine would ask for them."""

    def __init__(self, token: str) -> None:
        self.run = f"run{next(ORDERS)}"
        self.token = token

    def act(self, step: str) -> Ended:
        ref, order = f"{self.run}/{step}", self.run
        paid = {"order": order, "amount": 500, "currency": "USD", "token": self.token}
        calls: dict[str, Callable[[], Ended]] = {
            "reserve": lambda: ask("inventory.reserve", ref=ref, hold_ref=ref, order=order, items=ITEMS),
            "charge": lambda: ask("payments.charge", ref=ref, payment_ref=ref, **paid),
            "ship": lambda: ask(
                "shipping.create", ref=ref, shipment_ref=ref, order=order, address=ADDRESS, items=ITEMS
            ),
        }
        return calls[step]()

    def undo(self, step: str) -> Ended:
        ref = f"{self.run}/{step}"
        worker, given = {
            "reserve": ("inventory.release", {"hold_ref": ref}),
            "charge": ("payments.refund", {"payment_ref": ref, "order": self.run}),
            "ship": ("shipping.cancel", {"shipment_ref": ref}),
        }[step]
        return ask(worker, ref=ref, phase="compensate", **given)


def taken(gateway: str) -> int:
    return int(httpx.get(f"{gateway}/v1/ledger", trust_env=False).json()["taken"])


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    token=st.sampled_from(TOKENS),
    past=st.fixed_dictionaries({step: st.sampled_from(PAST) for step in STEPS}),
    undos=st.fixed_dictionaries({step: st.integers(1, 2) for step in STEPS}),
    late=st.lists(st.sampled_from(STEPS), max_size=3),
)
def test_after_every_undo_the_shop_and_the_gateway_are_as_before(
    gateway: str, token: str, past: dict[str, str], undos: dict[str, int], late: list[str]
):
    before = (shop.available(), shop.standing(), taken(gateway))
    order = AnOrder(token)
    for step in STEPS:
        for _ in range({"action": 1, "action, twice": 2}.get(past[step], 0)):
            order.act(step)
        if past[step] == "undo first":
            order.undo(step)
    for step in reversed(STEPS):
        for _ in range(undos[step]):
            assert order.undo(step).outcome == "completed"
        if step in late:
            assert order.act(step).outcome != "completed"
    for step in late:
        assert order.act(step).outcome != "completed"
    assert (shop.available(), shop.standing(), taken(gateway)) == before
    assert shop.miscounted() == []
