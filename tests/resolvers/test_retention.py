"""Results that are kept no longer: what roll-ups go on answering, and what is gone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.pool import Database
from resolvers import administration, leaderboard, listing, retention, rollups
from resolvers.aggregation import Dimension
from resolvers.buckets import Bucket
from resolvers.catalog import Catalog
from resolvers.coverage import coverage
from resolvers.errors import PodiumError
from resolvers.filters import StatFilter, Window
from resolvers.recording import CheckedResult, insert_results, store_results
from resolvers.results import Result
from resolvers.rollups import DAY, HOUR
from resolvers.series import series
from tests import harness
from tests.resolvers.conftest import EXAMPLES, Record
from tests.resolvers.plain import Recorded, results

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)  # a Wednesday
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
AGE = timedelta(days=1)
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def quiet(event: str, **facts: Any) -> None:
    """Report to nobody."""


async def let_go(db: Database) -> None:
    """As the loop does, as often as it takes."""
    for _ in range(2):
        await retention.drop_results(db, AGE, quiet, NOW)


moments = st.integers(0, 21 * 24 * 60).map(lambda m: MONDAY + 2 * DAY - timedelta(minutes=m))
old_records = st.lists(st.builds(Recorded, results, moments), max_size=40)


@EXAMPLES
@given(
    found=old_records,
    since=st.none() | moments,
    job_type=st.sampled_from((None, "ai", "transcoding")),
    regions=st.none() | st.just(("FRA",)),
)
async def test_aggregates_of_whole_hours_are_the_same_when_results_are_gone(
    db: Database,
    record: Record,
    connection: asyncpg.Connection,
    found: list[Recorded],
    since: datetime | None,
    job_type: Any,
    regions: tuple[str] | None,
) -> None:
    await connection.execute("UPDATE podium.rollup_state SET results_since = NULL")
    await connection.execute("TRUNCATE podium.kept_round_trips")
    await record(found)
    window = Window(None if since is None else since.replace(minute=0))
    wanted = StatFilter(window, job_type=job_type, regions=regions)
    before = await leaderboard.aggregates(db.read, wanted, tuple(Dimension))
    covered = await coverage(db.read, None, window, NOW, 100)
    tops = [await leaderboard.top_ai_score(db.read, address, window) for address in ("0xa", "0xb")]
    pipelines = await leaderboard.pipelines(db.read, window, None)
    await retention.drop_results(db, AGE, quiet, NOW)
    between = await leaderboard.aggregates(db.read, wanted, tuple(Dimension))
    await retention.drop_results(db, AGE, quiet, NOW)
    after = await leaderboard.aggregates(db.read, wanted, tuple(Dimension))
    for same in (between, after):
        assert [group.key for group in same] == [group.key for group in before]
        for one, other in zip(same, before, strict=True):
            assert list(one[1:6]) == pytest.approx(list(other[1:6]), rel=1e-9)
            assert one[6:] == other[6:]
    assert await coverage(db.read, None, window, NOW, 100) == covered
    assert await leaderboard.pipelines(db.read, window, None) == pipelines
    for address, top in zip(("0xa", "0xb"), tops, strict=True):
        again = await leaderboard.top_ai_score(db.read, address, window)
        assert (again and again["model"], again and again["value"]) == (
            top and top["model"],
            top and pytest.approx(top["value"], rel=1e-9),
        )
    left = await connection.fetchval("SELECT count(*) FROM podium.results WHERE recorded_at < $1", MONDAY)
    assert left == 0


async def test_a_window_that_cuts_an_hour_of_the_past_is_widened(db: Database, record: Record) -> None:
    at = MONDAY - 3 * DAY
    await record([Recorded(Result("FRA", "0xa", 1.0, 1.0), at + n * HOUR / 4) for n in range(8)])
    window = Window(at + HOUR / 2, at + HOUR + HOUR / 4)
    assert [g.samples for g in await leaderboard.aggregates(db.read, StatFilter(window), ())] == [4]
    await let_go(db)
    state = await rollups.read_state(db.read)
    assert state.results_since is not None
    wide = rollups.widened(window, state.results_since)
    assert wide == Window(at, at + 2 * HOUR - timedelta(microseconds=1))
    assert [g.samples for g in await leaderboard.aggregates(db.read, StatFilter(window), ())] == [8]
    assert await listing.count_results(db.read, StatFilter(window)) == 0


async def test_weeks_are_dropped_whole_and_only_when_all_of_them_is_old(
    db: Database, record: Record, connection: asyncpg.Connection
) -> None:
    await record([Recorded(Result("FRA", "0xa"), MONDAY + n * DAY) for n in (-8, -1, 0, 1)])
    await retention.drop_results(db, timedelta(days=3), quiet, NOW)
    await retention.drop_results(db, timedelta(days=3), quiet, NOW)
    assert await connection.fetchval("SELECT min(recorded_at) FROM podium.results") == MONDAY - DAY
    reported: list[str] = []
    await retention.drop_results(db, AGE, lambda event, **facts: reported.append(event), NOW)
    assert await connection.fetchval("SELECT min(recorded_at) FROM podium.results") == MONDAY - DAY
    await retention.drop_results(db, AGE, lambda event, **facts: reported.append(event), NOW)
    assert await connection.fetchval("SELECT min(recorded_at) FROM podium.results") == MONDAY
    assert reported == ["results_expired", "partitions_dropped"]


async def test_nothing_is_dropped_before_it_is_rolled_up(
    db: Database, record: Record, connection: asyncpg.Connection
) -> None:
    await record([Recorded(Result("FRA", "0xa"), MONDAY - 8 * DAY)])
    await connection.execute("UPDATE podium.rollup_state SET complete_since = NULL")
    await let_go(db)
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 1


async def test_results_of_a_time_that_is_gone_are_not_stored_again(db: Database, record: Record) -> None:
    result, at = Result("FRA", "0xa", 1.0, 1.0), MONDAY - 8 * DAY
    await record([Recorded(result, at)])
    await let_go(db)
    catalog = Catalog(db, ttl_s=60)
    assert await store_results(db, catalog, [CheckedResult(result, -1, at), CheckedResult(result, -2, MONDAY)]) != []
    assert [g.samples for g in await leaderboard.aggregates(db.read, StatFilter(), ())] == [2]
    assert not any([day.wrong_cells async for day in rollups.check(db.write, Window())])


async def test_rebuilding_leaves_roll_ups_of_what_is_gone(db: Database, record: Record) -> None:
    await record([Recorded(Result("FRA", "0xa"), MONDAY + n * DAY) for n in (-8, -1, 0)])
    await let_go(db)
    assert await rollups.rebuild(db, Window(), quiet) == 1
    assert [g.samples for g in await leaderboard.aggregates(db.read, StatFilter(), ())] == [3]


async def test_payloads_are_cleared_and_everything_else_stays(
    db: Database, record: Record, connection: asyncpg.Connection
) -> None:
    texts = {"input_parameters": "a bear", "response_payload": "a picture"}
    old = Result("FRA", "0xa", 1.0, 1.0, pipeline="P", model="m", payload={**texts, "seed": 7})
    bare = Result("FRA", "0xb", 1.0, 1.0, pipeline="P", model="m", payload=texts)
    await record([Recorded(old, NOW - 2 * DAY), Recorded(bare, NOW - 2 * DAY), Recorded(bare, NOW - HOUR)])
    reported: list[Any] = []
    await retention.clear_payloads(db, AGE, lambda event, **facts: reported.append((event, facts)), NOW)
    assert reported == [("payloads_cleared", {"count": 2})]
    rows = await connection.fetch("SELECT payload FROM podium.results ORDER BY recorded_at, orchestrator_id")
    assert [row["payload"] and "bear" in row["payload"] for row in rows] == [False, None, True]
    assert '"seed": 7' in rows[0]["payload"]
    await store_results(db, Catalog(db, ttl_s=60), [CheckedResult(old, -9, NOW - 3 * DAY)])
    late = await connection.fetchval("SELECT payload FROM podium.results WHERE id = -9")
    assert late == '{"seed": 7}'


async def points(db: Database, window: Window, bucket: Bucket, zone: str) -> list[tuple[datetime, int]]:
    """Where the buckets with results begin, and how many each has."""
    found = await series(db.read, StatFilter(window), bucket, ZoneInfo(zone), (), NOW)
    return [(point.start, point.aggregate.samples) for point in found.lines[0].points if point.aggregate]


@pytest.mark.parametrize("bucket", [Bucket.MINUTE, Bucket.HOUR, Bucket.DAY])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Asia/Kathmandu"])
async def test_a_series_over_the_border_has_every_result(
    db: Database, record: Record, bucket: Bucket, zone: str
) -> None:
    times = [MONDAY + n * timedelta(minutes=20) for n in range(-7, 7)]
    await record([Recorded(Result("FRA", "0xa", 1.0, 1.0), at) for at in times])
    await let_go(db)
    window = Window(MONDAY - timedelta(minutes=100), MONDAY + timedelta(minutes=100))
    found = await points(db, window, bucket, zone)
    (whole,) = await leaderboard.aggregates(db.read, StatFilter(window), ())
    assert sum(samples for _, samples in found) == whole.samples == 12
    if bucket is Bucket.MINUTE:
        assert found[:3] == [(MONDAY - 2 * HOUR, 3), (MONDAY - HOUR, 3), (MONDAY, 1)]


async def test_the_end_of_time_is_no_end_of_what_roll_ups_answer(db: Database, record: Record) -> None:
    await record([Recorded(Result("FRA", "0xa", 1.0, 1.0), MONDAY - n * DAY) for n in (-1, 8)])
    await let_go(db)
    for_ever = StatFilter(Window(None, datetime.max.replace(tzinfo=UTC)))
    assert [group.samples for group in await leaderboard.aggregates(db.read, for_ever, ())] == [2]


async def test_a_window_that_ends_before_it_begins_stays_empty(db: Database, record: Record) -> None:
    at = MONDAY - 8 * DAY
    await record([Recorded(Result("FRA", "0xa", 1.0, 1.0), at + HOUR / 4)])
    await let_go(db)
    assert await leaderboard.aggregates(db.read, StatFilter(Window(at + HOUR / 2, at + HOUR / 5)), ()) == []


async def test_years_with_gaps_and_results_of_the_future_are_let_go_at_once(
    db: Database, record: Record, connection: asyncpg.Connection
) -> None:
    times = [MONDAY - n * DAY for n in (-400, -1, 1, 30, 31, 400, 1500, 9000)]
    result = Result("FRA", "0xa", 1.0, 2.0, pipeline="P", model="m")
    await record([Recorded(result, at) for at in times])
    reported: list[Any] = []
    for _ in range(3):
        await retention.drop_results(db, AGE, lambda event, **facts: reported.append((event, facts)), NOW)
    assert [event for event, _ in reported].count("results_expired") == 5
    assert sum(facts["count"] for event, facts in reported if event == "partitions_dropped") == 5
    assert await connection.fetchval("SELECT min(recorded_at) FROM podium.results") == MONDAY + DAY
    (group,) = await leaderboard.aggregates(db.read, StatFilter(job_type="ai"), ())
    assert (group.samples, group.score) == (8, pytest.approx(0.65 + 0.35 * 0.8))
    assert await rollups.rebuild(db, Window(), quiet) == 2
    assert not [day async for day in rollups.check(db.write, Window()) if day.wrong_cells]


async def median(db: Database) -> float:
    """What a result of the other model's round trip scores against, told by its score."""
    (group,) = await leaderboard.aggregates(db.read, StatFilter(orchestrators=("0xb",)), ())
    return group.round_trip_score


