"""Percentiles are read from buckets, never too low and at most WIDTH too high."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.figures.buckets import BOUNDS_MS, LAST, WIDTH, bucket_of, merged, percentile


def counted(times: list[float]) -> dict[int, int]:
    return merged({bucket_of(ms): 1} for ms in times)


def test_a_time_is_in_the_first_bucket_that_reaches_it():
    assert [bucket_of(ms) for ms in (0, 0.4, 1, 1.01, 2, 2.01, 1024)] == [0, 0, 0, 1, 4, 5, 40]
    assert bucket_of(10**15) == LAST


def test_each_bucket_is_the_stated_share_wider():
    for lower, upper in pairwise(BOUNDS_MS):
        assert upper / lower == pytest.approx(1 + WIDTH)


def test_nothing_has_no_percentile():
    assert percentile({}, 0.5) is None
    assert percentile({3: 0}, 0.5) is None


@given(times=st.lists(st.floats(1, 10**8), min_size=1, max_size=60), share=st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_that_of_the_times_within_the_width_of_a_bucket(times: list[float], share: float):
    exact = sorted(times)[max(0, math.ceil(share * len(times)) - 1)]
    found = percentile(counted(times), share)
    assert found is not None
    assert exact <= found * (1 + 1e-12)
    assert found < exact * (1 + WIDTH) * (1 + 1e-12)


def test_histograms_add_up():
    assert merged([{1: 2, 3: 1}, {3: 4}]) == {1: 2, 3: 5}
