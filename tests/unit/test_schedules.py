"""When a schedule is due: over outages, and around both changes of a zone's clock; and what a due one starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from runner.definition.model import Concurrency, Definition, Schedule
from runner.errors import InputError, UsageError
from runner.schedules import (
    MAX_COUNTED,
    Due,
    Fire,
    KeptSchedule,
    StoredSchedule,
    due_fire,
    fires_after,
    key_of_fire,
    read_schedule,
    schedule_of,
    slot_of_fire,
)
from runner.store.ports import ScheduleRow, Slot

DAY_MS = 86_400_000


def at(text: str) -> int:
    """Milliseconds of a time in UTC: "2024-03-31 01:00"."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d %H:%M}"


def schedule(cron: str = "0 6 * * *", timezone: str = "UTC", **fields: Any) -> StoredSchedule:
    values = {"overlap": "skip", "input": {}, "since_ms": 0, **fields}
    return StoredSchedule("order", "1.0.0", "digest", cron, timezone, **values)


def fires(cron: str, timezone: str, after: str, count: int) -> list[str]:
    found = fires_after(schedule(cron, timezone), at(after))
    return [utc(next(found)) for _ in range(count)]


# -- clocks that are put forward and back -------------------------------------------------------------
def test_a_time_of_day_stays_the_same_when_the_clock_is_put_forward():
    assert fires("0 6 * * *", "Europe/Berlin", "2024-03-30 00:00", 3) == [
        "2024-03-30 05:00", "2024-03-31 04:00", "2024-04-01 04:00",
    ]


def test_a_time_of_day_that_a_night_does_not_have_comes_when_the_clock_has_been_put_forward():
    assert fires("30 2 * * *", "Europe/Berlin", "2024-03-30 12:00", 2) == ["2024-03-31 01:00", "2024-04-01 00:30"]


def test_several_times_that_a_night_does_not_have_come_once():
    assert fires("15,45 2 * * *", "Europe/Berlin", "2024-03-30 12:00", 2) == ["2024-03-31 01:00", "2024-04-01 00:15"]


def test_a_time_of_day_that_a_night_has_twice_comes_once():
    assert fires("30 2 * * *", "Europe/Berlin", "2024-10-26 12:00", 2) == ["2024-10-27 00:30", "2024-10-28 01:30"]


@pytest.mark.parametrize("now", ["2024-10-27 00:50", "2024-10-27 01:10", "2024-10-27 01:29", "2024-10-27 01:40"])
def test_it_does_not_come_again_for_one_that_looks_in_the_repeated_hour(now: str):
    """At 01:10 UTC it is 02:10 in Berlin for the second time, and half past two is long over."""
    assert fires("30 2 * * *", "Europe/Berlin", now, 1) == ["2024-10-28 01:30"]
    assert due_fire(schedule("30 2 * * *", "Europe/Berlin"), at("2024-10-27 00:30"), at(now)) is None


def test_every_half_hour_goes_on_evenly_over_both_changes():
    for day in ("2024-03-31", "2024-10-27"):
        found = fires("*/30 * * * *", "Europe/Berlin", f"{day} 00:00", 4)
        assert found == [f"{day} 00:30", f"{day} 01:00", f"{day} 01:30", f"{day} 02:00"]


def test_times_are_those_of_the_zone():
    assert fires("0 9 * * 1", "America/New_York", "2024-07-01 00:00", 1) == ["2024-07-01 13:00"]
    assert fires("0 9 * * 1", "Asia/Kolkata", "2024-07-01 00:00", 1) == ["2024-07-01 03:30"]


# -- what is due --------------------------------------------------------------------------------------
def test_nothing_is_due_before_its_time():
    assert due_fire(schedule(), at("2024-01-01 06:00"), at("2024-01-02 06:00") - 1) is None
    assert due_fire(schedule(), at("2024-01-01 06:00"), at("2024-01-02 06:00")) == Due(at("2024-01-02 06:00"), 0)


def test_a_fire_time_is_not_due_again():
    assert due_fire(schedule(), at("2024-01-02 06:00"), at("2024-01-02 06:00") + 200) is None


