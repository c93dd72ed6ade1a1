"""Results that are kept no longer: what roll-ups go on answering, and what is gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.pool import Database
from resolvers import leaderboard, listing, retention, rollups
from resolvers.aggregation import Dimension
from resolvers.catalog import Catalog
from resolvers.coverage import coverage
from resolvers.filters import StatFilter, Window
from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from resolvers.rollups import DAY, HOUR
from tests.resolvers.conftest import EXAMPLES, Record
from tests.resolvers.plain import Recorded, results

NOW = datetime(2026, 3, 4, 10, 30, tzinfo=UTC)  # a Wednesday
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
AGE = timedelta(days=1)


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
