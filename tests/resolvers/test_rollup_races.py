"""Roll-ups where many write at once: importers, posters, administrators, and a podium of before there were any."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from random import Random

import asyncpg
import pytest

from db.pool import Database, Pool, PoolOptions
from resolvers import administration, leaderboard, rollups
from resolvers.aggregation import Dimension
from resolvers.catalog import Catalog
from resolvers.errors import from_driver
from resolvers.filters import StatFilter, Window
from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from resolvers.rollups import DAY, HOUR
from tests import harness
from tests.resolvers.plain import ADDRESSES, MODELS, NOW

LATER = datetime(2126, 3, 4, tzinfo=UTC)
DEED = administration.Deed("tester", "a test")
INSERT_AS_BEFORE = """INSERT INTO podium.results
  (recorded_at, timestamp, success_rate, round_trip_time, orchestrator_id, region_id)
  SELECT $1, 0, 1, 1, orchestrator_id, region_id FROM podium.results LIMIT 1"""
COUNTED = "SELECT count(*) FROM podium.results WHERE withdrawal_id IS NULL"
WAITING = """SELECT count(*) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
  WHERE NOT l.granted AND a.datname = current_database()"""


@asynccontextmanager
async def opened(database: harness.Database, *, is_pooled: bool = False) -> AsyncIterator[Database]:
    """What another gateway writes with."""
    options = PoolOptions(size=2, timeout_s=10, for_questions=True, pooled_by_pgbouncer=is_pooled)
    pool = Pool(database.logins.writer, options, from_driver)
    await pool.open()
    yield Database(write=pool, read=pool)
    await pool.close()


async def wrong_cells(db: Database) -> int:
    """How many roll-ups are not what results come to."""
    return sum([day.wrong_cells async for day in rollups.check(db.write, Window())])


async def samples(db: Database) -> int:
    """How many results there are by roll-ups."""
    return sum(group.samples for group in await leaderboard.aggregates(db.read, StatFilter(), ()))


def imported(rng: Random, ids: Sequence[int]) -> list[CheckedResult]:
    """Results as an import brings them: of any time, on the edges of hours and days among them."""

    def one(number: int) -> CheckedResult:
        pipeline, model = rng.choice(MODELS)
        at = rng.choice((NOW, datetime(1999, 12, 30, tzinfo=UTC), LATER)) + rng.randrange(72) * HOUR
        at += timedelta(microseconds=rng.choice((-1, 0, 0, 1, rng.randrange(3600 * 10**6))))
        named = Result("FRA", rng.choice(ADDRESSES), rng.random(), rng.random(), pipeline=pipeline, model=model)
        return CheckedResult(named, -number, at)

    return [one(number) for number in ids]


@pytest.mark.parametrize("seed", range(3))
async def test_roll_ups_are_right_after_imports_out_of_order_and_withdrawals_in_between(
    database: harness.Database, db: Database, connection: asyncpg.Connection, seed: int
) -> None:
    rng = Random(seed)
    results = imported(rng, range(1, 601))

    async def bring(other: Database) -> None:
        own = rng.sample(results, len(results))  # both bring all, each in an order of its own
        catalog = Catalog(other, ttl_s=60)
        while own:
            size = rng.randrange(1, 40)
            await store_results(other, catalog, sorted(own[:size], key=attrgetter("id"), reverse=True))
            own = own[size:]

    async def withdraw_and_restore() -> None:
        wanted = StatFilter(Window(since=NOW + rng.randrange(48) * HOUR), orchestrators=(rng.choice(ADDRESSES),))
        outcome = await administration.withdraw_matching(db.write, wanted, DEED)
        if outcome.entry is not None and rng.random() < 0.7:
            await administration.restore(db.write, outcome.entry.id, DEED)

    async with opened(database) as other:
        bringing = asyncio.gather(bring(db), bring(other))
        while not bringing.done():
            await withdraw_and_restore()
        await bringing
        assert await wrong_cells(db) == 0
        assert await samples(db) == await connection.fetchval(COUNTED) > 0


async def test_those_who_store_the_same_cells_in_opposite_orders_never_wait_for_each_other(
    database: harness.Database, db: Database
) -> None:
    times = [NOW + n * 5 * HOUR for n in range(20)]
    results = [CheckedResult(Result("FRA", address, 1, 1), None, at) for at in times for address in ADDRESSES]

    async def store(own: Database, ordered: Sequence[CheckedResult]) -> None:
        catalog = Catalog(own, ttl_s=60)
        for _ in range(40):
            await store_results(own, catalog, ordered)

    async with opened(database) as other:
        await store_results(db, Catalog(db, ttl_s=60), results)  # which makes the partitions
        await asyncio.gather(store(db, results), store(other, results[::-1]))
        assert await samples(db) == 81 * len(results)
        assert await wrong_cells(db) == 0


async def test_an_import_that_finds_what_is_being_withdrawn_waits_for_its_end(
    database: harness.Database, db: Database, connection: asyncpg.Connection
) -> None:
    results = imported(Random(1), range(1, 20))
    catalog = Catalog(db, ttl_s=60)
    keys = await store_results(db, catalog, results)
    async with opened(database) as other:
        async with db.write.transaction() as transaction:
            entry = await transaction.fetchrow(
                administration.WITHDRAW_BY_KEY,
                orchestrators=[key.orchestrator for key in keys],
                recorded_ats=[key.recorded_at for key in keys],
                ids=[key.id for key in keys],
                actor="tester",
                reason="a test",
                details=b"{}",
            )
            again = asyncio.create_task(store_results(other, catalog, imported(Random(1), range(1, 30))))
            while not await connection.fetchval(WAITING):
                assert not again.done()
            assert entry is not None
            await rollups.roll_up(transaction, rollups.cells_of(entry))
        assert len(await again) == 10
    assert await wrong_cells(db) == 0
    assert await samples(db) == 10


async def test_posts_wait_for_no_withdrawal_from_other_days(
    database: harness.Database, db: Database, connection: asyncpg.Connection
) -> None:
    catalog = Catalog(db, ttl_s=60)
    old, new = [[CheckedResult(Result("FRA", "0xa", 1, n), -n, NOW + n * HOUR)] for n in (1, 2)]
    await store_results(db, catalog, old)
    cell = await connection.fetchrow("SELECT bucket, orchestrator_id, region_id, model_id FROM podium.hourly_rollups")
    async with opened(database) as other:
        async with db.write.transaction() as transaction:
            await rollups.roll_up(transaction, [rollups.Cell(*cell)])
            await store_results(other, catalog, [CheckedResult(Result("FRA", "0xa", 1, 1))])
            into_that_day = asyncio.create_task(store_results(other, catalog, new))
            while not await connection.fetchval(WAITING):
                assert not into_that_day.done()
        await into_that_day
    assert await wrong_cells(db) == 0


async def test_nobody_who_posts_is_refused_while_results_are_withdrawn(
    database: harness.Database, db: Database
) -> None:
    await store_results(db, Catalog(db, ttl_s=60), imported(Random(1), range(1, 1001)))
    posted = 0

    async def post(own: Database, until: asyncio.Task[None]) -> None:
        nonlocal posted
        catalog = Catalog(own, ttl_s=60)
        while not until.done():
            await store_results(own, catalog, [CheckedResult(Result("FRA", address, 1, 1)) for address in ADDRESSES])
            posted += len(ADDRESSES)

    async def withdraw_all_and_restore() -> None:
        for address in ADDRESSES * 3:
            wanted = StatFilter(Window(since=NOW - DAY, until=NOW + 9 * DAY), orchestrators=(address,))
            outcome = await administration.withdraw_matching(db.write, wanted, DEED)
            assert outcome.entry is not None
            await administration.restore(db.write, outcome.entry.id, DEED)

    async with opened(database) as first, opened(database) as second:
        withdrawing = asyncio.create_task(withdraw_all_and_restore())
        await asyncio.gather(post(first, withdrawing), post(second, withdrawing))
        await withdrawing
    assert await samples(db) == 1000 + posted
    assert await wrong_cells(db) == 0


async def test_what_a_podium_of_before_roll_ups_stores_meanwhile_is_repaired(
    db: Database, connection: asyncpg.Connection
) -> None:
    await store_results(db, Catalog(db, ttl_s=60), [CheckedResult(Result("FRA", "0xa", 1, 1))])
    for at in (datetime.now(UTC), datetime.now(UTC) - DAY, datetime.now(UTC) - DAY + HOUR):
        await connection.execute(INSERT_AS_BEFORE, at)
    await connection.execute(
        "UPDATE podium.results SET withdrawal_id = 1 WHERE id = (SELECT min(id) FROM podium.results)"
    )
    assert await wrong_cells(db) > 0
    reported: list[str] = []
    await rollups.repair(db, lambda event, **facts: reported.append(event))
    assert set(reported) == {"rollups_repaired"}
    assert await wrong_cells(db) == 0
    assert await samples(db) == 3


async def test_hours_and_days_are_those_of_utc_in_sessions_of_any_zone(
    database: harness.Database, db: Database, connection: asyncpg.Connection
) -> None:
    await connection.execute(f"ALTER DATABASE {database.name} SET timezone = 'Asia/Kathmandu'")
    results = imported(Random(2), range(1, 200))
    async with opened(database, is_pooled=True) as elsewhere:  # a pool that says nothing about zones
        await store_results(elsewhere, Catalog(elsewhere, ttl_s=60), results)
        assert await wrong_cells(elsewhere) == await wrong_cells(db) == 0
        assert {row["bucket"].hour for row in await connection.fetch("SELECT bucket FROM podium.daily_rollups")} == {0}
        await rollups.rebuild(elsewhere, Window(), lambda event, **facts: None)
        assert await wrong_cells(db) == 0
        wanted = StatFilter(Window(NOW - DAY, NOW + 2 * DAY + HOUR))
        here, there = [await leaderboard.aggregates(d.read, wanted, tuple(Dimension)) for d in (db, elsewhere)]
        assert here == there
