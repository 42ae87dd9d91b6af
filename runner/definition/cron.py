"""When a schedule is due: cron's five fields, read in a time zone.

What the clock of that zone skips or repeats, cronsim knows: a time that does not exist is due when the clock has been
put forward, one that exists twice is due once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")


def zone_of(name: str) -> tzinfo:
    """Raises ValueError for a zone that the machine's time zone database does not have."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise ValueError(f'there is no time zone "{name[:40]}"') from None


def fires(cron: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The times after this one, in that zone. Raises ValueError for what is no cron expression."""
    found = len(cron.split())
    if found != len(_FIELDS):
        raise ValueError(f"{found} field{'s' if found != 1 else ''}; there are five: {', '.join(_FIELDS)}")
    try:
        return CronSim(cron, after.astimezone(zone))
    except CronSimError as error:
        reason = str(error)
        raise ValueError(f"{reason[:1].lower()}{reason[1:80]}") from None
