"""Brings over what a database of the original leaderboard holds; safe to interrupt, and to repeat."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import asyncpg
import orjson

from db.pool import Database, Row
from db.statements import STATEMENTS
from resolvers.catalog import Catalog
from resolvers.errors import InvalidArgument, InvalidRegion, PodiumError
from resolvers.legacy_leaderboard import EVENTS, Legacy, LegacyTable
from resolvers.recording import PlacedResult, store_results
from resolvers.results import Result, check_result, result_from

LAST_ID = STATEMENTS["imports.last_id"]
ADVANCE = STATEMENTS["imports.advance"]
COUNT_STORED = STATEMENTS["imports.count_stored"]

FIRST_ID = -(2**63)
# A row can be committed after rows with higher ids, so the last ones of the run before are read once more.
OVERLAP = 1000
# Imported results have negative ids: events their own, each table before v1 a range that follows from its name.
IDS_PER_TABLE = 2**40

# What is said when it is the row that is wrong, and not the database or podium.
_ROW_ERRORS = (
    InvalidArgument,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)

RegionIds = Mapping[tuple[str, str], int]


class Refusal(NamedTuple):
    """A row that cannot be taken, why, and its payload as JSON text."""

    table: str
    id: int
    reason: str
    payload: str | None


class _Sound(NamedTuple):
    row: Row
    placed: PlacedResult


class Counts(NamedTuple):
    """Of the rows that were read: those that are new here, those that are here already, those that were refused."""

    read: int = 0
    imported: int = 0
    present: int = 0
    refused: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """The sum of both."""
        return Counts(*map(sum, zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Summary:
    """What an import did: rows by table, regions that were read, and those of them that are new here."""

    tables: dict[str, Counts]
    regions: int
    new_regions: int

    @property
    def total(self) -> Counts:
        """The counts of all tables."""
        total = Counts()
        for counts in self.tables.values():
            total = total.plus(counts)
        return total


class Target:
    """Podium's side of an import."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._catalog = Catalog(db, ttl_s=60)

    async def last_id(self, source: str) -> int:
        """Up to which id a source has been read."""
        last_id = await self._db.write.fetchval(LAST_ID, source=source)
        return FIRST_ID if last_id is None else int(last_id)

    async def region_ids(self) -> dict[tuple[str, str], int]:
        """The ids of the regions by code and job type."""
        return {(region.code, region.job_type): region.id for region in await self._catalog.regions()}

    async def register(self, regions: Sequence[Row]) -> RegionIds:
        """Add the regions that are not known yet; the ids of all."""
        for region in regions:
            await self._catalog.register_regions({region.code: region.name}, region.job_type)
        return await self.region_ids()

    async def store(self, placed: Sequence[PlacedResult]) -> int:
        """Store results; how many of them are new."""
        return len(await store_results(self._db, self._catalog, placed))

    async def advance(self, source: str, last_id: int) -> None:
        """Note up to which id a source has been read."""
        await self._db.write.fetch(ADVANCE, source=source, last_id=last_id)


class Rehearsal(Target):
    """Answers as podium would, and writes nothing."""

    async def register(self, regions: Sequence[Row]) -> RegionIds:
        """The ids of all regions, as if those that are not known yet had one."""
        return {(region.code, region.job_type): 0 for region in regions} | await self.region_ids()

    async def store(self, placed: Sequence[PlacedResult]) -> int:
        """How many results would be new."""
        stored = await self._db.write.fetchval(
            COUNT_STORED,
            addresses=[item.result.orchestrator for item in placed],
            recorded_ats=[item.recorded_at for item in placed],
            ids=[item.id for item in placed],
        )
        return len(placed) - int(stored)

    async def advance(self, source: str, last_id: int) -> None:
        """Nothing."""


