"""Brings over what a database of the original leaderboard holds; safe to interrupt, and to repeat."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import asyncpg

from db.pool import Database, Row
from db.statements import STATEMENTS
from resolvers.catalog import Catalog
from resolvers.errors import InvalidArgument, PodiumError
from resolvers.legacy_leaderboard import EVENTS, IDS_PER_TABLE, Legacy, LegacyTable, place, posted_at
from resolvers.recording import CheckedResult, store_results
from resolvers.rollups import read_state

LAST_ID = STATEMENTS["imports.last_id"]
ADVANCE = STATEMENTS["imports.advance"]
STORED_IDS = STATEMENTS["imports.stored_ids"]
STORED_FROM_REGION_TABLES = STATEMENTS["imports.stored_from_region_tables"]

FIRST_ID = -(2**63)
# A row can be committed after rows with higher ids, so the last ones of the run before are read once more.
OVERLAP = 1000

# What is said when it is the row that is wrong, and not the database or podium.
_ROW_ERRORS = (
    InvalidArgument,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)


class Refusal(NamedTuple):
    """A row that cannot be taken, why, and its payload as JSON text."""

    table: str
    id: int | str
    reason: str
    payload: str | None


class Counts(NamedTuple):
    """Of the rows that were read: those that are new here, those that came or come in another way, those refused."""

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
        return Counts(*map(sum, zip(Counts(), *self.tables.values(), strict=True)))


class _Sound(NamedTuple):
    row: Row
    placed: CheckedResult


class Target:
    """Podium's side of an import."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._catalog = Catalog(db, ttl_s=60)

    async def last_id(self, source: str) -> int:
        """Up to which id a source has been read."""
        last_id = await self._db.write.fetchval(LAST_ID, source=source)
        return FIRST_ID if last_id is None else int(last_id)

    async def regions(self) -> set[tuple[str, str]]:
        """The regions, as code and job type."""
        return {(region.code, region.job_type) for region in await self._catalog.regions()}

    async def register(self, regions: Sequence[Row]) -> set[tuple[str, str]]:
        """Add the regions that are not known yet; all there are now."""
        for region in regions:
            await self._catalog.register_regions({region.code: region.name}, region.job_type)
        return await self.regions()

    async def stored_from_region_tables(self, placed: Sequence[CheckedResult]) -> set[int]:
        """The ids of the events that were imported already, from a region's table, when they were no events yet."""
        # The original copied whole seconds; hardly any other event has them.
        placed = [item for item in placed if item.recorded_at and not item.recorded_at.microsecond]
        if not placed:
            return set()
        rows = await self._db.write.fetch(
            STORED_FROM_REGION_TABLES,
            ids=[item.id for item in placed],
            addresses=[item.result.orchestrator for item in placed],
            recorded_ats=[posted_at(item.result) for item in placed],
            regions=[item.result.region for item in placed],
            job_types=[item.result.job_type for item in placed],
            round_trip_times=[item.result.round_trip_time for item in placed],
            below_id=-IDS_PER_TABLE,
        )
        return {row.id for row in rows}

    async def store(self, placed: Sequence[CheckedResult]) -> set[int]:
        """Store results; the ids of those that are new."""
        return {key.id for key in await store_results(self._db, self._catalog, placed)}

    async def results_since(self) -> datetime | None:
        """Since when results are kept; None is since ever."""
        return (await read_state(self._db.write)).results_since

    async def advance(self, source: str, last_id: int) -> None:
        """Note up to which id a source has been read."""
        await self._db.write.fetch(ADVANCE, source=source, last_id=last_id)


class Rehearsal(Target):
    """Answers as podium would, and writes nothing."""

    async def register(self, regions: Sequence[Row]) -> set[tuple[str, str]]:
        """All there would be."""
        return {(region.code, region.job_type) for region in regions} | await self.regions()

    async def store(self, placed: Sequence[CheckedResult]) -> set[int]:
        """The ids of results that would be new."""
        stored = await self._db.write.fetch(
            STORED_IDS,
            addresses=[item.result.orchestrator for item in placed],
            recorded_ats=[item.recorded_at for item in placed],
            ids=[item.id for item in placed],
        )
        return {item.id for item in placed if item.id is not None} - {row.id for row in stored}

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
        self._regions: set[tuple[str, str]] = set()
        self._results_since: datetime | None = None

    async def run(self, *, from_start: bool = False) -> Summary:
        """Import everything that is new since the last run, or look at everything again."""
        known = await self._target.regions()
        regions = await self._legacy.regions()
        self._regions = await self._target.register(regions)
        tables = {table.name: await self._import(table, from_start) for table in self._legacy.tables}
        return Summary(tables, len(regions), len(self._regions - known))

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
        self._results_since = await self._target.results_since()  # which may move on during a long run
        own = [row for row in rows if not row.is_copied]
        sound = [item for row in own if (item := self._place(table, row))]
        missing = await self._without_copies(sound) if table == EVENTS else sound
        present = len(rows) - len(own) + len(sound) - len(missing)
        stored = await self._store(table, missing)
        return stored.plus(Counts(len(rows), present=present, refused=len(own) - len(sound)))

    def _place(self, table: str, row: Row) -> _Sound | None:
        try:
            sound = _Sound(row, place(table, row, self._regions))
            self._check_age(sound.placed)
        except PodiumError as error:
            self._refuse(table, row, error.message)
            return None
        return sound

    def _check_age(self, placed: CheckedResult) -> None:
        if self._results_since and placed.recorded_at and placed.recorded_at < self._results_since:
            raise InvalidArgument(
                f"recorded before {self._results_since:%Y-%m-%d}, and such results are kept no longer"
            )

    async def _without_copies(self, sound: Sequence[_Sound]) -> list[_Sound]:
        stored = await self._target.stored_from_region_tables([item.placed for item in sound])
        return [item for item in sound if item.placed.id not in stored]

    async def _store(self, table: str, sound: Sequence[_Sound]) -> Counts:
        """Store rows, and find those that the database refuses by halving; `read` stays 0."""
        if not sound:
            return Counts()
        try:
            new = await self._target.store([item.placed for item in sound])
        except _ROW_ERRORS as error:
            if len(sound) == 1:
                self._refuse(table, sound[0].row, f"the database refuses it: {str(error).partition(chr(10))[0]}")
                return Counts(refused=1)
        else:
            return await self._counted(table, sound, new)
        middle = len(sound) // 2
        return (await self._store(table, sound[:middle])).plus(await self._store(table, sound[middle:]))

    async def _counted(self, table: str, sound: Sequence[_Sound], new: set[int]) -> Counts:
        """Those that are not new were there already, or have become too old since they were looked at."""
        others = [item for item in sound if item.placed.id not in new]
        since = await self._target.results_since() if others else self._results_since
        if since == self._results_since:
            return Counts(imported=len(new), present=len(others))
        self._results_since = since
        present = [item for item in others if self._place(table, item.row)]
        return Counts(imported=len(new), present=len(present), refused=len(others) - len(present))

    def _refuse(self, table: str, row: Row, reason: str) -> None:
        self._report("row_refused", refusal=Refusal(table, row.id, reason, row.payload))
