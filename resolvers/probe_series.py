"""What runs of the prober have in common: how many succeed, how their times spread, over time, and why they fail."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.aggregation import Distribution
from resolvers.buckets import Bucket, bucket_starts
from resolvers.errors import InvalidArgument
from resolvers.filters import Window
from resolvers.probe_runs import ProbeStatus
from resolvers.probes import ProbeFilter
from resolvers.series import MAX_POINTS, number_of_buckets, refusal, without_an_empty_end

GROUPS = STATEMENTS["probes.groups"]
FAILURES = STATEMENTS["probes.failures"]


class ProbeDimension(StrEnum):
    """What runs can be grouped by."""

    STREAM = "stream"
    REGION = "region"
    INGEST_REGION = "ingest_region"
    PLAYBACK_REGION = "playback_region"
    RENDITION = "rendition"


class ProbeKey(NamedTuple):
    """What a group has in common; None for what it is not grouped by, or what its runs do not have."""

    stream: str | None = None
    region: str | None = None
    ingest_region: str | None = None
    playback_region: str | None = None
    rendition: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeAggregate:
    """A group of runs that were not aborted, and how many were. A distribution is of the runs, each with its mean; a
    peak is of their segments. In seconds.
    """

    runs: int = 0
    failures: int = 0
    aborted: int = 0
    startup: Distribution | None = None
    latency: Distribution | None = None
    peak_latency_s: float | None = None
    peak_segment_duration_s: float | None = None

    @property
    def success_rate(self) -> float | None:
        """Successful runs by those that were not aborted, a fraction; None without any."""
        return (self.runs - self.failures) / self.runs if self.runs else None


class ProbePoint(NamedTuple):
    """A bucket from its start to the start of the next one."""

    start: datetime
    end: datetime
    aggregate: ProbeAggregate


class ProbeLine(NamedTuple):
    """One group's points, from the first bucket to the last."""

    key: ProbeKey
    points: list[ProbePoint]


EMPTY = ProbeAggregate()


async def groups(db: Runner, wanted: ProbeFilter, by: Sequence[ProbeDimension]) -> dict[ProbeKey, ProbeAggregate]:
    """The groups of matching runs."""
    return {_key(row): _aggregate(row) for row in await _rows(db, wanted, by, None, None)}


async def probe_series(
    db: Runner, wanted: ProbeFilter, bucket: Bucket, zone: ZoneInfo, by: Sequence[ProbeDimension], now: datetime
) -> list[ProbeLine]:
    """Aggregates per bucket and group, by the groups' keys; without any dimension there is one line, even without runs.

    A window without an end ends `now`; one without a beginning is refused, as are more than MAX_POINTS points.
    """
    since, until = wanted.window.since, wanted.window.until or now
    if since is None:
        raise InvalidArgument("during: a series needs since, or last", field="during")
    wanted = replace(wanted, window=Window(since, until))
    edges = bucket_starts(bucket, since, until, zone, MAX_POINTS)
    refused = partial(refusal, bucket, since, until, zone)
    if number_of_buckets(edges, until) > MAX_POINTS:
        raise refused(1)
    lines: dict[ProbeKey, dict[int, ProbeAggregate]] = {} if by else {ProbeKey(): {}}
    if edges:
        for row in await _rows(db, wanted, by, edges[:-1], MAX_POINTS + 1):
            lines.setdefault(_key(row), {})[row.bucket] = _aggregate(row)
        edges = without_an_empty_end(edges, until, lines.values())
    if (len(edges) - 1) * len(lines) > MAX_POINTS:
        raise refused(len(lines))
    ordered = sorted(lines.items(), key=lambda line: [value or "" for value in line[0]])
    return [ProbeLine(key, _points(edges, found)) for key, found in ordered]


async def probe_failures(db: Runner, wanted: ProbeFilter, by: Sequence[ProbeDimension], limit: int) -> list[Row]:
    """How many runs (`runs`) failed for each `reason` in each group, and when the first and the last of them started;
    those first of which there are most.
    """
    if ProbeDimension.RENDITION in by:
        raise InvalidArgument("groupBy: a run fails as a whole, and not a rendition of it", field="groupBy")
    if wanted.statuses is not None and ProbeStatus.FAILURE not in wanted.statuses:
        return []
    wanted = replace(wanted, statuses=(ProbeStatus.FAILURE,))
    return await db.fetch(FAILURES, **wanted.parameters, **_grouped(by), limit=limit)


async def _rows(
    db: Runner, wanted: ProbeFilter, by: Sequence[ProbeDimension], starts: Sequence[datetime] | None, limit: int | None
) -> list[Row]:
    statement = GROUPS.pick(measured="renditions" if ProbeDimension.RENDITION in by else "runs")
    return await db.fetch(statement, **wanted.parameters, **_grouped(by), starts=starts, limit=limit)


def _grouped(by: Sequence[ProbeDimension]) -> dict[str, Any]:
    return {f"by_{name}": name in by for name in ("stream", "region", "ingest_region", "playback_region")}


def _key(row: Row) -> ProbeKey:
    return ProbeKey(row.stream, row.region, row.ingest_region, row.playback_region, row.rendition)


def _aggregate(row: Row) -> ProbeAggregate:
    return ProbeAggregate(
        runs=row.runs,
        failures=row.failures,
        aborted=row.aborted,
        startup=_distribution(row.startup),
        latency=_distribution(row.latency),
        peak_latency_s=row.peak_latency_s,
        peak_segment_duration_s=row.peak_segment_duration_s,
    )


def _distribution(values: list[Any]) -> Distribution | None:
    return None if values[0] is None else Distribution(*values)


def _points(edges: Sequence[datetime], found: dict[int, ProbeAggregate]) -> list[ProbePoint]:
    return [ProbePoint(*edge, found.get(number, EMPTY)) for number, edge in enumerate(pairwise(edges), start=1)]
