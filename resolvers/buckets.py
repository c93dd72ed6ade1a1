"""Buckets of time that follow the calendar of a time zone; pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resolvers.errors import InvalidArgument


class Bucket(StrEnum):
    """How long a bucket is, from the shortest to the longest."""

    MINUTE = "1 minute"
    FIVE_MINUTES = "5 minutes"
    FIFTEEN_MINUTES = "15 minutes"
    HOUR = "1 hour"
    SIX_HOURS = "6 hours"
    DAY = "1 day"
    WEEK = "1 week"
    MONTH = "1 month"


_STEPS = {
    Bucket.MINUTE: timedelta(minutes=1),
    Bucket.FIVE_MINUTES: timedelta(minutes=5),
    Bucket.FIFTEEN_MINUTES: timedelta(minutes=15),
    Bucket.HOUR: timedelta(hours=1),
}
_FIRST_DAY = datetime(1, 1, 1, tzinfo=UTC)
_LAST_DAY = datetime(9999, 12, 1, tzinfo=UTC)  # beyond it, a bucket could end in no year that there is


def time_zone(name: str) -> ZoneInfo:
    """The time zone of the IANA database with this name; InvalidArgument when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidArgument(
            f"timeZone: {name[:40]!r} is no name of the IANA database, like Europe/Berlin", field="timeZone"
        ) from None


def bucket_starts(bucket: Bucket, since: datetime, until: datetime, zone: ZoneInfo, limit: int) -> list[datetime]:
    """Where the buckets start that hold the times from `since` to `until`, both included, and where the last one ends.

    The first may start before `since`. Minutes and hours are equally long; they are aligned with the clock of the zone
    at `since`. Longer ones follow the calendar, and are as long as its days are. One bucket more than `limit` at most.
    """
    if until < since:
        return []
    if until > _LAST_DAY or since.year < 2:
        raise InvalidArgument("during: a series is in the years 2 to 9999", field="during")
    starts: list[datetime] = []
    for start in _starts(bucket, since, zone):
        starts.append(start)
        if start > until or len(starts) > limit + 1:
            break
    return starts


def _starts(bucket: Bucket, since: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    step = _STEPS.get(bucket)
    return _calendar_starts(bucket, since, zone) if step is None else _equal_starts(step, since, zone)


def _equal_starts(step: timedelta, since: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    local = since.astimezone(zone)
    start = since - (local.replace(tzinfo=UTC) - _FIRST_DAY) % step
    while True:
        yield start
        start += step


def _calendar_starts(bucket: Bucket, since: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Wall-clock times in UTC; two that a change of the clock makes one are one."""
    wall, last = _floor(bucket, since.astimezone(zone).replace(tzinfo=None)), None
    while True:
        start = wall.replace(tzinfo=zone).astimezone(UTC)
        if last is None or start > last:
            yield start
            last = start
        wall = _next(bucket, wall)


def _floor(bucket: Bucket, wall: datetime) -> datetime:
    day = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    if bucket is Bucket.SIX_HOURS:
        return day.replace(hour=wall.hour - wall.hour % 6)
    if bucket is Bucket.WEEK:
        return day - timedelta(days=wall.weekday())
    return day.replace(day=1) if bucket is Bucket.MONTH else day


def _next(bucket: Bucket, wall: datetime) -> datetime:
    if bucket is Bucket.SIX_HOURS:
        return wall + timedelta(hours=6)
    if bucket is Bucket.DAY:
        return wall + timedelta(days=1)
    if bucket is Bucket.WEEK:
        return wall + timedelta(days=7)
    return (wall + timedelta(days=31)).replace(day=1)
