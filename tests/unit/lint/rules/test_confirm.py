"""Confirmations of nothing."""

from __future__ import annotations

import pytest

from tests.findings import found


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("compensate: {worker: u}", []),
        ("compensate: none, reason: because", []),
        ("kind: pivot", []),
        ("kind: readonly", ["SR316"]),
    ],
)
def test_what_changes_something_can_be_confirmed(step: str, codes: list[str]) -> None:
    assert found(f"{{id: a, worker: w, {step}, confirm: {{worker: c, with: {{a: '{{{{ result.a }}}}'}}}}}}") == codes


def test_finally_comes_after_the_confirmations() -> None:
    late = "{id: a, worker: w, kind: retriable, confirm: {worker: c}}"
    assert found("{set: {}}", tail=f"finally: [{late}]") == ["SR316"]