@pytest.mark.parametrize("is_restored", [False, True])
async def test_what_is_withdrawn_from_a_week_before_it_is_dropped_counts_nowhere(
    db: Database, record: Record, is_restored: bool
) -> None:
    def ai(orchestrator: str, seconds: float) -> Result:
        return Result("FRA", orchestrator, 1.0, seconds, pipeline="P", model="m")

    old = MONDAY - 8 * DAY
    await record([Recorded(ai("0xa", 100.0), old), Recorded(ai("0xb", 4.0), MONDAY), Recorded(ai("0xc", 4.0), MONDAY)])
    before = await median(db)
    await retention.drop_results(db, AGE, quiet, NOW)
    deed = administration.Deed("tester", "a test")
    wanted = StatFilter(Window(old, old), orchestrators=("0xa",))
    outcome = await administration.withdraw_matching(db.write, wanted, deed)
    assert outcome.affected == 1
    assert outcome.entry
    if is_restored:
        await administration.restore(db.write, outcome.entry.id, deed)
    await retention.drop_results(db, AGE, quiet, NOW)
    (group,) = await leaderboard.aggregates(db.read, StatFilter(), ())
    assert group.samples == 2 + is_restored
    assert await median(db) == pytest.approx(before if is_restored else 0.8)
    assert (await administration.restore(db.write, outcome.entry.id, deed)).affected == 0


