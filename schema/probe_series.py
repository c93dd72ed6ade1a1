"""What runs of the prober have in common, in the graph: by stream, over time, and why they failed."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
from strawberry import Info

from resolvers import buckets, probe_series, probes
from resolvers.page import page_request
from schema.connection import First
from schema.context import context_of
from schema.leaderboard import Distribution
from schema.permissions import READ
from schema.probes import ProbeRun, WhichRuns, probe_filter
from schema.scalars import TimeRange
from schema.series import POINTS_SIZE, Bucket, TimeZone


@strawberry.enum(description="What runs of the prober can be grouped by.")
class ProbeDimension(Enum):
    STREAM = strawberry.enum_value("stream", description="The stream.")
    REGION = strawberry.enum_value("region", description="Where the prober is.")
    INGEST_REGION = strawberry.enum_value("ingest_region", description="Where the stream is pushed to.")
    PLAYBACK_REGION = strawberry.enum_value("playback_region", description="Where it is played from.")
    RENDITION = strawberry.enum_value(
        "rendition",
        description="The rendition: latencies are its own, runs those that had it; those without any are in no group.",
    )


GroupBy = Annotated[
    list[ProbeDimension] | None, strawberry.argument(description="What makes a group; an empty list makes one of all.")
]


@strawberry.type
class ProbeMeasures:
    """What is measured of a group of runs."""

    aggregate: strawberry.Private[probe_series.ProbeAggregate]

    @strawberry.field(description="Runs that were not aborted; all else is of these.")
    def runs(self) -> int:
        return self.aggregate.runs

    @strawberry.field(description="Those of them that failed.")
    def failures(self) -> int:
        return self.aggregate.failures

    @strawberry.field(description="Runs that were aborted, which count nowhere else.")
    def aborted(self) -> int:
        return self.aggregate.aborted

    @strawberry.field(description="Those that did not fail, as a fraction; null without any run.")
    def success_rate(self) -> float | None:
        return self.aggregate.success_rate

    @strawberry.field(description="From the start of the push to the first segment, of the runs that had one.")
    def startup_time(self) -> Distribution | None:
        startup: Any = self.aggregate.startup
        found: Distribution | None = startup
        return found

    @strawberry.field(description="The mean segment latencies of the runs.")
    def latency(self) -> Distribution | None:
        latency: Any = self.aggregate.latency
        found: Distribution | None = latency
        return found

    @strawberry.field(description="The largest latency of any segment, in seconds.")
    def peak_latency(self) -> float | None:
        return self.aggregate.peak_latency_s

    @strawberry.field(description="The longest segment, in seconds.")
    def peak_segment_duration(self) -> float | None:
        return self.aggregate.peak_segment_duration_s


@strawberry.type(description="One bucket of a series of the prober.")
class ProbePoint(ProbeMeasures):
    at: datetime = strawberry.field(description="When the bucket begins; the first one may begin before the window.")
    until: datetime = strawberry.field(description="When the next one begins.")
    label: str = strawberry.field(description="The label of its series, so that points are rows of their own.")


@strawberry.type(description="One group's runs over time. What it is not grouped by is null.")
class ProbeSeries:
    label: str = strawberry.field(description="The group in a few words, for a legend; `all` without any dimension.")
    stream: str | None = strawberry.field(description="The stream.")
    region: str | None = strawberry.field(description="Where the prober is.")
    ingest_region: str | None = strawberry.field(description="Where the stream is pushed to.")
    playback_region: str | None = strawberry.field(description="Where it is played from.")
    rendition: str | None = strawberry.field(description="The rendition.")
    points: list[ProbePoint] = strawberry.field(
        description="Every bucket of the window, the empty ones too.", metadata={"size": POINTS_SIZE}
    )


@strawberry.type(
    description="A stream that is probed, or was as long as its runs are kept; what is measured is of the window."
)
class ProbeStream(ProbeMeasures):
    name: str = strawberry.field(description="Its name, as the prober's configuration has it.")
    last_run: ProbeRun = strawberry.field(description="The run that started last, whether it is in the window or not.")


@strawberry.type(description="How many runs of a group failed for a reason. What it is not grouped by is null.")
class ProbeFailure:
    stream: str | None = strawberry.field(description="The stream.")
    region: str | None = strawberry.field(description="Where the prober is.")
    ingest_region: str | None = strawberry.field(description="Where the stream is pushed to.")
    playback_region: str | None = strawberry.field(description="Where it is played from.")
    reason: str = strawberry.field(description="Why they failed, a stable code.")
    runs: int = strawberry.field(description="How many.")
    first_at: datetime = strawberry.field(description="When the first of them started.")
    last_at: datetime = strawberry.field(description="When the last of them started.")


@strawberry.type
class ProbeSeriesQuery:
    @strawberry.field(
        extensions=[READ],
        description="The streams of which runs are kept, by name, each with its last run, and with what is measured in "
        "a window.",
    )
    async def probe_streams(
        self,
        info: Info,
        during: Annotated[TimeRange | None, strawberry.argument(description="The default window if null.")] = None,
    ) -> list[ProbeStream]:
        context = context_of(info)
        latest: list[Any] = await probes.latest_runs(context.db)
        wanted = probes.ProbeFilter(context.window(during))
        found = await probe_series.groups(context.db, wanted, (probe_series.ProbeDimension.STREAM,))
        return [
            ProbeStream(
                name=run.stream,
                last_run=run,
                aggregate=found.get(probe_series.ProbeKey(run.stream), probe_series.EMPTY),
            )
            for run in latest
        ]

    @strawberry.field(
        extensions=[READ],
        description="How runs of the prober went over time, one line per group, in the default window when no other is "
        "given; at most as many points in a request as `series` has. Without a dimension there is one line.",
    )
    async def probe_series(
        self,
        info: Info,
        bucket: Annotated[Bucket, strawberry.argument(description="How long a point is.")],
        filter: WhichRuns = None,
        group_by: GroupBy = [],  # noqa: B006  read only, and shown in the schema
        time_zone: TimeZone = "UTC",
    ) -> list[ProbeSeries]:
        context = context_of(info)
        wanted, by = probe_filter(filter, context), _dimensions(group_by)
        length, zone = buckets.Bucket(str(bucket.value)), buckets.time_zone(time_zone)
        lines = await probe_series.probe_series(context.db, wanted, length, zone, by, context.now)
        context.take_points(sum(len(line.points) for line in lines))
        return [_series(line) for line in lines]

    @strawberry.field(
        extensions=[READ],
        description="Why runs of the prober failed: how many for each reason and group, those first of which there are "
        "most, in the default window when no other is given.",
    )
    async def probe_failures(
        self,
        info: Info,
        filter: WhichRuns = None,
        group_by: GroupBy = [],  # noqa: B006  read only, and shown in the schema
        first: First = None,
    ) -> list[ProbeFailure]:
        context = context_of(info)
        limit = page_request(first, None, None, None).size
        wanted, by = probe_filter(filter, context), _dimensions(group_by)
        rows: Any = await probe_series.probe_failures(context.db, wanted, by, limit)
        return list(rows)


def _dimensions(given: Sequence[ProbeDimension] | None) -> tuple[probe_series.ProbeDimension, ...]:
    return tuple(probe_series.ProbeDimension(str(dimension.value)) for dimension in given or ())


def _series(line: probe_series.ProbeLine) -> ProbeSeries:
    label = " · ".join(value for value in line.key if value) or "all"
    points = [ProbePoint(at=it.start, until=it.end, label=label, aggregate=it.aggregate) for it in line.points]
    return ProbeSeries(label=label, points=points, **line.key._asdict())
