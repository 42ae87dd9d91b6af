"""How counts are packed for the script, and which hashes a window is made of; what is kept is in tests/conformance."""

from __future__ import annotations

import msgspec
import pytest

from runner.store import limits
from runner.store.figures import FiguresInMemory, pack_counts, spans
from runner.store.ports import Commit

MINUTE, HOUR = 60_000, 3_600_000


def unpacked(packed: bytes) -> tuple[list[str], list[int], list[list[int]]]:
    names, sums, parts = msgspec.msgpack.decode(packed)
    return names, sums, [msgspec.json.decode(part) for part in parts]


def commit(*counts: tuple[str, int]) -> Commit:
    return Commit("r", "e1", "e2", 0, b"", "", counts=counts)


def test_a_batch_names_each_figure_once():
    packed = pack_counts([commit(("a", 1), ("b", 2)), commit(), commit(("b", 3), ("a", -1))])
    assert unpacked(packed) == (["a", "b"], [0, 5], [[0, 1, 1, 2], [], [1, 3, 0, -1]])


def test_nothing_to_count_is_packed_as_nothing():
    assert pack_counts([commit(), commit()]) == b""


def test_names_beyond_the_bound_share_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "MAX_COUNTED", 2)
    packed = pack_counts([commit(("a", 1), ("b", 2), ("c", 3), ("a", 4))])
    assert unpacked(packed) == (["a", "other"], [5, 5], [[0, 1, 1, 2, 1, 3, 0, 4]])
    packed = pack_counts([commit(("a", 1), ("b", 2), ("a", 4))])
    assert unpacked(packed) == (["a", "b"], [5, 2], [[0, 1, 1, 2, 0, 4]])


def test_a_window_is_made_of_minutes_up_to_an_hour_and_of_ten_minutes_beyond():
    now_ms = 100 * HOUR + 30_000
    assert spans(MINUTE, now_ms) == (["m:5999", "m:6000"], 100 * HOUR - MINUTE)
    assert len(spans(HOUR, now_ms)[0]) == 61
    assert spans(HOUR + 1, now_ms) == ([f"t:{number}" for number in range(594, 601)], 594 * 10 * MINUTE)
    assert len(spans(24 * HOUR, now_ms)[0]) == 145
    assert spans(0, now_ms) == (["all"], 0)


def test_memory_keeps_no_more_windows_than_can_be_asked_for():
    figures = FiguresInMemory()
    for minute in range(3_000):
        figures.keep([("a", 1)], minute * MINUTE)
    assert len(figures.spans) < 250
    assert figures.read(0, 3_000 * MINUTE).counts == {"a": 3_000}
    assert figures.read(24 * HOUR, 2_999 * MINUTE).counts == {"a": 1449 + 1}