async def test_a_rebuild_that_comes_to_a_day_that_is_gone_meanwhile_leaves_it(db: Database, record: Record) -> None:
    await record([Recorded(Result("FRA", "0xa"), MONDAY + n * DAY) for n in (-8, 0)])
    found = rollups.days(db.write, Window())
    assert await anext(found) == MONDAY
    await let_go(db)
    assert [day async for day in found] == []
    await rollups.rebuild_day(db, MONDAY - 8 * DAY)
    assert [group.samples for group in await leaderboard.aggregates(db.read, StatFilter(), ())] == [2]


async def test_dropping_waits_for_no_reader_loses_nothing_and_is_done_later(
    db: Database, record: Record, database: harness.Database, connection: asyncpg.Connection
) -> None:
    old = Recorded(Result("FRA", "0xa", 1.0, 2.0, pipeline="P", model="m"), MONDAY - 8 * DAY)
    await record([old, Recorded(old.result, MONDAY)])
    await retention.drop_results(db, AGE, quiet, NOW)
    reader = await asyncpg.connect(database.logins.reader)
    async with reader.transaction(readonly=True):
        assert await reader.fetchval("SELECT count(*) FROM podium.results") == 2
        async with asyncio.timeout(1.5):
            with pytest.raises(PodiumError):
                await retention.drop_results(db, AGE, quiet, NOW)
        assert await reader.fetchval("SELECT count(*) FROM podium.results") == 2
    await reader.close()
    assert [group.samples for group in await leaderboard.aggregates(db.read, StatFilter(), ())] == [2]
    assert await connection.fetchval("SELECT count(*) FROM podium.kept_round_trips") == 1
    await retention.drop_results(db, AGE, quiet, NOW)
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 1
    assert [group.samples for group in await leaderboard.aggregates(db.read, StatFilter(), ())] == [2]


