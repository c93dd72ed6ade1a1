"""A database of the original of telemetry, read and never written: its tables, and their rows by id."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from db.pool import Pool, Row
from db.statements import STATEMENTS
from resolvers.legacy_database import ImportFailed, has_columns, identity, open_database, reading, tables

LAST_ID = STATEMENTS["legacy_telemetry.last_id"]
WRITING = STATEMENTS["legacy_telemetry.writing"]
COUNT = STATEMENTS["legacy_telemetry.count"]
IDS = STATEMENTS["legacy_telemetry.ids"]
ROWS = STATEMENTS["legacy_telemetry.rows"]
LOGS_PAGE = STATEMENTS["legacy_telemetry.logs"]

CONNECTIONS, LOGS = "peer_connections", "substrate_logs"
HOST_SYSTEMS, BENCHMARKS, EVENTS = "host_systems", "benchmarks", "benchmark_events"
# In the order of what refers to what.
BENCHMARK_TABLES = (HOST_SYSTEMS, BENCHMARKS, EVENTS)
BATCH_ROWS = 1000
LOGS_ROWS = 5000
LOGS_BYTES = 4 << 20
PATIENCE_S = 60.0
LOOK_AGAIN_S = 0.1

# What makes a table the original's. All versions have these columns; some have no tables of benchmarks.
_COLUMNS = {
    CONNECTIONS: {
        "id": "integer",
        "ip_addr": "character varying",
        "peer_id": "character varying",
        "created_at": "timestamp without time zone",
    },
    LOGS: {
        "id": "integer",
        "created_at": "timestamp without time zone",
        "logs": "jsonb",
        "peer_connection_id": "integer",
    },
    HOST_SYSTEMS: {"id": "integer", "description": "character varying", "os": "character varying"},
    BENCHMARKS: {"id": "integer"},
    EVENTS: {"id": "integer", "benchmark_id": "integer", "name": "character varying", "phase": "character varying"},
}


class Legacy:
    """An open legacy database: its identity, and the names of its tables. Rows are read up to an id that `last_ids` has
    found, and are those that there will ever be up to there.
    """

    def __init__(self, pool: Pool, identity: str, names: frozenset[str]) -> None:
        self._pool = pool
        self.identity = identity
        self.tables = names

    async def last_ids(self) -> dict[str, int]:
        """The highest id of each table, when no transaction goes on any more that may have a lower one."""
        async with reading(self._pool) as connection:
            last_ids = {name: int(await connection.fetchval(LAST_ID.pick(table=name))) for name in self.tables}
        await self._until_have_ended(await self._writing())
        return last_ids

    async def count(self, table: str, after: int, until: int) -> int:
        """How many rows of the table have ids between these."""
        async with reading(self._pool) as connection:
            return int(await connection.fetchval(COUNT.pick(table=table), after=after, until=until))

    async def ids(self, table: str, after: int, until: int) -> list[int]:
        """All ids between these, of a small table."""
        async with reading(self._pool) as connection:
            return [row.id for row in await connection.fetch(IDS.pick(table=table), after=after, until=until)]

    async def rows(self, table: str, after: int, until: int) -> AsyncGenerator[list[Row], None]:
        """Rows by id, a thousand at a time: id, and value, a text that is a JSON object."""
        while rows := await self._page(table, after, until):
            yield rows
            after = rows[-1].id

    async def logs(self, after: int, until: int) -> list[Row]:
        """The next messages by id (id, peer_connection_id, created_at, message), all but the first as texts."""
        async with reading(self._pool) as connection:
            return await connection.fetch(LOGS_PAGE, after=after, until=until, rows=LOGS_ROWS, bytes=LOGS_BYTES)

    async def _page(self, table: str, after: int, until: int) -> list[Row]:
        async with reading(self._pool) as connection:
            return await connection.fetch(ROWS.pick(table=table), after=after, until=until, rows=BATCH_ROWS)

    async def _until_have_ended(self, transactions: set[str]) -> None:
        deadline = monotonic() + PATIENCE_S
        while transactions & await self._writing():
            if monotonic() > deadline:
                said = f"a transaction has been writing to the legacy database for {PATIENCE_S:.0f} s"
                raise ImportFailed(f"{said}: end it, or run the import again when it has ended")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _writing(self) -> set[str]:
        async with reading(self._pool) as connection:
            return {row.transaction for row in await connection.fetch(WRITING, names=list(self.tables))}


@asynccontextmanager
async def open_legacy(url: str) -> AsyncIterator[Legacy]:
    """The legacy database at a connection URL; ImportFailed when it cannot be read or is not the original's."""
    async with open_database(url) as pool:
        found = {row.name: row for row in await tables(pool, _COLUMNS)}
        names = frozenset(name for name, row in found.items() if has_columns(row, _COLUMNS[name]))
        if missing := [name for name in (CONNECTIONS, LOGS) if name not in names]:
            what = f"no table {missing[0]} of the original of telemetry is in this database"
            raise ImportFailed(f"{what}: check its name in the URL")
        oid = found[LOGS].oid
        yield Legacy(pool, f"{await identity(pool)}.{oid}", names)
