"""Series: every bucket of every line, against a plain computation."""

from bisect import bisect_right
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.pool import Database
from resolvers import leaderboard
from resolvers.aggregation import Dimension
from resolvers.buckets import Bucket
from resolvers.errors import InvalidArgument
from resolvers.filters import StatFilter, Window
from resolvers.results import Result
from resolvers.series import MAX_POINTS, series
from tests.resolvers.conftest import EXAMPLES, Record
from tests.resolvers.plain import NOW, Recorded, distribution, filters, groups, matches, records

UTC_ZONE = ZoneInfo("UTC")
DAY = timedelta(days=1)
groupings = st.lists(st.sampled_from(Dimension), max_size=2, unique=True).map(tuple)
zones = st.sampled_from(("UTC", "Europe/Berlin", "Asia/Kathmandu")).map(ZoneInfo)
buckets = st.sampled_from((Bucket.HOUR, Bucket.SIX_HOURS, Bucket.DAY, Bucket.WEEK, Bucket.MONTH))
windows = st.builds(
    lambda since, length: Window(NOW - since * DAY, NOW - since * DAY + length * DAY / 7),
    st.integers(0, 4),
    st.integers(0, 21),
)


@EXAMPLES
@given(found=records, wanted=filters, window=windows, bucket=buckets, zone=zones, group_by=groupings)
async def test_every_point_equals_a_plain_computation(
    db: Database,
    record: Record,
    found: list[Recorded],
    wanted: StatFilter,
    window: Window,
    bucket: Bucket,
    zone: ZoneInfo,
    group_by: tuple[Dimension, ...],
) -> None:
    await record(found)
    wanted = replace(wanted, window=window)
    answer = await series(db.read, wanted, bucket, zone, group_by, NOW)

    def number(at: datetime) -> int:
        return bisect_right(answer.starts, at)

    chosen = [one for one in found if matches(one, wanted)]
    peers = [one for one in found if matches(one, replace(wanted, orchestrators=None))]
    expected = groups(chosen, peers, group_by, number)
    keys = {key for _, key in expected} or ({(None,) * 5} if not group_by else set())
    assert {tuple(line.key) for line in answer.lines} == keys
    for line in answer.lines:
        assert [point.start for point in line.points] == list(answer.starts)
        assert [point.end for point in line.points[:-1]] == list(answer.starts[1:])
        for point in line.points:
            plain = expected.get((point.number, tuple(line.key)))
            assert (point.aggregate is None) == (plain is None)
            if point.aggregate and plain:
                assert point.aggregate.samples == plain["samples"]
                assert point.aggregate.score == pytest.approx(plain["score"], rel=1e-9, abs=1e-280)
                assert point.aggregate.round_trip_score == pytest.approx(plain["round_trip_score"], abs=1e-280)
                assert point.start <= plain["first_at"] <= plain["last_at"] < point.end


async def test_points_have_distributions(db: Database, record: Record) -> None:
    trips = [1.0, 2.0, 4.0, 8.0]
    await record([Recorded(Result("FRA", "0xa", 1.0, trip), NOW - DAY * (trip > 2)) for trip in trips])
    wanted = StatFilter(Window(NOW - 2 * DAY, NOW))
    answer = await series(db.read, wanted, Bucket.DAY, UTC_ZONE, (), NOW)
    spread = await leaderboard.distributions(db.read, wanted, (), answer.starts)
    (line,) = answer.lines
    assert [point.aggregate and point.aggregate.samples for point in line.points] == [None, 2, 2]
    for number, values in ((2, [4.0, 8.0]), (3, [1.0, 2.0])):
        found = spread[number, line.key]["round_trip_time"]
        assert found
        assert list(found) == pytest.approx(distribution(values))


async def test_a_line_without_results_is_all_gaps(db: Database, record: Record) -> None:
    await record([])
    answer = await series(db.read, StatFilter(Window(NOW - DAY, NOW)), Bucket.HOUR, UTC_ZONE, (), NOW)
    assert [len(line.points) for line in answer.lines] == [24]
    assert not any(point.aggregate for point in answer.lines[0].points)
    assert not (await series(db.read, answer.wanted, Bucket.HOUR, UTC_ZONE, (Dimension.REGION,), NOW)).lines


async def test_a_result_at_the_very_end_has_a_bucket(db: Database, record: Record) -> None:
    await record([Recorded(Result("FRA", "0xa"), NOW)])
    answer = await series(db.read, StatFilter(Window(NOW - DAY, NOW)), Bucket.HOUR, UTC_ZONE, (), NOW)
    assert len(answer.lines[0].points) == 25
    assert answer.lines[0].points[-1].aggregate


async def test_a_window_without_an_end_ends_now(db: Database, record: Record) -> None:
    await record([])
    answer = await series(db.read, StatFilter(Window(NOW - DAY)), Bucket.SIX_HOURS, UTC_ZONE, (), NOW)
    assert answer.lines[0].points[-1].end == NOW


@pytest.mark.parametrize(
    ("days", "bucket", "orchestrators", "advice"),
    [
        (8, Bucket.MINUTE, 1, "FIVE_MINUTES would fit"),
        (400, Bucket.MINUTE, 1, "HOUR would fit"),
        (30, Bucket.HOUR, 20, "SIX_HOURS would fit"),
        (1, Bucket.MINUTE, 20, "FIVE_MINUTES would fit"),
        (3_000_000, Bucket.DAY, 1, "no bucket would fit"),
    ],
)
async def test_too_many_points_are_refused_with_the_bucket_that_fits(
    db: Database, record: Record, days: int, bucket: Bucket, orchestrators: int, advice: str
) -> None:
    await record([Recorded(Result("FRA", f"0x{n}"), NOW - timedelta(minutes=1)) for n in range(orchestrators)])
    since = datetime(2, 1, 1, tzinfo=NOW.tzinfo) if days > 1_000_000 else NOW - days * DAY
    until = since + days * DAY if days > 1_000_000 else NOW
    wanted = StatFilter(Window(since, until))
    with pytest.raises(InvalidArgument, match=f"make more than {MAX_POINTS} points: {advice}"):
        await series(db.read, wanted, bucket, UTC_ZONE, (Dimension.ORCHESTRATOR,), NOW)


async def test_more_rows_than_points_are_refused_before_they_are_read(db: Database, record: Record) -> None:
    steps = 14 * 60
    await record(
        [
            Recorded(Result("FRA", f"0x{n}"), NOW - timedelta(minutes=step, seconds=1))
            for n in range(13)
            for step in range(steps)
        ]
    )
    wanted = StatFilter(Window(NOW - timedelta(minutes=steps), NOW))
    with pytest.raises(InvalidArgument, match=r"1 minute and 13 groups .* FIVE_MINUTES would fit"):
        await series(db.read, wanted, Bucket.MINUTE, UTC_ZONE, (Dimension.ORCHESTRATOR,), NOW)


async def test_a_series_needs_a_beginning(db: Database) -> None:
    with pytest.raises(InvalidArgument, match="a series needs since, or last"):
        await series(db.read, StatFilter(), Bucket.DAY, UTC_ZONE, (), NOW)
