"""The targets of a benchmark: looked up one after the other, however many logs there are."""

from collections.abc import AsyncIterator

import pytest

from db.pool import Pool, PoolOptions
from resolvers.benchmarks import targets_of
from resolvers.errors import from_driver
from tests.db.plans import Explaining
from tests.harness import Database

# In three partitions, 20,000 logs of each of two nodes: 3 targets, and of every 1,000th a long one.
FILL = """
SELECT podium.create_peer_log_partitions('7 days', now() + interval '20 days');
INSERT INTO podium.peers (id, peer_id) OVERRIDING SYSTEM VALUE VALUES (1, 'Qm1'), (2, 'Qm2');
INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, stored_at, is_audit, type, target, message)
SELECT n, 1 + n % 2, 1, now(), now() + n % 3 * interval '7 days', false, 'x', left(target, 128),
  jsonb_build_object('msg', 'x', 'target', target)
FROM generate_series(1, 40000) AS n, LATERAL (
  SELECT CASE WHEN n % 1000 < 2 THEN repeat('l', 150) ELSE 'target ' || n % 3 END AS target
) AS named;
ANALYZE podium.peer_logs;
"""


@pytest.fixture
async def explaining(database: Database) -> AsyncIterator[Explaining]:
    """What reads as a gateway does, and notes what it reads."""
    logins = database.logins
    superuser = Pool(logins.superuser, PoolOptions(size=1, timeout_s=60), from_driver)
    reader = Pool(logins.reader, PoolOptions(size=1, timeout_s=60, for_questions=True), from_driver)
    await superuser.open()
    async with superuser.connection() as connection:
        await connection._connection.execute(FILL)
    await superuser.close()
    await reader.open()
    yield Explaining(reader)
    await reader.close()


async def test_targets_cost_as_many_steps_as_there_are_targets(explaining: Explaining) -> None:
    whole = ["l" * 150, "target 0", "target 1", "target 2"]
    assert await targets_of(explaining, ["Qm1", None, "Qm2", "Qm3", "Qm1"]) == [whole, [], whole, [], whole]
    scans = explaining.of("peer_logs")
    assert not [scan for scan in scans if scan.rows and not (scan.index or "").endswith("_peer_id_target_type_ts_idx")]
    assert 80 < sum(scan.rows for scan in scans) < 130  # 80 of them have the long target