def test_after_an_outage_only_the_latest_is_due_and_the_others_are_counted():
    assert due_fire(schedule(), at("2024-01-01 06:00"), at("2024-01-05 12:00")) == Due(at("2024-01-05 06:00"), 3)


@pytest.mark.parametrize(
    ("cron", "latest"),
    [
        ("* * * * *", "2024-06-30 12:00"), ("0 0 1 * *", "2024-06-01 00:00"), ("0 0 1 1 *", "2024-01-01 00:00"),
        ("0 0 29 2 *", "2024-02-29 00:00"), ("30 4 * * 1", "2024-06-24 04:30"),
    ],
)
def test_the_latest_of_a_long_outage_is_found_without_walking_through_all_of_it(cron: str, latest: str):
    due = due_fire(schedule(cron), at("2019-06-30 12:00"), at("2024-06-30 12:00"))
    assert due is not None
    assert (utc(due.at_ms), due.missed <= MAX_COUNTED) == (latest, True)


def test_what_is_due_once_in_many_years_is_found():
    leap = schedule("0 0 29 2 *")
    assert due_fire(leap, at("2019-01-01 00:00"), at("2023-12-31 00:00")) == Due(at("2020-02-29 00:00"), 0)
    assert due_fire(leap, at("2021-01-01 00:00"), at("2023-12-31 00:00")) is None


def test_only_what_comes_after_it_was_added_and_after_the_last_one_is_to_come():
    added = schedule(since_ms=5_000)
    assert KeptSchedule(added, None).after_ms == 5_000
    assert KeptSchedule(added, Fire(9_000)).after_ms == 9_000
    assert KeptSchedule(schedule(since_ms=20_000), Fire(9_000)).after_ms == 20_000


# -- what is started ----------------------------------------------------------------------------------
def definition(overlap: Any = "skip", **fields: Any) -> Definition:
    return Definition("order", "1.0.0", (), schedule=Schedule("0 6 * * *", "UTC", overlap), digest="d", **fields)


def test_the_key_names_the_fire_time_in_utc():
    assert key_of_fire(schedule(timezone="Europe/Berlin"), at("2024-03-31 01:00")) == "schedule:order:2024-03-31T01:00Z"


@pytest.mark.parametrize(
    ("overlap", "slot"),
    [("skip", Slot("schedule/order", 1, "reject")), ("queue", Slot("schedule/order", 1, "queue")), ("allow", None)],
)
def test_overlap_is_a_slot_of_its_own(overlap: Any, slot: Slot | None):
    assert slot_of_fire(schedule(overlap=overlap), definition(overlap)) == slot


def test_with_allow_the_concurrency_of_the_workflow_counts():
    limited = definition("allow", concurrency=Concurrency(3, "{{ input.region }}"))
    assert slot_of_fire(schedule(overlap="allow", input={"region": "EU"}), limited) == Slot("order:EU", 3)


def test_a_schedule_is_kept_with_what_its_definition_says():
    made = schedule_of(definition("queue"), {"a": 1}, 5_000, by="me@here")
    row = ScheduleRow("order", msgspec.json.encode(made), 9_000, msgspec.json.encode(Fire(9_000, run_id="r1")))
    kept = read_schedule(row)
    assert kept.schedule == StoredSchedule(
        "order", "1.0.0", "d", "0 6 * * *", "UTC", "queue", {"a": 1}, 5_000, False, "me@here"
    )
    assert kept.last == Fire(9_000, "started", "r1")


def test_a_definition_without_a_schedule_is_refused():
    with pytest.raises(UsageError, match="order has no `schedule`"):
        schedule_of(Definition("order", "1.0.0", ()), None, 0)


def test_an_input_of_which_no_key_of_concurrency_can_be_made_is_refused_when_it_is_added():
    limited = definition("allow", concurrency=Concurrency(3, "{{ input.region }}"))
    with pytest.raises(InputError, match="key of concurrency"):
        schedule_of(limited, {}, 0)
