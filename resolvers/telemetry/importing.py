"""Brings over what a database of the original of telemetry holds; safe to interrupt, and to repeat."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import timedelta
from time import monotonic

from db.pool import Connection, Database, Row, Runner
from db.statements import STATEMENTS
from resolvers.leaderboard_import import Counts
from resolvers.legacy_database import ImportFailed
from resolvers.telemetry.legacy import BENCHMARK_TABLES, CONNECTIONS, LOGS, Legacy
from resolvers.telemetry.retention import create_log_partitions
from resolvers.telemetry.storing import ADOPTED_AT_ONCE

OTHER_SOURCE = STATEMENTS["telemetry_import.other_source"]
LAST_ID = STATEMENTS["imports.last_id"]
BEGIN = STATEMENTS["telemetry_import.begin"]
MOVE = STATEMENTS["telemetry_import.move"]
STORE_CONNECTIONS = STATEMENTS["telemetry_import.store_connections"]
STORE_LOGS = STATEMENTS["telemetry_import.store_logs"]
NOTE_LOGS = STATEMENTS["telemetry_import.note_logs"]
ADOPT_LOGS = STATEMENTS["telemetry.adopt_logs"]
TAKEN = STATEMENTS["telemetry_import.taken"]
TAKE_IDS = STATEMENTS["telemetry_import.take_ids"]
STORE = {name: STATEMENTS[f"telemetry_import.store_{name}"] for name in BENCHMARK_TABLES}

PARTITIONS_EVERY_S = 1800.0
IDS_AT_ONCE = 100_000


class TelemetryImport:
    """One run of an import.

    `report` is told `table_opened` (table, rows to read) and `rows_taken` (table, Counts of a batch). How far a table
    has come is noted together with what was read of it, so that nothing is read twice, whenever a run ends.
    """

    def __init__(self, legacy: Legacy, db: Database, expiry: timedelta, report: Callable[..., None]) -> None:
        self._legacy = legacy
        self._db = db
        self._expiry = expiry
        self._report = report
        self._partitions_at = 0.0

    async def run(self, *, with_benchmarks: bool = True) -> dict[str, Counts]:
        """Import everything that is new since the last run; what was read, by table. ImportFailed when it cannot be."""
        if other := await self._db.write.fetchval(OTHER_SOURCE, source=self._source()):
            raise ImportFailed(
                f"telemetry was imported from another database before ({other.removeprefix('telemetry/')}),"
                " and ids of both would be the same: import into another podium"
            )
        last_ids = await self._legacy.last_ids()
        names = [name for name in BENCHMARK_TABLES if with_benchmarks and name in self._legacy.tables]
        for name in names:
            await self._check_ids(name, last_ids[name])
        done = {name: await self._import_benchmarks(name, last_ids[name]) for name in names}
        # A message is never older than its connection, so that those of all messages up to the last one are there.
        done[CONNECTIONS] = await self._import_connections(last_ids[CONNECTIONS])
        done[LOGS] = await self._import_logs(last_ids[LOGS])
        return done

    async def _check_ids(self, table: str, until: int) -> None:
        """Let podium's own rows have higher ids from now on; ImportFailed where some have ids of what is to come."""
        after = await self._db.write.fetchval(LAST_ID, source=self._source(table)) or 0
        ids = await self._legacy.ids(table, after, until)
        if not ids:
            return
        taken = await self._db.write.fetch(TAKEN.pick(taken=table), ids=ids)
        if not taken:
            await self._take_ids(table, max(ids))
            taken = await self._db.write.fetch(TAKEN.pick(taken=table), ids=ids)
        if taken:
            what = table.replace("_", " ")
            raise ImportFailed(
                f"podium has {what} of its own with ids that are to be imported ({taken[0].id}, {len(taken):,} in"
                " all): import into a podium that has none, or leave them out with --no-benchmarks"
            )

    async def _take_ids(self, table: str, until: int) -> None:
        statement, number = TAKE_IDS.pick(sequence=table), 1
        while number > 0:
            last = await self._db.write.fetchval(statement, number=number)
            number = min(until - last, IDS_AT_ONCE)

    async def _import_benchmarks(self, table: str, until: int) -> Counts:
        after = await self._begin(table)
        async with aclosing(await self._opened(table, after, until)) as pages:
            return await self._take_pages(table, after, pages)

    async def _take_pages(self, table: str, after: int, pages: AsyncGenerator[list[Row], None]) -> Counts:
        total = Counts()
        async for rows in pages:
            async with self._db.write.transaction() as transaction:
                await self._move(transaction, table, after, rows[-1].id)
                await transaction.fetch(STORE[table], rows=[row.value for row in rows])
            after = rows[-1].id
            total = self._taken(table, total, Counts(len(rows), imported=len(rows)))
        return total

    async def _import_connections(self, until: int) -> Counts:
        """All of them, also those of before: one may have said meanwhile who it is."""
        await self._begin(CONNECTIONS)
        total = Counts()
        async with aclosing(await self._opened(CONNECTIONS, 0, until)) as pages:
            async for rows in pages:
                new = await self._store_connections([row.value for row in rows])
                total = self._taken(CONNECTIONS, total, Counts(len(rows), imported=new, present=len(rows) - new))
        return total

    async def _store_connections(self, rows: list[str]) -> int:
        async with self._db.write.transaction() as transaction:
            stored = await transaction.fetch(STORE_CONNECTIONS, rows=rows)
            for row in stored:
                if row.is_identified:
                    await self._adopt(transaction, peer_id=row.peer_id, connection_id=row.id)
        return sum(row.is_new for row in stored)

    async def _adopt(self, transaction: Runner, **node: int) -> None:
        while await transaction.fetchval(ADOPT_LOGS, **node, batch=ADOPTED_AT_ONCE) >= ADOPTED_AT_ONCE:
            continue

    async def _import_logs(self, until: int) -> Counts:
        after, total = await self._begin(LOGS), Counts()
        self._report("table_opened", table=LOGS, rows=await self._legacy.count(LOGS, after, until))
        while rows := await self._legacy.logs(after, until):
            await self._make_partitions()
            await self._store_logs(after, rows)
            after = rows[-1].id
            total = self._taken(LOGS, total, Counts(len(rows), imported=len(rows)))
        return total

    async def _store_logs(self, after: int, rows: list[Row]) -> None:
        ids, connection_ids, times, messages = (list(column) for column in zip(*rows, strict=True))
        async with self._db.write.transaction() as transaction:
            await self._move(transaction, LOGS, after, ids[-1])
            await transaction.fetch(STORE_LOGS, ids=ids, connection_ids=connection_ids, times=times, messages=messages)
            await transaction.fetch(NOTE_LOGS, connection_ids=connection_ids, times=times)

    async def _make_partitions(self) -> None:
        """No gateway may run that makes them."""
        if not self._partitions_at or monotonic() > self._partitions_at + PARTITIONS_EVERY_S:
            await create_log_partitions(self._db, self._expiry)
            self._partitions_at = monotonic()

    async def _opened(self, table: str, after: int, until: int) -> AsyncGenerator[list[Row], None]:
        self._report("table_opened", table=table, rows=await self._legacy.count(table, after, until))
        return self._legacy.rows(table, after, until)

    def _taken(self, table: str, total: Counts, counts: Counts) -> Counts:
        self._report("rows_taken", table=table, counts=counts)
        return total.plus(counts)

    def _source(self, table: str = "") -> str:
        return f"telemetry/{self._legacy.identity}/{table}"

    async def _begin(self, table: str) -> int:
        return int(await self._db.write.fetchval(BEGIN, source=self._source(table)))

    async def _move(self, transaction: Connection, table: str, after: int, until: int) -> None:
        if await transaction.fetchval(MOVE, source=self._source(table), after=after, until=until) is None:
            raise ImportFailed("another import of the same database is going on: wait until it has ended")
