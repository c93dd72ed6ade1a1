"""A pool on the test's database, and a way to fill it anew for each random example."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from db.pool import Database, Pool, PoolOptions
from resolvers.catalog import Catalog
from resolvers.errors import from_driver
from resolvers.recording import CheckedResult, store_results
from tests import harness
from tests.resolvers.plain import Recorded

EXAMPLES = settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

Record = Callable[[Sequence[Recorded]], Awaitable[None]]


@pytest.fixture
async def db(database: harness.Database) -> AsyncIterator[Database]:
    """The writer's pool; questions are planned for their values, as the reader's are."""
    options = PoolOptions(size=2, timeout_s=10, for_questions=True)
    pool = Pool(database.logins.writer, options, from_driver)
    await pool.open()
    yield Database(write=pool, read=pool)
    await pool.close()


@pytest.fixture
def record(db: Database, connection: asyncpg.Connection) -> Record:
    """Replaces all results by these."""
    catalog = Catalog(db, ttl_s=60)

    async def record(records: Sequence[Recorded]) -> None:
        await connection.execute("TRUNCATE podium.results, podium.hourly_rollups, podium.daily_rollups")
        if records:
            await store_results(db, catalog, [CheckedResult(result, recorded_at=at) for result, at in records])

    return record
