"""When a schedule is due."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import pytest

from runner.definition.cron import fires, zone_of


def due(cron: str, zone: str, after: datetime, count: int = 3) -> list[str]:
    return [moment.isoformat(" ", "minutes") for moment in islice(fires(cron, zone_of(zone), after), count)]


def test_a_schedule_is_read_in_its_zone() -> None:
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    assert due("0 6 * * 1-5", "UTC", new_year, 2) == ["2026-01-01 06:00+00:00", "2026-01-02 06:00+00:00"]
    assert due("0 6 * * *", "Asia/Tokyo", new_year, 1) == ["2026-01-02 06:00+09:00"]


def test_a_time_that_the_clock_skips_is_due_when_it_has_been_put_forward() -> None:
    assert due("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), 2) == [
        "2026-03-29 03:00+02:00",
        "2026-03-30 02:30+02:00",
    ]


def test_a_time_that_the_clock_repeats_is_due_once() -> None:
    assert due("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == [
        "2026-10-25 02:30+02:00",
        "2026-10-26 02:30+01:00",
    ]


@pytest.mark.parametrize("zone", ["", "Europe", "Mars/Olympus", "../../etc/passwd", "\0", "x" * 9_999])
def test_what_is_no_zone_is_said_so(zone: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        zone_of(zone)


@pytest.mark.parametrize("cron", ["", "@daily", "* * * *", "0 * * * * *", "60 * * * *", "x * * * *", "0 0 31 4 *"])
def test_what_is_no_cron_expression_is_said_so(cron: str) -> None:
    with pytest.raises(ValueError, match=r"there are five: minute|^bad "):
        fires(cron, UTC, datetime(2026, 1, 1, tzinfo=UTC))
