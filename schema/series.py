"""Aggregates over time in the graph."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry
from strawberry import Info

from resolvers import buckets, series
from resolvers.aggregation import GroupKey
from schema.context import Question, context_of
from schema.inputs import Dimension, Filter, dimensions, result_filter
from schema.leaderboard import Distribution, Grouped, Timed
from schema.permissions import READ

TimeZone = Annotated[
    str, strawberry.argument(description="Whose calendar buckets follow: a name of the IANA database.")
]
POINTS_SIZE = 100  # assumed of a line when its cost is counted


@strawberry.enum(description="How long a bucket is; those of 6 hours and more follow the calendar.")
class Bucket(Enum):
    MINUTE = strawberry.enum_value(buckets.Bucket.MINUTE, description="1 minute.")
    FIVE_MINUTES = strawberry.enum_value(buckets.Bucket.FIVE_MINUTES, description="5 minutes.")
    FIFTEEN_MINUTES = strawberry.enum_value(buckets.Bucket.FIFTEEN_MINUTES, description="15 minutes.")
    HOUR = strawberry.enum_value(buckets.Bucket.HOUR, description="1 hour.")
    SIX_HOURS = strawberry.enum_value(buckets.Bucket.SIX_HOURS, description="From 0, 6, 12 and 18 o'clock.")
    DAY = strawberry.enum_value(buckets.Bucket.DAY, description="From midnight to midnight.")
    WEEK = strawberry.enum_value(buckets.Bucket.WEEK, description="From Monday to Monday.")
    MONTH = strawberry.enum_value(buckets.Bucket.MONTH, description="From the first to the first.")


@strawberry.type(description="One bucket of a series; everything but its times is null where it has no result.")
class SeriesPoint(Timed):
    at: datetime = strawberry.field(description="When the bucket begins; the first one may begin before the window.")
    until: datetime = strawberry.field(description="When the next one begins.")
    label: str = strawberry.field(description="The label of its series, so that points are rows of their own.")
    samples: int = strawberry.field(description="How many results; 0 in an empty bucket.")
    success_rate: float | None = strawberry.field(description="The mean success rate, a fraction.")
    score: float | None = strawberry.field(
        description="0 to 1, as that of an Aggregate; the median that AI results count against is that of the window."
    )
    round_trip_score: float | None = strawberry.field(description="0 to 1, as that of an Aggregate.")

    @strawberry.field(description="Round trip times, in seconds.")
    async def round_trip_time(self, info: Info) -> Distribution | None:
        return await self.distribution(info, "round_trip_time")


@strawberry.type(description="One group's aggregates over time. What it is not grouped by is null.")
class Series(Grouped):
    label: str = strawberry.field(description="The group in a few words, for a legend; `all` without any dimension.")
    points: list[SeriesPoint] = strawberry.field(
        description="Every bucket of the window, the empty ones too.", metadata={"size": POINTS_SIZE}
    )


@strawberry.type
class SeriesQuery:
    @strawberry.field(
        extensions=[READ],
        description="Aggregates over time, one line per group with results, by its key, in the default window when no "
        f"other is given; at most {series.MAX_POINTS:,} points in a request. Without a dimension there is one line.",
    )
    async def series(
        self,
        info: Info,
        bucket: Annotated[Bucket, strawberry.argument(description="How long a point is.")],
        filter: Filter = None,
        group_by: Annotated[
            list[Dimension] | None,
            strawberry.argument(description="What makes a line; an empty list makes one line of all results."),
        ] = [],  # noqa: B006  read only, and shown in the schema
        time_zone: TimeZone = "UTC",
    ) -> list[Series]:
        context = context_of(info)
        wanted = result_filter(filter, context)
        grouped, length = dimensions(group_by or []), buckets.Bucket(str(bucket.value))
        zone = buckets.time_zone(time_zone)
        now = wanted.window.until or context.now
        found = await series.series(context.db, wanted, length, zone, grouped, now)
        context.take_points(sum(len(line.points) for line in found.lines))
        question = Question(found.wanted, grouped, found.starts)
        return [_series(line, question) for line in found.lines]


def _series(line: series.Line, question: Question) -> Series:
    label = " · ".join(value for value in line.key if value) or "all"
    points = [_point(point, line.key, label, question) for point in line.points]
    return Series(key=line.key, question=question, label=label, points=points)


def _point(point: series.Point, key: GroupKey, label: str, question: Question) -> SeriesPoint:
    group = point.aggregate
    return SeriesPoint(
        at=point.start,
        until=point.end,
        label=label,
        samples=group.samples if group else 0,
        success_rate=group.success_rate if group else None,
        score=group.score if group else None,
        round_trip_score=group.round_trip_score if group else None,
        bucket=point.number,
        key=key,
        question=question,
    )
