"""How many logs of each type many nodes have: in all, and over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.buckets import Bucket, bucket_starts
from resolvers.errors import InvalidArgument
from resolvers.filters import Window
from resolvers.series import MAX_POINTS, number_of_buckets, refusal, without_an_empty_end
from resolvers.telemetry.batching import Asked, answered, by_peer

COUNTS = STATEMENTS["log_pages.counts"]


@dataclass(frozen=True, slots=True)
class LogPoint:
    """How many logs a bucket has, from its start to the start of the next one."""

    at: datetime
    until: datetime
    count: int


class LogLine(NamedTuple):
    """The points of one type of logs, from the first bucket to the last; without a msg is what has none."""

    msg: str | None
    points: list[LogPoint]


class StatQuestion(NamedTuple):
    """How many logs of each type there are in a window, of the types with the most."""

    window: Window
    limit: int


@dataclass(frozen=True, slots=True)
class LineQuestion:
    """How many logs of each type there are in each bucket of a window, which ends `now` if it has no end."""

    window: Window
    bucket: Bucket
    zone: ZoneInfo
    now: datetime


async def log_stats(db: Runner, keys: Sequence[Asked]) -> list[list[Row]]:
    """How many logs (`number`) of each `msg`, of long ones by their first 128 characters, each node has; those first of
    which there are most. The question is a StatQuestion.
    """
    return await answered(keys, partial(_stats, db))


async def log_lines(db: Runner, keys: Sequence[Asked]) -> list[list[LogLine]]:
    """The same over time, a line for each type, by msg; the question is a LineQuestion.

    A window without a beginning is refused, as are more than MAX_POINTS points of a node.
    """
    return await answered(keys, partial(_lines, db))


async def _stats(db: Runner, peers: list[int], question: StatQuestion) -> list[list[Row]]:
    window = question.window
    rows = await db.fetch(
        COUNTS, peers=peers, since=window.since, until=window.until, starts=None, limit=question.limit
    )
    return by_peer(rows, peers)


async def _lines(db: Runner, peers: list[int], question: LineQuestion) -> list[list[LogLine]]:
    since, until = question.window.since, question.window.until or question.now
    if since is None:
        raise InvalidArgument("during: a series needs since, or last", field="during")
    edges = bucket_starts(question.bucket, since, until, question.zone, MAX_POINTS)
    refused = partial(refusal, question.bucket, since, until, question.zone)
    if number_of_buckets(edges, until) > MAX_POINTS:
        raise refused(1)
    if not edges:
        return [[] for _ in peers]
    rows = await db.fetch(COUNTS, peers=peers, since=since, until=until, starts=edges[:-1], limit=MAX_POINTS + 1)
    lines = [_line_counts(those) for those in by_peer(rows, peers)]
    if widest := max((len(counts) for counts in lines if len(counts) * (len(edges) - 1) > MAX_POINTS), default=0):
        raise refused(widest)
    return [_lines_of(edges, until, counts) for counts in lines]


def _line_counts(rows: Sequence[Row]) -> dict[str | None, dict[int, int]]:
    counts: dict[str | None, dict[int, int]] = {}
    for row in rows:
        counts.setdefault(row.msg, {})[row.bucket] = row.number
    return counts


def _lines_of(edges: list[datetime], until: datetime, counts: dict[str | None, dict[int, int]]) -> list[LogLine]:
    edges = without_an_empty_end(edges, until, counts.values())
    ordered = sorted(counts.items(), key=lambda line: (line[0] is None, line[0] or ""))
    return [
        LogLine(msg, [LogPoint(*edge, found.get(number, 0)) for number, edge in enumerate(pairwise(edges), start=1)])
        for msg, found in ordered
    ]
