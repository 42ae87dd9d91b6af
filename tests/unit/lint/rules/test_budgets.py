"""Time limits beside each other."""

from __future__ import annotations

import pytest

from tests.findings import LOOK, found


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        ("timeout: 10s, heartbeat: 10s", ["SR317"]),
        ("timeout: 10s, heartbeat: 9s", []),
        ("heartbeat: 2m", ["SR317"]),
        ("timeout: 10s, total_timeout: 9s", ["SR317"]),
        ("timeout: 10s, total_timeout: 10s", []),
        ("total_timeout: 9s", []),
    ],
)
def test_a_limit_that_another_makes_useless(limits: str, codes: list[str]) -> None:
    assert found(f"{{id: a, {LOOK}, {limits}}}") == codes


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("{wait: 1h}", ["SR318"]),
        ("{wait: 59m}", []),
        ("{wait: '{{ input.days }}d'}", []),
        ("{id: a, wait_for: {signal: go, timeout: 2h}}", ["SR318"]),
        ("{id: a, wait_for: {signal: go, timeout: 30m}}", []),
        ("{id: a, wait_for: {signal: go}}", []),
    ],
)
def test_a_wait_fits_into_the_time_of_its_run(step: str, codes: list[str]) -> None:
    assert found(step, head="timeout: 1h") == codes
    assert found(step) == []
