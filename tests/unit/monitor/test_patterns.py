"""Groups of errors as people see them: counted in a window, with their trend, and spikes by a stated rule."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from runner.monitor.patterns import HOUR_MS, SPIKE_FACTOR, SPIKE_LEAST, error_groups, is_spike, view_group
from runner.store.faults import FaultGroup

HOUR = 472_222
NOW_MS = HOUR * HOUR_MS + 1_800_000
GROUP = FaultGroup(
    "v1:abcdefghjkmn", msgspec.json.encode({"code": "declined", "type": "declined", "message": "no money\nat all"}),
    count=70, first_at_ms=NOW_MS - 90 * HOUR_MS, last_at_ms=NOW_MS - 1_000, hours={HOUR - 30: 60, HOUR - 1: 4, HOUR: 6},
    marks={"workflow=order": 70, "step=order/a": 20, "step=order/b": 50, "of=nothing": 1}, samples=(("r1", NOW_MS),),
)


def test_a_group_is_counted_in_the_hours_that_its_window_touches():
    assert view_group(GROUP, NOW_MS).in_window == 70
    assert view_group(GROUP, NOW_MS, HOUR_MS).in_window == 10
    assert view_group(GROUP, NOW_MS, HOUR_MS // 4).in_window == 6
    assert view_group(GROUP, NOW_MS, 48 * HOUR_MS).in_window == 70


def test_a_group_that_was_not_seen_in_the_window_is_left_out():
    old = replace(GROUP, hours={HOUR - 30: 60})
    assert error_groups([GROUP, old], NOW_MS, HOUR_MS) == [view_group(GROUP, NOW_MS, HOUR_MS)]
    assert len(error_groups([GROUP, old], NOW_MS)) == 2


def test_what_is_marked_is_shown_by_kind_the_most_frequent_first():
    marks = view_group(GROUP, NOW_MS).marks
    assert list(marks) == ["workflow", "step"]
    assert list(marks["step"].items()) == [("order/b", 50), ("order/a", 20)]


def test_the_trend_has_a_place_for_each_of_the_last_hours():
    trend = view_group(GROUP, NOW_MS).trend
    assert (len(trend), trend[-2:], sum(trend)) == (24, (4, 6), 10)


def test_a_group_is_named_by_code_and_first_line():
    view = view_group(GROUP, NOW_MS)
    assert (view.title, view.short) == ("declined: no money", "abcdefgh")


def test_a_group_is_new_in_the_window_in_which_it_was_first_seen():
    assert not view_group(GROUP, NOW_MS, HOUR_MS).is_new
    assert view_group(replace(GROUP, first_at_ms=NOW_MS - 5), NOW_MS, HOUR_MS).is_new
    assert not view_group(replace(GROUP, first_at_ms=NOW_MS - 5), NOW_MS).is_new


@pytest.mark.parametrize(("hours", "so"), [
    ({HOUR: SPIKE_LEAST}, True), ({HOUR: SPIKE_LEAST - 1}, False), ({HOUR - 1: SPIKE_LEAST}, True),
    ({HOUR - 2: SPIKE_LEAST}, False), ({}, False),
    ({HOUR: 30, **dict.fromkeys(range(HOUR - 25, HOUR - 1), 10)}, False),
    ({HOUR: 10 * SPIKE_FACTOR + 1, **dict.fromkeys(range(HOUR - 25, HOUR - 1), 10)}, True),
    ({HOUR: 31, HOUR - 26: 5_000}, True),
])  # fmt: skip
def test_a_spike_is_more_than_three_times_the_mean_of_the_day_before(hours: dict[int, int], so: bool):
    assert is_spike(hours, NOW_MS) is so


def test_a_group_of_which_nothing_is_said_can_be_shown():
    view = view_group(FaultGroup("v1:x", b"", 1, 1, 1, {}, {}, ()), NOW_MS)
    assert (view.title, view.marks, view.note) == ("", {}, {})
