"""The hottest statements read the weeks of their window alone, by an index, and little that is not in their answers."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from bench.cases import AVERAGE_RANK, MODEL, PIPELINE
from bench.generate import MODELS, ORCHESTRATORS, TRANSCODING_REGIONS, Dataset, addresses, fill
from db.pool import Database, Pool, PoolOptions
from resolvers import leaderboard, listing
from resolvers.aggregation import Dimension
from resolvers.announcements import Announcement, columns
from resolvers.broadcast import ANNOUNCED_RESULTS
from resolvers.catalog import Catalog
from resolvers.coverage import coverage
from resolvers.errors import from_driver
from resolvers.filters import StatFilter, Window
from resolvers.page import PageRequest
from resolvers.recording import CheckedResult, ResultKey, create_partitions, insert_results
from resolvers.results import Result
from tests import harness
from tests.db.plans import Explaining, Scan

UNTIL = datetime(2026, 5, 20, 12, tzinfo=UTC)  # a Wednesday
DATASET = Dataset(results=200_000, until=UNTIL)
DAY = Window(UNTIL - timedelta(days=1))
MONTH = Window(UNTIL - timedelta(days=30) + timedelta(minutes=10))
NODE = addresses(DATASET.seed)[AVERAGE_RANK - 1]  # with 1 % of the results
TRANSCODING_CELLS = ORCHESTRATORS * len(TRANSCODING_REGIONS)
PER_DAY = DATASET.results / DATASET.days
THIS_WEEK = "results_2026_05_18"
COMING_WEEKS = {"results_2026_05_25", "results_2026_06_01"}
PAGE = PageRequest(100, None, backwards=False)


@pytest.fixture(scope="module")
async def db(shared_database: harness.Database) -> AsyncIterator[Database]:
    """What gateways have, before 200,000 results of 30 days, with the weeks to come."""
    logins = shared_database.logins
    await fill(logins.superuser, DATASET)
    superuser = await asyncpg.connect(logins.superuser)
    await superuser.execute("SET default_statistics_target = 1000")  # of all rows: plans are always the same
    await superuser.execute("ANALYZE podium.hourly_rollups, podium.daily_rollups")
    await superuser.close()
    writer, reader = (
        Pool(url, PoolOptions(size=1, timeout_s=60, for_questions=url == logins.reader), from_driver)
        for url in (logins.writer, logins.reader)
    )
    database = Database(writer, reader)
    await database.open()
    await create_partitions(database, UNTIL, UNTIL + timedelta(days=14))
    yield database
    await database.close()


@pytest.fixture
def explaining(db: Database) -> Explaining:
    return Explaining(db.read)


async def test_a_page_of_one_node_is_read_from_its_end(explaining: Explaining) -> None:
    page = await listing.results_page(explaining, StatFilter(window=DAY, orchestrators=(NODE,)), PAGE)
    assert len(page.items) > 20
    scans = explaining.of("results")
    assert_only(scans, "pkey")
    assert rows_of(scans) <= PAGE.size + 1


async def test_later_pages_of_one_node_are_no_dearer(explaining: Explaining) -> None:
    wanted = StatFilter(orchestrators=(NODE,))
    page = await listing.results_page(explaining, wanted, PageRequest(1000, None, backwards=False))
    explaining.scans.clear()
    cursor = listing.result_cursor(page.items[-1])
    assert len((await listing.results_page(explaining, wanted, PageRequest(100, cursor, backwards=False))).items) == 100
    scans = explaining.of("results")
    assert {index_kind(scan) for scan in scans} == {"pkey"}
    assert rows_of(scans) <= PAGE.size + 1


async def test_the_newest_of_all_are_read_by_time(explaining: Explaining) -> None:
    assert len((await listing.results_page(explaining, StatFilter(), PAGE)).items) == PAGE.size
    scans = explaining.of("results")
    assert_only(scans, "recorded_at_idx")
    assert rows_of(scans) == PAGE.size + 2  # one more tells where equal times end


async def test_raw_stats_read_what_they_answer(explaining: Explaining) -> None:
    rows = await listing.all_results(explaining, StatFilter(window=DAY, orchestrators=(NODE,), job_type="transcoding"))
    of_both_kinds = await listing.count_results(explaining, StatFilter(window=DAY, orchestrators=(NODE,)))
    assert rows
    scans = explaining.of("results")
    assert_only(scans, "pkey")
    assert rows_of(scans) == 2 * of_both_kinds


async def test_medians_read_results_of_their_model(explaining: Explaining) -> None:
    wanted = StatFilter(window=DAY, job_type="ai", pipelines=(PIPELINE,), models=(MODEL,))
    number = await listing.count_results(explaining, wanted)
    explaining.scans.clear()
    await leaderboard.aggregates(explaining, wanted, (Dimension.ORCHESTRATOR,))
    scans = explaining.of("results")
    assert_only(scans, "model_id_recorded_at_round_trip_time_suc_idx")
    assert rows_of(scans) <= 2 * number


async def test_results_are_found_by_their_keys_one_by_one(explaining: Explaining) -> None:
    page = await listing.results_page(explaining, StatFilter(), PAGE)
    explaining.scans.clear()
    keys = [ResultKey(row.orchestrator, row.recorded_at, row.id) for row in page.items]
    assert len(await listing.results_by_key(explaining, keys)) == len(keys)
    scans = explaining.of("results")
    assert {index_kind(scan) for scan in scans} <= {"pkey", "recorded_at_idx"}
    assert {scan.table for scan in scans} == {THIS_WEEK}
    assert rows_of(scans) == len(keys)


async def test_announced_results_are_found_by_their_time(explaining: Explaining) -> None:
    page = await listing.results_page(explaining, StatFilter(), PAGE)
    explaining.scans.clear()
    announced = [Announcement(row.recorded_at, f"{{[{row.id},{row.id + 1})}}", 1) for row in page.items]
    assert len(await explaining.fetch(ANNOUNCED_RESULTS, **columns(announced))) == len(announced)
    scans = explaining.of("results")
    assert {index_kind(scan) for scan in scans} == {"recorded_at_idx"}
    assert {scan.table for scan in scans} == {THIS_WEEK}
    assert rows_of(scans) == len(announced)


async def test_aggregates_of_30_days_read_days_and_less_than_two_hours_of_results(explaining: Explaining) -> None:
    wanted = StatFilter(window=MONTH, job_type="transcoding")
    assert await leaderboard.aggregates(explaining, wanted, (Dimension.ORCHESTRATOR, Dimension.REGION))
    assert rows_of(explaining.of("results")) <= 2 * PER_DAY / 24
    assert rows_of(explaining.of("daily_rollups")) <= 30 * TRANSCODING_CELLS
    assert rows_of(explaining.of("hourly_rollups")) <= 24 * TRANSCODING_CELLS
    assert all(scan.index for scan in explaining.scans if scan.table.endswith("rollups"))


async def test_aggregates_of_one_model_read_roll_ups_of_that_model(explaining: Explaining) -> None:
    wanted = StatFilter(window=DAY, job_type="ai", pipelines=(PIPELINE,), models=(MODEL,))
    assert await leaderboard.aggregates(explaining, wanted, (Dimension.ORCHESTRATOR,))
    rolled_up = [*explaining.of("hourly_rollups"), *explaining.of("daily_rollups")]
    assert {scan.index for scan in rolled_up} <= {"hourly_rollups_model", "daily_rollups_model"}
    assert 0 < rows_of(rolled_up) < PER_DAY / 10


async def test_pipelines_read_a_part_of_the_roll_ups_of_ai_models(explaining: Explaining) -> None:
    assert len(await leaderboard.pipelines(explaining, DAY, None)) == len(MODELS)
    rolled_up = [*explaining.of("hourly_rollups"), *explaining.of("daily_rollups")]
    assert {scan.index for scan in rolled_up} <= {"hourly_rollups_model", "daily_rollups_model"}
    assert 0 < rows_of(rolled_up) < PER_DAY / 5
    assert rows_of(explaining.of("results")) <= PER_DAY / 24


async def test_the_top_ai_score_reads_one_node_and_one_model(explaining: Explaining) -> None:
    assert await leaderboard.top_ai_score(explaining, NODE, DAY) is not None
    rolled_up = [*explaining.of("hourly_rollups"), *explaining.of("daily_rollups")]
    assert all(scan.index for scan in rolled_up)
    assert rows_of(rolled_up) < PER_DAY / 50
    assert rows_of(explaining.of("results")) < PER_DAY / 10


async def test_coverage_of_one_node_reads_its_own_past_by_day(explaining: Explaining) -> None:
    assert len(await coverage(explaining, NODE, DAY, UNTIL, limit=1)) == 1
    assert rows_of(explaining.of("results")) <= 4 * PER_DAY / 24


async def test_storing_looks_up_names_and_reads_no_results(db: Database) -> None:
    catalog = Catalog(db, ttl_s=60)
    stored = [a_result(number) for number in range(500)]
    await catalog.learn([item.result for item in stored])
    async with db.write.transaction() as transaction:
        explaining = Explaining(transaction)
        await insert_results(explaining, stored)
    assert not explaining.of("results")
    assert {scan.table for scan in explaining.scans} == {
        *("orchestrators", "regions", "models", "pipelines", "rollup_state")
    }
    assert rows_of(explaining.scans) <= 20 * len(stored)


def a_result(number: int) -> CheckedResult:
    """One of several nodes, half of them of AI jobs."""
    about = {"pipeline": PIPELINE, "model": MODEL} if number % 2 else {"seg_duration": 2.0}
    node = addresses(DATASET.seed)[number % 100]
    result = Result(region="FRA", orchestrator=node, success_rate=1, round_trip_time=1, **about)
    return CheckedResult(result, recorded_at=UNTIL)


def assert_only(scans: list[Scan], index: str) -> None:
    """Of the present week some are read by this index, of the coming ones none, and no other week is touched."""
    assert {index_kind(scan) for scan in scans} == {index}
    assert THIS_WEEK in {scan.table for scan in scans} <= {THIS_WEEK, *COMING_WEEKS}
    assert not rows_of([scan for scan in scans if scan.table in COMING_WEEKS])


def index_kind(scan: Scan) -> str | None:
    """The index of a week without the week's name; None where the week is read as a whole."""
    return scan.index and scan.index.removeprefix(f"{scan.table}_")


def rows_of(scans: list[Scan]) -> float:
    """How many rows were read."""
    return sum(scan.rows for scan in scans)
