"""Whatever is typed and wherever the cursor is, there is an answer; and what is suggested fits in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.cli.checking.contracts import known_contracts
from runner.cli.language_server.completion import complete
from runner.cli.language_server.definition import definition
from runner.cli.language_server.hover import hover
from runner.cli.language_server.reading import Reading, problems_of, read
from runner.definition.project import find_project

FILE = Path(__file__).parents[4] / "definitions/fulfilment.yaml"
TEXT = FILE.read_text()
PROJECT = find_project(FILE)
CONTRACTS = known_contracts(PROJECT)


def reading(text: str) -> Reading:
    return read(FILE, text, PROJECT, CONTRACTS)


@pytest.mark.parametrize("offset", range(0, len(TEXT), 331))
def test_there_is_an_answer_at_every_place_also_where_the_text_ends(offset: int) -> None:
    for text in (TEXT, TEXT[:offset], f"{TEXT[:offset]}{{{{ {TEXT[offset:]}"):
        found = reading(text)
        problems = problems_of(found)
        hover(found, offset, problems)
        definition(found, offset)
        for item in complete(text, offset, reading):
            assert item.start <= offset
            assert "\n" not in text[item.start : offset]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('items: ["{{ line }}"]', 'items: ["{{ line.^ }}"]', ["sku", "quantity", "unit_price"]),
        ("checks.output.risk.level ==", "checks.output.^ ==", ["risk", "delivery", "stock"]),
        ("not steps.review.output.approved", "not steps.review.output.^", ["approved", "by", "note"]),
        ('status: "{{ run.status }}"', 'status: "{{ run.^ }}"', ["id", "workflow", "version", "started_at", "status"]),
        ("              signal: review\n", "              signal: review\n              ^\n", ["match"]),
        ("          - id: desk\n", "          - ^\n          - id: desk\n", ["id", "worker"]),
        ("reviews.close, with: {review_ref:", "reviews.close, with: {^:", ["review_ref"]),
        ("    kind: pivot\n", "    kind: ^\n", ["readonly", "compensatable", "pivot", "retriable"]),
        ("    kind: pivot\n", "    # kind: ^\n", []),
    ],
)
def test_what_is_suggested_fits(old: str, new: str, expected: list[str]) -> None:
    typed = TEXT.replace(old, new, 1)
    offset = typed.index("^")
    items = complete(typed.replace("^", ""), offset, reading)
    assert [item.label for item in items][: len(expected) or None] == expected
