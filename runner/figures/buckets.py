"""Histograms: times counted in buckets, each a fixed share wider than the one before.

Rule: bucket numbers are stored, so their bounds may not change without new names for the series. A percentile is the
upper end of the bucket that it falls into: never too low, and at most WIDTH too high.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

STEPS = 4  # buckets for each doubling
WIDTH = 2 ** (1 / STEPS) - 1  # how much wider each is than the one before: 19 %
LAST = 30 * STEPS  # 2**30 ms are 12 days; what takes longer is counted there
BOUNDS_MS = tuple(2 ** (number / STEPS) for number in range(LAST + 1))  # of bucket 0: a millisecond, and less


def bucket_of(ms: float) -> int:
    """The bucket's number: the first whose upper end is not below."""
    return min(bisect_left(BOUNDS_MS, ms), LAST)


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """In ms; None where nothing was counted. `share`: 0.5 is the median."""
    total = sum(buckets.values())
    if total <= 0:
        return None
    wanted = max(1, -int(-share * total // 1))  # the smallest rank that covers the share
    for number in sorted(buckets):
        wanted -= buckets[number]
        if wanted <= 0:
            return BOUNDS_MS[number]
    return BOUNDS_MS[LAST]


def merged(histograms: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """What several counted together."""
    sums: dict[int, int] = {}
    for histogram in histograms:
        for number, count in histogram.items():
            sums[number] = sums.get(number, 0) + count
    return sums