async def test_payloads_of_many_results_of_one_moment_are_all_cleared(
    db: Database, record: Record, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    result = Result("FRA", "0xa", 1.0, 1.0, pipeline="P", model="m", payload={"response_payload": "a picture"})
    await record([Recorded(result, NOW - n * DAY) for n in (2, 2, 2, 2, 2, 3, 3, 4, 5, 6)])
    async with asyncio.timeout(5):
        await retention.clear_payloads(db, AGE, quiet, NOW)
    assert await connection.fetchval("SELECT count(*) FROM podium.results WHERE payload IS NOT NULL") == 0


async def test_what_is_imported_while_payloads_are_cleared_has_none_later(
    db: Database, record: Record, connection: asyncpg.Connection
) -> None:
    result = Result("FRA", "0xa", 1.0, 1.0, payload={"response_payload": "a picture"})
    await record([Recorded(result, NOW - 2 * DAY)])
    async with db.write.transaction() as importing:
        await insert_results(importing, [CheckedResult(result, -1, NOW - 2 * DAY + HOUR)])
        clearing = asyncio.create_task(retention.clear_payloads(db, AGE, quiet, NOW))
        while not await connection.fetchval(WAITING):
            assert not clearing.done()
    await clearing
    assert await connection.fetchval("SELECT count(*) FROM podium.results WHERE payload IS NOT NULL") == 0


async def test_a_longer_retention_brings_nothing_back_and_lets_nothing_more_go(db: Database, record: Record) -> None:
    await record([Recorded(Result("FRA", "0xa", 1.0, 1.0), MONDAY + n * DAY) for n in (-8, 1)])
    await let_go(db)
    since = (await rollups.read_state(db.read)).results_since
    await retention.drop_results(db, 900 * DAY, quiet, NOW)
    await retention.clear_payloads(db, 900 * DAY, quiet, NOW)
    assert (await rollups.read_state(db.read)).results_since == since
    assert [group.samples for group in await leaderboard.aggregates(db.read, StatFilter(), ())] == [2]


async def test_posts_wait_for_nothing_that_is_let_go(db: Database, record: Record) -> None:
    await record([Recorded(Result("FRA", "0xa", 1.0, 1.0), datetime.now(UTC))])
    async with db.write.transaction() as clearing, asyncio.timeout(1):
        await clearing.fetch(retention.HOLD_STATE)
        posted = await store_results(db, Catalog(db, ttl_s=60), [CheckedResult(Result("FRA", "0xa", 1.0, 1.0))])
    assert len(posted) == 1
