"""Aggregates over time: one line per group, with every bucket of the window, the empty ones too."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import pairwise
from zoneinfo import ZoneInfo

from db.pool import Runner
from resolvers import leaderboard
from resolvers.aggregation import Aggregate, Dimension, GroupKey, comparable
from resolvers.buckets import Bucket, bucket_starts
from resolvers.errors import InvalidArgument
from resolvers.filters import StatFilter, Window
from resolvers.rollups import read_state, widened

MAX_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Point:
    """A bucket from its start to the start of the next one; `aggregate` is None where it has no result.

    `number` is the bucket's, from 1.
    """

    number: int
    start: datetime
    end: datetime
    aggregate: Aggregate | None


@dataclass(frozen=True, slots=True)
class Line:
    """One group's points, from the first bucket to the last."""

    key: GroupKey
    points: list[Point]


@dataclass(frozen=True, slots=True)
class Series:
    """Lines by their keys. `wanted` and `starts` are the filter and the buckets that they were made of."""

    lines: list[Line]
    wanted: StatFilter
    starts: tuple[datetime, ...]


async def series(
    db: Runner, wanted: StatFilter, bucket: Bucket, zone: ZoneInfo, group_by: tuple[Dimension, ...], now: datetime
) -> Series:
    """Aggregates per bucket and group; without any dimension there is one line, even without results.

    A window without an end ends `now`; one without a beginning is refused, as are more than MAX_POINTS points. Where
    results are gone, buckets begin with a whole hour, so that each hour has a bucket in which it begins.
    """
    wanted, since, until = _bounded(wanted, now, (await read_state(db)).results_since)
    edges = bucket_starts(bucket, since, until, zone, MAX_POINTS)
    refused = partial(refusal, bucket, since, until, zone)
    if number_of_buckets(edges, until) > MAX_POINTS:
        raise refused(len(await leaderboard.aggregates(db, wanted, group_by)) or 1)
    found = await leaderboard.aggregates_over_time(db, wanted, group_by, edges[:-1], limit=MAX_POINTS + 1)
    if len(found) > MAX_POINTS:
        raise refused(len(await leaderboard.aggregates(db, wanted, group_by)))
    lines: dict[GroupKey, dict[int, Aggregate]] = {} if group_by else {_EVERYTHING: {}}
    for number, aggregate in found:
        lines.setdefault(aggregate.key, {})[number or 0] = aggregate
    edges = without_an_empty_end(edges, until, lines.values())
    if (len(edges) - 1) * len(lines) > MAX_POINTS:
        raise refused(len(lines))
    ordered = sorted(lines.items(), key=lambda line: comparable(line[0], group_by))
    return Series([Line(key, _points(edges, found)) for key, found in ordered], wanted, tuple(edges[:-1]))


_EVERYTHING = GroupKey(None, None, None, None, None)


def _bounded(
    wanted: StatFilter, now: datetime, results_since: datetime | None
) -> tuple[StatFilter, datetime, datetime]:
    window = widened(Window(wanted.window.since, wanted.window.until or now), results_since)
    if window.since is None or window.until is None:
        raise InvalidArgument("during: a series needs since, or last", field="during")
    return replace(wanted, window=window), window.since, window.until


def number_of_buckets(edges: Sequence[datetime], until: datetime) -> int:
    """How many there are at least: one that begins at the very end counts only if it has a result."""
    return len(edges) - 1 - (len(edges) > 2 and edges[-2] == until)


def refusal(bucket: Bucket, since: datetime, until: datetime, zone: ZoneInfo, groups: int) -> InvalidArgument:
    """What to raise when so many groups have too many points; it names the bucket that would fit."""

    def fits(other: Bucket) -> bool:
        return number_of_buckets(bucket_starts(other, since, until, zone, MAX_POINTS), until) * groups <= MAX_POINTS

    fitting = next(filter(fits, Bucket), None)
    what = f"buckets of {bucket} and {groups} group{'s' * (groups > 1)} make more than {MAX_POINTS} points"
    advice = f"{fitting.name} would fit" if fitting else "no bucket would fit: group by less, or filter more"
    return InvalidArgument(f"bucket: {what}: {advice}", field="bucket")


def without_an_empty_end(edges: list[datetime], until: datetime, lines: Iterable[Container[int]]) -> list[datetime]:
    """A bucket that starts where the window ends is of interest only if it has something of that very moment: if its
    number is in any line.
    """
    last = len(edges) - 1
    if last > 1 and edges[-2] == until and not any(last in found for found in lines):
        return edges[:-1]
    return edges


def _points(edges: Sequence[datetime], found: dict[int, Aggregate]) -> list[Point]:
    return [Point(number, *edge, found.get(number)) for number, edge in enumerate(pairwise(edges), start=1)]
