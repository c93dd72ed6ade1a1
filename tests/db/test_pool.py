"""The way of times to Postgres and back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import pytest

from db.pool import Pool, PoolOptions
from db.statements import parse
from tests.harness import Database

ECHO = parse("times", "-- name: echo(time, times)\nSELECT $1::timestamptz AS time, $2::timestamptz[] AS times")
TIMES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    None,
]


@pytest.fixture(params=[False, True], ids=["directly", "as_through_pgbouncer"])
async def pool(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    """A pool on a database that shows times in another zone and form."""
    connection = await asyncpg.connect(database.logins.superuser)
    await connection.execute(f"ALTER DATABASE {database.name} SET timezone = 'Asia/Kolkata'")
    await connection.execute(f"ALTER DATABASE {database.name} SET datestyle = 'SQL, DMY'")
    await connection.close()
    options = PoolOptions(1, timeout_s=10, pooled_by_pgbouncer=request.param)
    pool = Pool(database.logins.reader, options, lambda error: error)
    await pool.open()
    yield pool
    await pool.close()


@pytest.mark.parametrize("time", TIMES)
async def test_times_come_back_to_the_microsecond_and_in_utc(pool: Pool, time: datetime | None) -> None:
    (row,) = await pool.fetch(ECHO["times.echo"], time=time, times=TIMES)
    assert (row.time, row.times) == (time, TIMES)
    assert {found.tzinfo for found in [row.time, *row.times] if found} <= {UTC}


async def test_a_time_with_an_offset_is_the_same_time(pool: Pool) -> None:
    time = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    (row,) = await pool.fetch(ECHO["times.echo"], time=time, times=[])
    assert row.time == time
    assert row.time.tzinfo is UTC


async def test_a_time_without_an_offset_is_refused(pool: Pool) -> None:
    with pytest.raises(asyncpg.DataError, match="without an offset"):
        await pool.fetch(ECHO["times.echo"], time=datetime(2026, 11, 22), times=[])  # noqa: DTZ001
