"""Who performs best: results, aggregates with their scores, pipelines and regions."""

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.aggregation import Aggregate, Cell, Dimension, Distribution, GroupKey, group_cells
from resolvers.errors import InvalidArgument
from resolvers.filters import StatFilter, Window
from resolvers.page import Page, PageRequest, from_micros, page_of, to_micros
from resolvers.recording import ResultKey
from resolvers.scoring import ai_score

RESULTS = STATEMENTS["leaderboard.results"]
RESULTS_BY_KEY = STATEMENTS["leaderboard.results_by_key"]
COUNT_RESULTS = STATEMENTS["leaderboard.count_results"]
CELLS = STATEMENTS["leaderboard.cells"]
MEDIANS = STATEMENTS["leaderboard.medians"]
DISTRIBUTIONS = STATEMENTS["leaderboard.distributions"]
BEST_AI_CELL = STATEMENTS["leaderboard.best_ai_cell"]
PIPELINES = STATEMENTS["leaderboard.pipelines"]
ORCHESTRATORS = STATEMENTS["leaderboard.orchestrators_page"]
ORCHESTRATORS_BACKWARDS = STATEMENTS["leaderboard.orchestrators_page_backwards"]
COUNT_ORCHESTRATORS = STATEMENTS["leaderboard.count_orchestrators"]
ORCHESTRATORS_BY_ADDRESS = STATEMENTS["leaderboard.orchestrators_by_address"]
NEWEST_RESULTS = RESULTS.pick(page="newest")
OLDEST_RESULTS = RESULTS.pick(page="oldest")

_cell_values = itemgetter(*Cell._fields)
_MIN_MICROS = to_micros(datetime.min.replace(tzinfo=UTC))
_MAX_MICROS = to_micros(datetime.max.replace(tzinfo=UTC))
_MAX_ID = 2**63


async def all_results(db: Runner, wanted: StatFilter) -> list[Row]:
    """Every matching result, newest first."""
    parameters = await wanted.parameters(db)
    return await db.fetch(NEWEST_RESULTS, **parameters, cursor_at=None, cursor_id=None, limit=None)


async def results_page(db: Runner, wanted: StatFilter, request: PageRequest, *, newest_first: bool = True) -> Page[Row]:
    """A page of matching results; cursors hold the time in microseconds and the id."""
    cursor_at, cursor_id = _result_cursor(request.cursor)
    rows = await db.fetch(
        NEWEST_RESULTS if newest_first != request.backwards else OLDEST_RESULTS,
        **await wanted.parameters(db),
        cursor_at=cursor_at,
        cursor_id=cursor_id,
        limit=request.size + 1,
    )
    return page_of(rows, request)


async def count_results(db: Runner, wanted: StatFilter) -> int:
    """How many results match."""
    return int(await db.fetchval(COUNT_RESULTS, **await wanted.parameters(db)))


async def results_by_key(db: Runner, keys: Sequence[ResultKey]) -> list[Row]:
    """The results with these keys, in their order; those that are gone are left out."""
    return await db.fetch(
        RESULTS_BY_KEY,
        orchestrators=[key.orchestrator for key in keys],
        recorded_ats=[key.recorded_at for key in keys],
        ids=[key.id for key in keys],
    )


async def aggregates(db: Runner, wanted: StatFilter, group_by: tuple[Dimension, ...]) -> list[Aggregate]:
    """Means, scores and counts of the matching results per group, ordered by the group's key.

    An AI result's round trip counts against the median of its model under the same filter, whoever the
    orchestrator; a group of several cells has the mean of their scores, weighted by their samples.
    """
    parameters = await wanted.parameters(db)
    cells = await db.fetch(CELLS, **parameters)
    medians = await _medians(db, parameters, cells)
    return group_cells([Cell._make(_cell_values(cell)) for cell in cells], medians, group_by)


async def distributions(
    db: Runner, wanted: StatFilter, group_by: tuple[Dimension, ...]
) -> dict[GroupKey, dict[str, Distribution | None]]:
    """The distribution of each time (`round_trip_time`, `upload_time`, ...) per group, None where none is reported."""
    rows = await db.fetch(
        DISTRIBUTIONS,
        **await wanted.parameters(db),
        **{f"by_{dimension}": dimension in group_by for dimension in Dimension},
    )
    return {GroupKey(*(row[name] for name in GroupKey._fields)): _distributions(row) for row in rows}


async def top_ai_score(db: Runner, orchestrator: str, window: Window) -> dict[str, Any] | None:
    """An orchestrator's best AI cell: region, orchestrator, value (its score), model, pipeline; None without any."""
    since = window.since or datetime.min.replace(tzinfo=UTC)
    cell = await db.fetchrow(BEST_AI_CELL, orchestrator=orchestrator.lower(), since=since)
    if cell is None:
        return None
    parameters = await StatFilter(window, "ai").parameters(db) | {"model_ids": [cell.model_id]}
    medians = await db.fetch(MEDIANS, **parameters)
    score = ai_score(cell.success_rate, cell.round_trip_time, medians[0].median if medians else None)
    names = {name: cell[name] for name in ("region", "orchestrator", "model", "pipeline")}
    return names | {"value": score.total}


async def pipelines(db: Runner, window: Window, region: str | None) -> list[Row]:
    """The pipelines (id, models, regions) seen in AI results of the window, all sorted."""
    region = region.upper() if region is not None else None
    return await db.fetch(PIPELINES, since=window.since, until=window.until, region=region)


async def orchestrators_page(db: Runner, request: PageRequest) -> Page[Row]:
    """A page of orchestrators (id, address, created_at), by address."""
    cursor = request.cursor[0] if request.cursor else None
    if cursor is not None and not isinstance(cursor, str):
        raise InvalidArgument("cursor: this is no cursor of this list", field="cursor")
    statement = ORCHESTRATORS_BACKWARDS if request.backwards else ORCHESTRATORS
    return page_of(await db.fetch(statement, cursor=cursor, limit=request.size + 1), request)


async def count_orchestrators(db: Runner) -> int:
    """How many orchestrators are known."""
    return int(await db.fetchval(COUNT_ORCHESTRATORS))


async def orchestrators_by_address(db: Runner, addresses: list[str]) -> list[Row | None]:
    """The orchestrators of these addresses, in their order; None for an unknown one."""
    wanted = [address.lower() for address in addresses]
    found = {row.address: row for row in await db.fetch(ORCHESTRATORS_BY_ADDRESS, addresses=wanted)}
    return [found.get(address) for address in wanted]


async def _medians(db: Runner, parameters: dict[str, Any], cells: list[Row]) -> dict[int, float]:
    model_ids = list({cell.model_id for cell in cells if cell.model_id is not None})
    if not model_ids:
        return {}
    rows = await db.fetch(MEDIANS, **parameters | {"orchestrator_ids": None, "model_ids": model_ids})
    return {row.model_id: row.median for row in rows}


def _distributions(row: Row) -> dict[str, Distribution | None]:
    names = ("round_trip_time", "upload_time", "download_time", "transcode_time")
    return {name: Distribution(*row[name]) if row[name][0] is not None else None for name in names}


def _result_cursor(cursor: list[Any] | None) -> tuple[datetime | None, int | None]:
    match cursor:
        case None:
            return None, None
        case [int(micros), int(id_)] if _MIN_MICROS <= micros <= _MAX_MICROS and abs(id_) < _MAX_ID:
            return from_micros(micros), id_
        case _:
            raise InvalidArgument("cursor: this is no cursor of this list", field="cursor")
