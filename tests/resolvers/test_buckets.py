"""Calendar buckets: where they start, across changes of the clock too."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.buckets import Bucket, bucket_starts, time_zone
from resolvers.errors import InvalidArgument

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "America/Sao_Paulo", "Australia/Lord_Howe")
LONGEST_DAY = timedelta(hours=25)
moments = st.datetimes(datetime(1980, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def starts(bucket: Bucket, since: str, until: str, zone: str = "UTC") -> list[str]:
    edges = bucket_starts(
        bucket, datetime.fromisoformat(since), datetime.fromisoformat(until), time_zone(zone), limit=1000
    )
    return [edge.astimezone(UTC).strftime("%m-%dT%H:%M") for edge in edges]


@given(st.sampled_from(Bucket), moments, st.timedeltas(timedelta(0), timedelta(days=2)), st.sampled_from(ZONES))
def test_buckets_cover_the_window_without_gaps(bucket: Bucket, since: datetime, length: timedelta, zone: str) -> None:
    until = since + length
    edges = bucket_starts(bucket, since, until, ZoneInfo(zone), limit=10_000)
    assert edges[0] <= since < edges[1]
    assert edges[-2] <= until < edges[-1]
    assert all(first < second for first, second in pairwise(edges))


@given(st.sampled_from((Bucket.DAY, Bucket.WEEK, Bucket.MONTH)), moments, st.sampled_from(ZONES))
def test_days_begin_when_the_date_changes(bucket: Bucket, since: datetime, zone: str) -> None:
    for edge in bucket_starts(bucket, since, since + timedelta(days=40), ZoneInfo(zone), limit=100):
        local, before = edge.astimezone(ZoneInfo(zone)), (edge - timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
        assert local.date() > before.date()
        assert bucket is not Bucket.WEEK or local.weekday() == 0
        assert bucket is not Bucket.MONTH or local.day == 1


def test_a_day_has_as_many_hours_as_the_clock_says() -> None:
    berlin = "Europe/Berlin"
    assert starts(Bucket.DAY, "2026-03-28T12:00Z", "2026-03-30T12:00Z", berlin) == [
        "03-27T23:00",
        "03-28T23:00",
        "03-29T22:00",
        "03-30T22:00",
    ]
    assert len(starts(Bucket.HOUR, "2026-10-24T22:00Z", "2026-10-25T22:59Z", berlin)) == 26
    assert starts(Bucket.SIX_HOURS, "2026-03-28T23:00Z", "2026-03-29T11:00Z", berlin) == [
        "03-28T23:00",
        "03-29T04:00",
        "03-29T10:00",
        "03-29T16:00",
    ]


def test_hours_follow_the_clock_of_the_zone() -> None:
    assert starts(Bucket.HOUR, "2026-06-01T10:10Z", "2026-06-01T10:20Z", "Asia/Kathmandu") == [
        "06-01T09:15",
        "06-01T10:15",
        "06-01T11:15",
    ]


def test_no_more_are_made_than_asked_for() -> None:
    since, until = datetime(1, 1, 2, tzinfo=UTC).replace(year=2), datetime(9000, 1, 1, tzinfo=UTC)
    assert len(bucket_starts(Bucket.MINUTE, since, until, ZoneInfo("UTC"), limit=50)) == 52


def test_a_window_that_ends_before_it_begins_has_none() -> None:
    assert starts(Bucket.DAY, "2026-06-02T00:00Z", "2026-06-01T00:00Z") == []


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "Europe", "x" * 5000, "a\0b"])
def test_a_zone_that_is_not_known_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        time_zone(name)
    assert refused.value.field == "timeZone"
