"""Who performs best: aggregates with their scores, distributions, pipelines."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.aggregation import (
    Aggregate,
    Dimension,
    Distribution,
    GroupKey,
    by_dimension,
    in_order,
    key_of,
)
from resolvers.filters import StatFilter, Window
from resolvers.rollups import Parts, parts_of

GROUPS = STATEMENTS["leaderboard.groups"]
MEDIANS = STATEMENTS["leaderboard.medians"]
DISTRIBUTIONS = STATEMENTS["leaderboard.distributions"]
TOP_AI_SCORE = STATEMENTS["leaderboard.top_ai_score"]
PIPELINES = STATEMENTS["leaderboard.pipelines"]


async def aggregates(db: Runner, wanted: StatFilter, group_by: tuple[Dimension, ...]) -> list[Aggregate]:
    """Means, scores and counts of the matching results per group, ordered by the group's key.

    An AI result's round trip counts against the median of its model under the same filter, whoever the
    orchestrator; a group of several cells has the mean of their scores, weighted by their samples.
    """
    groups = [aggregate for _, aggregate in await aggregates_over_time(db, wanted, group_by, starts=None)]
    return in_order(groups, group_by)


async def aggregates_over_time(
    db: Runner,
    wanted: StatFilter,
    group_by: tuple[Dimension, ...],
    starts: Sequence[datetime] | None,
    limit: int | None = None,
) -> list[tuple[int | None, Aggregate]]:
    """Aggregates with the number, from 1, of their bucket; `starts` has where buckets start, None makes none of them.

    The median that AI results count against is that of the whole window, so that buckets can be compared.
    """
    counted = wanted.counted
    parts = await parts_of(db, counted, starts)
    parameters = await counted.parameters(db)
    medians = await _medians(db, parameters, parts)
    rows = await db.fetch(
        GROUPS.pick(parts.names),
        **parameters,
        **parts.parameters,
        **by_dimension(group_by),
        starts=starts,
        scored_models=list(medians),
        medians=list(medians.values()),
        limit=limit,
    )
    return _aggregates(rows) if rows else []


async def distributions(
    db: Runner, wanted: StatFilter, group_by: tuple[Dimension, ...], starts: Sequence[datetime] | None = None
) -> dict[tuple[int | None, GroupKey], dict[str, Distribution | None]]:
    """The distribution of each time (`round_trip_time`, `upload_time`, ...) per bucket and group, None where none is
    reported.
    """
    rows = await db.fetch(DISTRIBUTIONS, **await wanted.counted.parameters(db), **by_dimension(group_by), starts=starts)
    return {(row.bucket, key_of(row)): _distributions(row) for row in rows}


async def top_ai_score(db: Runner, orchestrator: str, window: Window) -> Row | None:
    """An orchestrator's best AI cell: region, orchestrator, value (its score), model, pipeline; None without any."""
    wanted = StatFilter(window, job_type="ai", orchestrators=(orchestrator,))
    parts = await parts_of(db, wanted)
    return await db.fetchrow(
        TOP_AI_SCORE.pick(parts.names), **await wanted.parameters(db), **parts.parameters, **parts.gone
    )


async def pipelines(db: Runner, window: Window, region: str | None) -> list[Row]:
    """The pipelines (id, models, regions) seen in AI results of the window, all sorted."""
    wanted = StatFilter(window, job_type="ai", regions=None if region is None else (region,))
    parts = await parts_of(db, wanted)
    return await db.fetch(PIPELINES.pick(parts.names), **await wanted.parameters(db), **parts.parameters)


async def _medians(db: Runner, parameters: dict[str, Any], parts: Parts) -> dict[int, float]:
    if parameters["job_type"] == "transcoding":
        return {}
    rows = await db.fetch(MEDIANS.pick(parts.names), **parameters | {"orchestrator_ids": None}, **parts.gone)
    return {row.model_id: row.median for row in rows}


def _aggregates(rows: Sequence[Row]) -> list[tuple[int | None, Aggregate]]:
    columns = Row.__columns__(rows)  # there may be thousands of rows
    keys = map(GroupKey._make, zip(*(columns[name] for name in GroupKey._fields), strict=True))
    values = (columns[name] for name in Aggregate._fields if name != "key")
    return list(zip(columns["bucket"], map(Aggregate._make, zip(keys, *values, strict=True)), strict=True))


def _distributions(row: Row) -> dict[str, Distribution | None]:
    names = ("round_trip_time", "upload_time", "download_time", "transcode_time")
    return {name: Distribution(*row[name]) if row[name][0] is not None else None for name in names}
