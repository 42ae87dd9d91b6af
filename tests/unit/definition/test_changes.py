"""What counts as a change in behaviour, what it is called, and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.definition.changes import Change, compare
from runner.definition.load import load_text
from tests.desk import ORDER

MANY, FEW = '"{{ input.amount > 100 }}"', '"{{ input.amount > 99 }}"'
CONTAINERS = """
workflow: a
version: 1.0.0
steps:
  - id: checks
    parallel:
      branches:
        one: [{id: p, worker: w.p, kind: readonly}, {id: q, worker: w.q, kind: readonly}]
        two: [{id: r, worker: w.r, kind: readonly}]
  - id: choice
    switch:
      - {when: "{{ input.a }}", steps: [{id: s, worker: w.s, kind: readonly}]}
      - {when: "{{ input.b }}", steps: [{id: t, worker: w.t, kind: readonly}]}
  - set: {x: 1}
  - set: {y: 1}
finally: [{id: z, worker: w.z, kind: readonly}]
"""


def document(text: str, root: Path) -> Any:
    return load_text(text, file="a.yaml", root=root).document


def changes(before: str, tmp_path: Path, *edits: tuple[str, str]) -> list[Change]:
    after = before
    for old, new in edits:
        assert old in after
        after = after.replace(old, new)
    return compare(document(before, tmp_path), document(after, tmp_path))


def told(found: list[Change]) -> list[tuple[str, str, str]]:
    return [(change.kind, change.step, change.text) for change in found]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("worker: card.charge", "worker: card.take", ("changed", "charge", "asks card.take instead of card.charge")),
        (f"when: {MANY}", "", ("changed", "gift", f"is done always; it was done only when {MANY}")),
        (MANY, FEW, ("changed", "gift", f"is done when {FEW}, not when {MANY}")),
        ("raises: [declined]", "raises: [declined]\n    timeout: 8s", ("changed", "charge", "timeout: 60s → 8s")),
        ("with: {id: gift}\n", "with: {id: present}\n", ("changed", "gift", "with.id: gift → present")),
        ("defaults:", "on_duplicate: reject\ndefaults:", ("changed", "", "on_duplicate: return → reject")),
        ("output: {charged:", "output: {paid: 1, charged:", ("changed", "", "output.paid: 1 (there was none)")),
        ("default: 5", "default: 6", ("changed", "", "input.properties.amount.default: 5 → 6")),
        ("timeout: 2m, worker: card", "worker: card", ("changed", "charge", "compensate.timeout: 2m → 60s")),
    ],
)
def test_one_change_is_one_line(tmp_path: Path, old: str, new: str, expected: tuple[str, str, str]) -> None:
    (change,) = changes(ORDER, tmp_path, (old, new))
    assert told([change]) == [expected]
    assert change.is_behaviour


def test_an_undo_that_is_gone_is_said_in_words(tmp_path: Path) -> None:
    undo = "compensate: {timeout: 2m, worker: card.refund, with: {}}"
    found = changes(ORDER, tmp_path, (undo, "compensate: none\n    reason: why"))
    assert ("changed", "charge", "is not undone any more; it was undone by card.refund") in told(found)
    assert ("changed", "charge", "on_unknown: compensate → halt") in told(found)
    assert "kind" not in {change.what for change in found}
    without = ORDER.replace(undo, "compensate: none\n    reason: why")
    back = compare(document(without, tmp_path), document(ORDER, tmp_path))
    assert "is undone by card.refund now; it was not undone" in {change.text for change in back}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A small one", "Another word for it"),
        ("examples: [{id: A-1}]", "examples: [{id: A-2}]"),
        ("properties:\n", "description: words\n  properties:\n"),
        ("version: 1.2.0", "version: 1.2.0\nx-owner: shop"),
    ],
)
def test_what_is_only_said_is_no_behaviour(tmp_path: Path, old: str, new: str) -> None:
    (change,) = changes(ORDER, tmp_path, (old, new))
    assert not change.is_behaviour


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1.2.0", "version: 1.3.0"),
        ("raises: [declined]", "raises: [declined]\n    timeout: 60s"),  # what it was anyway
        ("    raises", "    # a comment\n    raises"),
    ],
)
def test_what_changes_nothing_is_no_change(tmp_path: Path, old: str, new: str) -> None:
    assert changes(ORDER, tmp_path, (old, new)) == []


def test_a_step_that_has_come_gone_or_another_name(tmp_path: Path) -> None:
    gift = ORDER[ORDER.index("  - id: gift") : ORDER.index("  - id: charge")]
    (gone,) = changes(ORDER, tmp_path, (gift, ""))
    assert told([gone]) == [("removed", "gift", "is gone: asks stock.reserve (compensatable), undone by stock.release")]
    (new,) = compare(document(ORDER.replace(gift, ""), tmp_path), document(ORDER, tmp_path))
    text = "new, after reserve: asks stock.reserve (compensatable), undone by stock.release"
    assert told([new]) == [("added", "gift", text)]
    assert told(changes(ORDER, tmp_path, ("id: gift\n    worker", "id: present\n    worker"))) == [
        ("renamed", "present", "was called gift")
    ]


def test_of_a_new_order_only_what_was_moved_is_said(tmp_path: Path) -> None:
    gift = ORDER[ORDER.index("  - id: gift") : ORDER.index("  - id: charge")]
    later = ORDER.replace(gift, "").replace("output: {charged", f"{gift}output: {{charged")
    assert told(compare(document(ORDER, tmp_path), document(later, tmp_path))) == [
        ("moved", "gift", "now comes after charge, not after reserve")
    ]


def test_a_step_that_goes_into_another_branch_is_moved(tmp_path: Path) -> None:
    found = changes(
        CONTAINERS, tmp_path, (", {id: q, worker: w.q, kind: readonly}]", "]"),
        ("two: [", "two: [{id: q, worker: w.q, kind: readonly}, "),
    )  # fmt: skip
    assert told(found) == [("moved", "q", "now comes first in checks.two, not after p in checks.one")]


def test_a_new_case_moves_none_of_the_others(tmp_path: Path) -> None:
    case = '      - {when: "{{ input.c }}", steps: [{id: u, worker: w.u, kind: readonly}]}\n'
    found = changes(CONTAINERS, tmp_path, ("    switch:\n", f"    switch:\n{case}"))
    assert [(change.kind, change.step) for change in found] == [("changed", "choice"), ("added", "u")]


def test_steps_without_a_name_are_known_by_what_they_say(tmp_path: Path) -> None:
    found = changes(CONTAINERS, tmp_path, ("  - set: {x: 1}\n", "  - set: {n: 0}\n  - set: {x: 1}\n"))
    assert [(change.kind, change.text) for change in found] == [("added", "new, after choice: set")]
    found = changes(CONTAINERS, tmp_path, ("set: {x: 1}", "set: {x: 2}"))
    assert [(change.kind, change.text) for change in found] == [("changed", "set.x: 1 → 2")]


def test_long_texts_are_shown_from_where_they_differ(tmp_path: Path) -> None:
    long = ORDER.replace(MANY, MANY.replace("100", "100 and input.id != 'a very long and tiresome one'"))
    (change,) = changes(long, tmp_path, ("tiresome one", "tiresome two"))
    assert "two" in change.text


def test_a_definition_is_the_same_as_itself() -> None:
    root = Path(__file__).parents[3]
    for path in sorted((root / "definitions").glob("*.yaml")):
        if not path.stem.endswith(".test"):
            own = load_text(path.read_text(), file=f"definitions/{path.name}", root=root).document
            assert compare(own, own) == []
