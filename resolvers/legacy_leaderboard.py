"""A database of the original leaderboard, read and never written: its tables, their rows, and the result in a row."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import orjson

from db.pool import Pool, Row
from db.statements import STATEMENTS, Statement
from resolvers.errors import InvalidArgument, InvalidRegion
from resolvers.legacy_database import ImportFailed, has_columns, identity, open_database, reading, tables
from resolvers.recording import CheckedResult
from resolvers.results import Result, check_result, result_from

REGIONS = STATEMENTS["legacy_leaderboard.regions"]
COUNT_EVENTS = STATEMENTS["legacy_leaderboard.count_events"]
EVENTS_PAGE = STATEMENTS["legacy_leaderboard.events"]
COUNT_REGION_TABLE = STATEMENTS["legacy_leaderboard.count_region_table"]
OPEN_REGION_TABLE = STATEMENTS["legacy_leaderboard.open_region_table"]
NEXT_OF_REGION_TABLE = STATEMENTS["legacy_leaderboard.next_of_region_table"]

EVENTS = "events"
BATCH_ROWS = 1000
BATCH_BYTES = 4 << 20
# Imported results have negative ids: events their own, each table before v1 a range that follows from its name.
IDS_PER_TABLE = 2**40

# What makes a table the original's and not somebody's who chose the same name; wider types do as well.
_V1_COLUMNS = {
    "job_types": {"id": "integer", "name": "character varying"},
    "regions": {
        "id": "integer",
        "name": "character varying",
        "display_name": "character varying",
        "job_type_id": "integer",
    },
    EVENTS: {
        "id": "integer",
        "event_time": "timestamp with time zone",
        "orchestrator": "character varying",
        "region_id": "integer",
        "payload": "jsonb",
    },
}
_REGION_TABLE_COLUMNS = {"id": "integer", "stats": "jsonb"}
# The tables before v1.
_REGION_TABLES = tuple(name.removeprefix("table.") for name in OPEN_REGION_TABLE.pieces if name.startswith("table."))

Regions = Collection[tuple[str, str]]


class LegacyTable(NamedTuple):
    """A table of results, with what identifies it among all tables of all servers."""

    name: str
    identity: str


class Legacy:
    """An open legacy database.

    Rows of results have id, orchestrator, region (a code, None where there is none), payload (JSON text), recorded_at
    (None before v1, and for a time that Python does not know) and is_copied: whether the row is among the events too.
    """

    def __init__(self, pool: Pool, tables: list[LegacyTable]) -> None:
        self._pool = pool
        self.tables = tables
        self._has_events = any(table.name == EVENTS for table in tables)

    async def regions(self) -> list[Row]:
        """The regions (code, job_type, name); a database before v1 has none."""
        if not self._has_events:
            return []
        async with reading(self._pool) as connection:
            return await connection.fetch(REGIONS)

    async def count(self, table: LegacyTable, after: int) -> int:
        """How many rows of the table have a higher id."""
        statement = COUNT_EVENTS if table.name == EVENTS else _of_table(COUNT_REGION_TABLE, table)
        async with reading(self._pool) as connection:
            return int(await connection.fetchval(statement, after=after))

    def batches(self, table: LegacyTable, after: int) -> AsyncGenerator[list[Row], None]:
        """The rows with a higher id in the order of their ids, about a thousand at a time; to be closed."""
        return self._events(after) if table.name == EVENTS else self._region_table(table, after)

    async def _events(self, after: int) -> AsyncGenerator[list[Row], None]:
        while True:
            async with reading(self._pool) as connection:
                rows = await connection.fetch(EVENTS_PAGE, after=after, rows=BATCH_ROWS, bytes=BATCH_BYTES)
            if not rows:
                return
            yield rows
            after = rows[-1].id

    async def _region_table(self, table: LegacyTable, after: int) -> AsyncGenerator[list[Row], None]:
        statement = _of_table(OPEN_REGION_TABLE, table, events="present" if self._has_events else "absent")
        async with reading(self._pool) as connection:
            await connection.fetch(statement, after=after, region=table.name.upper())
            while rows := await connection.fetch(NEXT_OF_REGION_TABLE):
                yield rows


@asynccontextmanager
async def open_legacy(url: str) -> AsyncIterator[Legacy]:
    """The legacy database at a connection URL; ImportFailed when it cannot be read or has nothing of the original."""
    async with open_database(url) as pool:
        found = await _tables(pool)
        if not found:
            raise ImportFailed("no table of the original leaderboard is in this database: check its name in the URL")
        yield Legacy(pool, found)


def place(table: str, row: Any, regions: Regions) -> CheckedResult:
    """The result in a row, as it is to be stored; InvalidArgument or InvalidRegion says why it cannot be."""
    columns = {"region": row.region, "orchestrator": (row.orchestrator or "").lower()}
    result = result_from(_fields(row.payload) | columns, may_hold_nul=False)
    check_result(result)
    _check_region(result, regions)
    return CheckedResult(result, imported_id(table, row.id), _recorded_at(table, row, result))


def imported_id(table: str, row_id: int) -> int:
    """The id of the result in a row, the same at every import; InvalidArgument for what no sequence counted."""
    if not 0 < row_id < IDS_PER_TABLE:
        raise InvalidArgument(f"id: a number from 1 to {IDS_PER_TABLE - 1}, not {row_id}", field="id")
    block = 0 if table == EVENTS else int(table, 36)
    return -(block * IDS_PER_TABLE + row_id)


def posted_at(result: Result) -> datetime | None:
    """The poster's time, None where there is none before the year 10000. Results of before v1 have no other."""
    try:
        return datetime.fromtimestamp(result.timestamp, UTC) if result.timestamp > 0 else None
    except (ValueError, OverflowError, OSError):
        return None


def _fields(payload: str | None) -> dict[str, Any]:
    try:
        fields = orjson.loads(payload or "null")
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"payload: {error.msg}", field="payload") from None
    if not isinstance(fields, dict):
        raise InvalidArgument("payload: it is no JSON object", field="payload")
    return fields


def _check_region(result: Result, regions: Regions) -> None:
    if not result.region:
        raise InvalidRegion("invalid region: the row has none", field="region")
    if (result.region, result.job_type) not in regions:
        reason = f"invalid region: {result.region} is not known for {result.job_type} jobs"
        raise InvalidRegion(reason, field="region")


def _recorded_at(table: str, row: Any, result: Result) -> datetime:
    name, time = ("event_time", row.recorded_at) if table == EVENTS else ("timestamp", posted_at(result))
    if time is None:
        raise InvalidArgument(f"{name}: the time of recording, before the year 10000", field=name)
    return cast(datetime, time)


async def _tables(pool: Pool) -> list[LegacyTable]:
    """The tables with results, events first; tables of others that bear the same name have other columns."""
    database = await identity(pool)
    rows = await tables(pool, [*_V1_COLUMNS, *_REGION_TABLES])
    found = {row.name: LegacyTable(row.name, f"{database}/{row.name}.{row.oid}") for row in rows if _is_original(row)}
    events = [found[EVENTS]] if found.keys() >= _V1_COLUMNS.keys() else []
    return events + [found[name] for name in _REGION_TABLES if name in found]


def _of_table(statement: Statement, table: LegacyTable, **choices: str) -> Statement:
    return statement.pick(table=table.name, **choices)


def _is_original(row: Row) -> bool:
    return has_columns(row, _V1_COLUMNS.get(row.name, _REGION_TABLE_COLUMNS))
