"""What definitions/order.yaml makes of outcomes that its own workers rarely have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from runner.testing import TestRun, run_workflow

ROOT = Path(__file__).parents[3]
WORKERS = (
    "orders.validate", "inventory.reserve", "inventory.release", "payments.charge", "payments.lookup",
    "payments.refund", "shipping.create", "shipping.cancel", "notifications.send", "orders.record",
)  # fmt: skip


def agreeable(**given: Any) -> Any:
    return {"total": 10997, "payment_id": "pay_1", "tracking": "TRK-1", **given}


def order_with(name: str, function: Callable[..., Any]) -> TestRun:
    schema = msgspec.json.decode((ROOT / "schemas" / "order.schema.json").read_bytes())
    workers = {**dict.fromkeys(WORKERS, agreeable), name: function}
    return run_workflow(ROOT / "definitions" / "order.yaml", schema["examples"][0], workers=workers, root=ROOT)


def test_a_mail_that_gave_no_answer_is_sent_again_and_does_not_hold_up_a_paid_order() -> None:
    attempts = []

    def send(**_given: Any) -> None:
        attempts.append(1)
        if len(attempts) < 7:
            raise ConnectionResetError("no answer")

    run = order_with("notifications.send", send)
    assert run.status == "completed"
    assert len(attempts) == 7
