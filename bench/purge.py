"""`podium bench purge`: how long it takes to let go of many messages of nodes, and how long those who store wait."""

import argparse
import asyncio
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import uvloop

from db.embedded import EmbeddedPostgres
from db.migrate import migrate
from db.pool import Database, Pool, PoolOptions
from db.vacuuming import vacuum
from resolvers.errors import from_driver
from resolvers.telemetry.retention import create_log_partitions, purge

EXPIRY = timedelta(hours=1)
WIDE = timedelta(days=9000)  # all messages are in one partition, which is the hardest case
PART = 100_000
ROWS_PER_COPY, INTERVAL_S = 1000, 0.02
BASELINE_S = 10.0
COLUMNS = ("id", "peer_id", "connection_id", "ts", "is_audit", "type", "target", "message")
MESSAGE = """{"id": 1, "ts": "2026-11-30T12:00:00.123456789+00:00", "level": "INFO", "msg": "%s", "target": "sync",
 "best": "0x6f9a1c5d7e3b42a8905fd1ce47b08a63d2f1907c3e5b8a46d0c9e7f215834ab6", "height": %d, "peers": 25,
 "finalized_hash": "0x1b7e4c90a2d85f36e1c07b9d4a8f25e3605d9c1f7b3a84e2d6c0f91857a3be42", "finalized_height": %d}"""
FILL = """
INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, stored_at, is_audit, type, target, message)
SELECT n, n % 50 + 1, n % 50 + 1, $3::timestamptz + $4::interval * (n - $1),
  $3::timestamptz + $4::interval * (n - n % 500 - $1), false,
  'type.' || n % 12, 'sync', replace(replace($5, '%s', 'type.' || n % 12), '%d', n::text)::jsonb
FROM generate_series($1::bigint, $2::bigint) AS n
"""
SIZE = """
SELECT sum(pg_table_size(relid))::bigint AS rows, sum(pg_indexes_size(relid))::bigint AS indexes
FROM pg_partition_tree('podium.peer_logs') WHERE isleaf
"""


class Storing:
    """Stores messages as a gateway does, and notes how long each COPY takes."""

    def __init__(self, connection: Any, first_id: int) -> None:
        self._connection = connection
        self._id = first_id
        self.waits_s: list[float] = []

    async def run(self) -> None:
        """Store 1,000 every 20 ms, until cancelled."""
        while True:
            began = monotonic()
            await self.copy()
            self.waits_s.append(monotonic() - began)
            await asyncio.sleep(max(0.0, began + INTERVAL_S - monotonic()))

    async def copy(self) -> None:
        """Store 1,000."""
        now, ids = datetime.now(UTC), range(self._id, self._id + ROWS_PER_COPY)
        self._id += ROWS_PER_COPY
        rows = [
            (n, n % 50 + 1, n % 50 + 1, now, False, f"type.{n % 12}", "sync", MESSAGE % (f"type.{n % 12}", n, n))
            for n in ids
        ]
        await self._connection.copy_records_to_table("peer_logs", schema_name="podium", columns=COLUMNS, records=rows)

    def take(self) -> str:
        """How long they took since the last call, and how many were stored."""
        waits_s, self.waits_s = sorted(self.waits_s), []
        p99_s = waits_s[len(waits_s) * 99 // 100]
        return f"{len(waits_s) * ROWS_PER_COPY:,} stored meanwhile, p99 {p99_s:.3f} s, longest {waits_s[-1]:.3f} s"


async def run(given: argparse.Namespace, directory: Path) -> None:
    """Measure, and print what was found."""
    async with AsyncExitStack() as stack:
        logins = (await stack.enter_async_context(EmbeddedPostgres(directory))).logins
        await migrate(logins.owner)
        pool = Pool(logins.writer, PoolOptions(size=2, timeout_s=20), from_driver)
        await pool.open()
        stack.push_async_callback(pool.close)
        db = Database(write=pool, read=pool)
        await create_log_partitions(db, WIDE)
        watching, connection = [await asyncpg.connect(logins.superuser) for _ in range(2)]
        await _fill(watching, given.logs, given.expired)
        storing = Storing(connection, given.logs + 1)
        await _measure(db, logins.writer, watching, storing)
        await _store(watching, storing, given.expired)
        await connection.close()
        await watching.close()


async def _fill(connection: Any, logs: int, expired: int) -> None:
    began = monotonic()
    now = await connection.fetchval("SELECT now()")
    # Half of the hour before it expires is over when everything is measured.
    apart = {True: EXPIRY / 2 / expired, False: EXPIRY / 2 / (logs - expired)}
    for first in range(1, logs + 1, PART):
        is_expired = first <= expired
        place = first if is_expired else first - expired
        since = now - EXPIRY * 3 / 2 if is_expired else now - EXPIRY / 2
        last = min(first + PART - 1, expired if is_expired else logs)
        await connection.execute(
            FILL, first, last, since + apart[is_expired] * place, apart[is_expired], MESSAGE, timeout=600
        )
    print(f"{logs:,} messages, {expired:,} of them expired; filled in {monotonic() - began:.0f} s")
    for command in ("VACUUM ANALYZE podium.peer_logs", "CHECKPOINT"):
        await connection.execute(command, timeout=1200)
    await _print_size(connection, "before")


async def _measure(db: Database, url: str, connection: Any, storing: Storing) -> None:
    task = asyncio.create_task(storing.run())
    await asyncio.sleep(BASELINE_S)
    print(f"without a purge: {storing.take()}")
    purged: dict[str, int] = {}

    def report(event: str, count: int = 0, **facts: Any) -> None:
        purged[event] = purged.get(event, 0) + count

    async def timed_vacuum(command: str) -> None:
        print(f"trimmed after {monotonic() - began:.1f} s: {storing.take()}")
        await vacuum(url, command)

    began = monotonic()
    await purge(db, EXPIRY, timed_vacuum, report)
    print(f"vacuumed after {monotonic() - began:.1f} s: {storing.take()}; {purged}")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await _print_size(connection, "after the purge")


async def _store(connection: Any, storing: Storing, number: int) -> None:
    for _ in range(0, number, ROWS_PER_COPY):
        await storing.copy()
    await _print_size(connection, f"after {number:,} more")


async def _print_size(connection: Any, when: str) -> None:
    size = await connection.fetchrow(SIZE)
    logs = await connection.fetchval("SELECT count(*) FROM podium.peer_logs", timeout=600)
    sizes = f"{size['rows'] / 2**20:,.0f} MiB, indexes {size['indexes'] / 2**20:,.0f} MiB"
    print(f"{when}: {logs:,} messages, {sizes}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="podium bench purge", description=__doc__)
    parser.add_argument("--logs", type=int, default=10_000_000, help="how many messages, 10,000,000 unless given")
    parser.add_argument("--expired", type=int, default=1_000_000, help="how many of them, 1,000,000 unless given")
    parser.add_argument("--directory", type=Path, help="for the database, which takes 1 GiB per million messages")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="podium-bench-", dir=given.directory) as directory:
        uvloop.run(run(given, Path(directory)))


if __name__ == "__main__":
    main()
