"""Viewers and streams are found by an index, however many there are."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest

from db.pool import Pool, PoolOptions
from resolvers.errors import from_driver
from resolvers.streams.deciding import Ask, Rules, decide
from resolvers.streams.tidying import expire, forget_unused
from resolvers.streams.viewers import viewers_by_id
from tests import harness
from tests.db.plans import Explaining

FILL = """
INSERT INTO podium.viewers (id, is_used, active, expires_at)
SELECT 'viewer-' || i, i % 1000 > 0, '{"x": [0, null]}', CASE i % 1000 WHEN 1 THEN now() + i * interval '1 hour' END
FROM generate_series(1, 50000) AS i;
INSERT INTO podium.streams (id, is_used) SELECT 'stream-' || i, i % 1000 > 0 FROM generate_series(1, 20000) AS i;
"""


@pytest.fixture(scope="module")
async def db(shared_database: harness.Database) -> AsyncIterator[Pool]:
    """The writer's pool, before many viewers."""
    connection = await asyncpg.connect(shared_database.logins.superuser)
    await connection.execute(FILL)
    await connection.execute("VACUUM ANALYZE podium.viewers, podium.streams")
    await connection.close()
    pool = Pool(shared_database.logins.writer, PoolOptions(size=1, timeout_s=10), from_driver)
    await pool.open()
    yield pool
    await pool.close()


def asks(numbers: Sequence[int]) -> list[Ask]:
    return [Ask(f"viewer-{number}", f"stream-{number}", activates=True) for number in numbers]


@pytest.mark.parametrize("number", [1, 16, 200])
async def test_a_decision_reads_the_rows_that_it_is_about(db: Pool, number: int) -> None:
    explaining = Explaining(db)
    for _ in range(7):  # from the sixth on, by a plan for any values
        await decide(explaining, asks(range(2, 2 + number)), Rules(3, 60))
    assert {scan.index for scan in explaining.scans} <= {"viewers_pkey", "streams_pkey"}
    assert max(scan.rows for scan in explaining.scans) <= number


async def test_a_viewer_is_found_by_its_id(db: Pool) -> None:
    explaining = Explaining(db)
    await viewers_by_id(explaining, ["viewer-7"], default_limit=3)
    assert [scan.index for scan in explaining.scans] == ["viewers_pkey"]


async def test_leases_and_unused_ids_are_looked_for_among_themselves(db: Pool) -> None:
    explaining = Explaining(db)
    await expire(explaining)
    await forget_unused(explaining, 60, lambda *_, **__: None)
    found = {scan.index for scan in explaining.scans}
    assert found == {"viewers_expires_at", "viewers_unused", "streams_unused"}
