"""How results get into the database: checked, checked, and stored together with those that arrive meanwhile."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import asyncpg
import orjson

from db.pool import Database, Runner
from db.statements import STATEMENTS
from resolvers.catalog import Catalog
from resolvers.errors import InvalidArgument
from resolvers.results import Result, check_result

STORE_RESULTS = STATEMENTS["results.store_results"]
CREATE_PARTITIONS = STATEMENTS["results.create_partitions"]

MAX_RESULTS = 1000
MAX_ID = 2**63 - 1
_MADE_HERE = ("id", "recorded_at", "errors", "payload", "orchestrator", "pipeline", "model")
_PLAIN_COLUMNS = tuple(name for name in STORE_RESULTS.parameters if name not in _MADE_HERE)
_plain_values = attrgetter(*_PLAIN_COLUMNS)
_AHEAD = timedelta(days=14)

Stored = TypeVar("Stored")


class CheckedResult(NamedTuple):
    """A checked result; imported ones have an id and a time of their own."""

    result: Result
    id: int | None = None
    recorded_at: datetime | None = None


class ResultKey(NamedTuple):
    """What names a stored result."""

    orchestrator: str
    recorded_at: datetime
    id: int


class PostKey(NamedTuple):
    """What a post is known by: a key, among those of whoever gave it; `field` is where it was given."""

    owner: str
    key: str
    field: str


class Recorded(NamedTuple):
    """What a post stored, now or when it came first."""

    keys: list[ResultKey]
    is_replay: bool = False


Submit = Callable[[list[CheckedResult]], Awaitable[list[ResultKey]]]
SubmitOnce = Callable[[PostKey, list[CheckedResult]], Awaitable[Recorded]]


class Recorder:
    """The way of results from both doors into the database, together with others, or by a key and only once."""

    def __init__(self, catalog: Catalog, submit: Submit, submit_once: SubmitOnce) -> None:
        self._catalog = catalog
        self._submit = submit
        self._submit_once = submit_once

    async def check(self, result: Result) -> CheckedResult:
        """A result that can be stored; InvalidRegion, or InvalidArgument with the field, when it cannot."""
        await self._catalog.require_region(result.region, result.job_type)
        check_result(result)
        return CheckedResult(result)

    async def store(self, checked: list[CheckedResult], key: PostKey | None = None) -> Recorded:
        """Store checked results, all or none, and with a key only once; returns after the commit.

        Unavailable while the database is away, IdempotencyConflict when the key was used with other results.
        """
        if key is not None:
            return await self._submit_once(key, checked)
        return Recorded(await self._submit(checked))


async def store_results(db: Database, catalog: Catalog, checked: Sequence[CheckedResult]) -> list[ResultKey]:
    """Store results in one transaction; those with an id that is there already are left out of the answer."""
    return await mending(db, catalog, checked, lambda: insert_results(db.write, checked))


async def insert_results(runner: Runner, checked: Sequence[CheckedResult]) -> list[ResultKey]:
    """Store results whose names are known, by a connection or in a transaction of the caller's."""
    rows = await runner.fetch(STORE_RESULTS, **_columns(checked))
    return [ResultKey(row.orchestrator, row.recorded_at, row.id) for row in rows]


async def mending(
    db: Database, catalog: Catalog, checked: Sequence[CheckedResult], store: Callable[[], Awaitable[Stored]]
) -> Stored:
    """What `store` answers; where names or partitions were missing, they are made, and it is called once more."""
    results = [item.result for item in checked]
    try:
        await catalog.learn(results)
        return await store()
    except asyncpg.CheckViolationError as error:
        if error.constraint_name == "orchestrators_address_check":  # Postgres has lower case that Python has not
            raise InvalidArgument("orchestrator: it has no lower case", field="orchestrator") from None
        if error.constraint_name:
            raise
        # there is no partition for that time
        await _create_partitions_of(db, [item.recorded_at or datetime.now(UTC) for item in checked])
    except (asyncpg.NotNullViolationError, asyncpg.ForeignKeyViolationError):
        # A name that was known is there no more: the database was restored.
        catalog.forget()
        for region, job_type in {(result.region, result.job_type) for result in results}:
            await catalog.require_region(region, job_type)
    await catalog.learn(results)
    return await store()


async def create_partitions(db: Database, since: datetime | None = None, until: datetime | None = None) -> int:
    """Make the partitions of a time range, by default of the next two weeks; the number of those that were missing."""
    now = datetime.now(UTC)
    return int(await db.write.fetchval(CREATE_PARTITIONS, since=since or now, until=until or now + _AHEAD))


async def _create_partitions_of(db: Database, times: Sequence[datetime]) -> None:
    # Week by week: between the first and the last time there may be thousands of weeks without results.
    weeks = {time.astimezone(UTC).isocalendar()[:2]: time for time in times}
    for time in weeks.values():
        await create_partitions(db, time, time)


def _columns(checked: Sequence[CheckedResult]) -> dict[str, Sequence[Any]]:
    results = [item.result for item in checked]
    return {
        **dict(zip(_PLAIN_COLUMNS, zip(*map(_plain_values, results), strict=True), strict=True)),
        "id": [item.id for item in checked],
        "recorded_at": [item.recorded_at for item in checked],
        "orchestrator": [result.orchestrator.lower() for result in results],
        "pipeline": [result.pipeline if result.job_type == "ai" else None for result in results],
        "model": [result.model if result.job_type == "ai" else None for result in results],
        "errors": [_json(result.error_items) for result in results],
        "payload": [_json(result.payload) for result in results],
    }


def _json(value: Any) -> bytes | None:
    return None if value is None else orjson.dumps(value)
