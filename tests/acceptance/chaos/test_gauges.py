"""What a soak calls flat, and what it doesn't."""

from __future__ import annotations

from collections.abc import Callable
from math import log, sin

import pytest

from tests.acceptance.chaos.gauges import FIGURES, RESOLVED_MIB, Sample, courses

MINUTES = 40


def is_flat(name: str, value_at: Callable[[float], float]) -> bool:
    samples = [Sample(at_s, {name: value_at(at_s)}) for at_s in range(0, MINUTES * 60, 2)]
    (course,) = courses(samples)
    return course.is_flat


@pytest.mark.parametrize(
    "value_at",
    [
        pytest.param(lambda at_s: 80.0, id="nothing changes"),
        pytest.param(lambda at_s: 80 + min(at_s, 1_000) / 100, id="caches fill until half of the time is over"),
        pytest.param(lambda at_s: 80 + sin(at_s) * 5, id="it goes up and down"),
        pytest.param(lambda at_s: 80 + log(1 + at_s), id="a record is beaten, ever more rarely"),
    ],
)
def test_what_is_bounded_is_flat(value_at: Callable[[float], float]):
    assert is_flat("engine MiB", value_at)


@pytest.mark.parametrize("name", ["engine MiB", "worker MiB", "child MiB", "server MiB"])
def test_a_leak_is_noticed(name: str):
    minutes = MINUTES / 2 * 2 / 3  # from the middle of the first third to that of the last
    assert is_flat(name, lambda at_s: 80 + 0.9 * RESOLVED_MIB * at_s / (minutes * 60))
    assert not is_flat(name, lambda at_s: 80 + 1.1 * RESOLVED_MIB * at_s / (minutes * 60))


@pytest.mark.parametrize("name", ["keys", "connections", "engine files", "child threads"])
def test_a_number_that_grows_is_noticed(name: str):
    assert is_flat(name, lambda at_s: 20 + (at_s > MINUTES * 55))
    assert not is_flat(name, lambda at_s: 20 + at_s)


def test_figures_are_kept_for_a_day_and_may_grow():
    assert is_flat(FIGURES, lambda at_s: at_s)
