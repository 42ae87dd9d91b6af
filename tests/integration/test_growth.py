"""Long runs: a thousand items, two hundred nested steps. They complete, and no step costs more for those before it.

Held by counts, which no noise can hide: what is written, what happens, which commands Redis gets. benchmarks/growth.py
prints times as well.
"""

from __future__ import annotations

import pytest

from benchmarks.growth import Cost, measure

LONGER_PATHS = 1.1  # "lines#950/act" instead of "lines#50/act", in every field that names it


def assert_no_growth(first: Cost, last: Cost, *, bytes_by: float = LONGER_PATHS) -> None:
    assert last.bytes_written <= first.bytes_written * bytes_by
    assert last.events <= first.events + 0.1
    assert last.commands <= first.commands * 1.02


@pytest.mark.parametrize(("workload", "count"), [("items", 1000), ("items, 10 at once", 1000), ("rounds", 500)])
def test_a_thousand_items_cost_as_much_each_as_a_hundred(valkey_url: str, workload: str, count: int) -> None:
    status, costs = measure(valkey_url, workload, count)
    assert status == "completed"
    assert len(costs) == count // 100
    assert_no_growth(costs[1], costs[-1])


def test_items_are_undone_at_the_same_cost_each(valkey_url: str) -> None:
    status, costs = measure(valkey_url, "items, and back", 500)
    assert status == "compensated"
    back = costs[5:]
    assert_no_growth(back[1], back[-1])
    assert back[-1].commands <= costs[1].commands * 1.05


def test_two_hundred_nested_steps_complete_and_cost_as_their_paths_are_long(valkey_url: str) -> None:
    status, costs = measure(valkey_url, "nested steps", 200)
    assert status == "completed"
    # Fifteen blocks deep a path has 120 letters more, and a step's commit names it some eight times.
    assert costs[1].bytes_written - costs[0].bytes_written < 8 * 120
    assert costs[1].events <= costs[0].events + 0.2
    assert costs[1].commands <= costs[0].commands * 1.02
