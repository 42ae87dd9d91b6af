"""Schedules that cannot be kept."""

from __future__ import annotations

import pytest

from tests.findings import found


def schedule(given: str, head: str = "") -> list[str]:
    return found("{set: {}}", head=f"schedule: {{{given}}}\n{head}")


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ("cron: 0 6 * * *", []),
        ("cron: '*/15 8-18 * * MON-FRI', timezone: America/New_York", []),
        ("cron: 0 6 * *", ["SR501"]),
        ("cron: 0 0 31 2 *", ["SR501"]),
        ("cron: never", ["SR501"]),
        ("cron: 0 6 * * *, timezone: Mars/Olympus", ["SR502"]),
    ],
)
def test_times(given: str, codes: list[str]) -> None:
    assert schedule(given) == codes


@pytest.mark.parametrize(
    ("overlap", "codes"), [("", ["SR503"]), (", overlap: queue", ["SR503"]), (", overlap: allow", [])]
)
def test_where_concurrency_decides_overlap_allows(overlap: str, codes: list[str]) -> None:
    assert schedule(f"cron: 0 6 * * *{overlap}", "concurrency: {limit: 1}") == codes


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ("", ["SR504"]),
        (", input: {}", ["SR504"]),
        (", input: {a: text}", ["SR504"]),
        (", input: {a: 1}", []),
        (", input: {a: 1, b: ['{{ run.id }}']}", ["SR213"]),
    ],
)
def test_the_input_fits_and_is_constant(given: str, codes: list[str]) -> None:
    schema = "input: {type: object, required: [a], properties: {a: {type: integer}}}"
    assert schedule(f"cron: 0 6 * * *{given}", schema) == codes


def test_without_a_schema_any_input_will_do() -> None:
    assert schedule("cron: 0 6 * * *, input: [1]") == []
    assert schedule("cron: 0 6 * * *") == []
