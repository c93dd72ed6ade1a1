"""What a result takes on disk is counted over all of its partitions and indexes."""

from datetime import UTC, datetime

import asyncpg

from bench.generate import Dataset, fill
from bench.size import size
from tests.harness import Database

RESULTS = 20_000
ROLLUPS = "SELECT pg_total_relation_size('podium.hourly_rollups') + pg_total_relation_size('podium.daily_rollups')"
WEEKS = """
SELECT sum(pg_table_size(oid))::bigint, sum(pg_indexes_size(oid))::bigint FROM pg_class
WHERE relispartition AND relkind = 'r' AND relname LIKE 'results%'
"""


async def test_a_result_takes_its_share_of_all_partitions(database: Database, connection: asyncpg.Connection) -> None:
    await fill(database.logins.superuser, Dataset(RESULTS, datetime.now(UTC)))
    found = await size(database.logins.superuser)
    rows, indexes = await connection.fetchrow(WEEKS)
    assert (found.row, found.indexes) == (rows / RESULTS, indexes / RESULTS)
    assert found.row / 2 < found.bare_row < found.row
    assert found.rollups == await connection.fetchval(ROLLUPS) / RESULTS > 10