class Import:
    """One run of an import.

    `report` is told `table_opened` (table, rows to read), `rows_taken` (table, Counts of a batch) and `row_refused`
    (refusal). What was stored when a run ends early is passed over by the next, or found to be there.
    """

    def __init__(self, legacy: Legacy, target: Target, report: Callable[..., None]) -> None:
        self._legacy = legacy
        self._target = target
        self._report = report
        self._regions: RegionIds = {}

    async def run(self, *, from_start: bool = False) -> Summary:
        """Import everything that is new since the last run, or look at everything again."""
        known = await self._target.region_ids()
        regions = await self._legacy.regions()
        self._regions = await self._target.register(regions)
        tables = {table.name: await self._import(table, from_start) for table in self._legacy.tables}
        return Summary(tables, len(regions), len(self._regions.keys() - known.keys()))

    async def _import(self, table: LegacyTable, from_start: bool) -> Counts:
        last_id = FIRST_ID if from_start else await self._target.last_id(table.identity)
        after, counts = max(FIRST_ID, last_id - OVERLAP), Counts()
        self._report("table_opened", table=table.name, rows=await self._legacy.count(table, after))
        async with aclosing(self._legacy.batches(table, after)) as batches:
            async for rows in batches:
                taken = await self._take(table.name, rows)
                # After the results and not with them: a crash in between has the batch read again.
                await self._target.advance(table.identity, rows[-1].id)
                self._report("rows_taken", table=table.name, counts=taken)
                counts = counts.plus(taken)
        return counts

    async def _take(self, table: str, rows: Sequence[Row]) -> Counts:
        sound: list[_Sound] = []
        counts = Counts()
        for row in rows:
            if row.is_copied:
                counts = counts.plus(Counts(read=1, present=1))
                continue
            try:
                sound.append(_Sound(row, place(table, row, self._regions)))
            except PodiumError as error:
                counts = counts.plus(self._refused(table, row, error.message))
        return counts.plus(await self._store(table, sound))

    async def _store(self, table: str, sound: Sequence[_Sound]) -> Counts:
        """Store rows; those that the database refuses are found by halving."""
        if not sound:
            return Counts()
        try:
            new = await self._target.store([item.placed for item in sound])
        except _ROW_ERRORS as error:
            if len(sound) == 1:
                return self._refused(table, sound[0].row, f"the database refuses it: {error}")
        else:
            return Counts(read=len(sound), imported=new, present=len(sound) - new)
        middle = len(sound) // 2
        return (await self._store(table, sound[:middle])).plus(await self._store(table, sound[middle:]))

    def _refused(self, table: str, row: Row, reason: str) -> Counts:
        self._report("row_refused", refusal=Refusal(table, row.id, reason, row.payload))
        return Counts(read=1, refused=1)


def place(table: str, row: Any, regions: RegionIds) -> PlacedResult:
    """The result in a row, as it is to be stored; InvalidArgument or InvalidRegion says why it cannot be."""
    columns = {"region": row.region, "orchestrator": (row.orchestrator or "").lower()}
    result = result_from(_fields(row.payload) | columns, may_hold_nul=False)
    check_result(result)
    _check_depth(result)
    return PlacedResult(
        result, _region_id(result, regions), imported_id(table, row.id), _recorded_at(table, row, result)
    )


def imported_id(table: str, row_id: int) -> int:
    """The id of the result in a row, the same at every import; InvalidArgument for what no sequence counted."""
    if not 0 < row_id < IDS_PER_TABLE:
        raise InvalidArgument(f"id: a number from 1 to {IDS_PER_TABLE - 1}, not {row_id}", field="id")
    block = 0 if table == EVENTS else int(table, 36)
    return -(block * IDS_PER_TABLE + row_id)


def _fields(payload: str | None) -> dict[str, Any]:
    try:
        fields = orjson.loads(payload or "null")
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"payload: {error.msg}", field="payload") from None
    if not isinstance(fields, dict):
        raise InvalidArgument("payload: it is no JSON object", field="payload")
    return fields


def _check_depth(result: Result) -> None:
    try:
        orjson.dumps(result.payload)
    except TypeError:
        raise InvalidArgument("payload: it is nested too deeply", field="payload") from None


def _region_id(result: Result, regions: RegionIds) -> int:
    if not result.region:
        raise InvalidRegion("invalid region: the row has none", field="region")
    try:
        return regions[result.region, result.job_type]
    except KeyError:
        reason = f"invalid region: {result.region} is not known for {result.job_type} jobs"
        raise InvalidRegion(reason, field="region") from None


def _recorded_at(table: str, row: Any, result: Result) -> datetime:
    if table != EVENTS:
        return _posted_at(result)
    if row.recorded_at is None:
        raise InvalidArgument("event_time: not between the years 1 and 9999", field="event_time")
    return cast(datetime, row.recorded_at)


def _posted_at(result: Result) -> datetime:
    """When a result was recorded before v1: nothing but the poster's time says so."""
    if result.timestamp <= 0:
        raise InvalidArgument("timestamp: needed before v1, where no other time is known", field="timestamp")
    try:
        return datetime.fromtimestamp(result.timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        raise InvalidArgument("timestamp: not before the year 10000", field="timestamp") from None
