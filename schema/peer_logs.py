"""What nodes say, in the graph: their logs, whole or in parts, and how many there are of each type."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry
from orjson import Fragment
from strawberry import Info

from resolvers import buckets
from resolvers.filters import Window
from resolvers.page import encode_cursor, page_request, to_micros
from resolvers.telemetry import log_pages, log_series
from resolvers.telemetry.batching import Asked
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.inputs import values_of
from schema.leaderboard import source_row
from schema.scalars import Json, Present, StringIn, TimeRange
from schema.selection import wanted_columns, wanted_values
from schema.series import POINTS_SIZE, Bucket, TimeZone

NETWORK_STATE = log_pages.LogFilter(msgs=("system.network_state",))

During = Annotated[
    TimeRange | None, strawberry.argument(description="When, by the node's own clock; all times if null.")
]
FirstTypes = Annotated[
    int | None, strawberry.argument(description="How many types: at most 1000, 100 when nothing is said.")
]


@strawberry.type(description="A message of a node. Newer nodes wrap what they say: then it is what the wrapping holds.")
class PeerLog:
    at: datetime = strawberry.field(description="When it was, by the node's own clock.")
    stored_at: datetime = strawberry.field(description="When podium stored it.")
    msg: str | None = strawberry.field(description="What kind of message it is, like `block.import`.")
    target: str | None = strawberry.field(description="The part of the node that it is about.")
    level: str | None = strawberry.field(description="How important it is, as the node says.")

    @strawberry.field(description="What tells it from other messages.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(str(source_row(self).id))

    @strawberry.field(
        description="The whole message, as the node sent it: with its wrapping, if it has one.",
        metadata={"columns": ("message",)},
    )
    def message(self) -> Json:
        return Json(Fragment(source_row(self).message))

    @strawberry.field(
        description="A part of what it says, so that large messages need not be read whole; null where there is none.",
        metadata={"columns": ("paths",)},
    )
    def value(
        self,
        path: Annotated[
            str,
            strawberry.argument(
                description="Where it is, as a JSON Pointer (RFC 6901), like `/state/peerset`; an index below 0 counts "
                "from the end of its list."
            ),
        ],
    ) -> Json | None:
        row = source_row(self)
        text = row.picked[row.paths.index(log_pages.path_of(path))]
        return None if text is None else Json(Fragment(text))


@strawberry.input(description="Which messages; conditions that all hold.")
class PeerLogFilter:
    msg: StringIn | None = strawberry.field(default=None, description="Kinds of messages.")
    target: StringIn | None = strawberry.field(default=None, description="Parts of the node.")
    during: TimeRange | None = strawberry.field(default=None, description="When, by the node's own clock.")
    is_audit: bool | None = strawberry.field(
        default=None, description="Whether they came by `/audit` and are kept for ever."
    )


@strawberry.type(description="How many messages of a kind a node has.")
class LogStat:
    msg: str | None = strawberry.field(
        description="The kind of message, at most its first 128 characters; null for those that name none."
    )
    count: int = strawberry.field(description="How many.")


@strawberry.type(description="How many messages a bucket of time has.")
class LogPoint:
    at: datetime = strawberry.field(description="When the bucket begins; the first one may begin before the window.")
    until: datetime = strawberry.field(description="When the next one begins.")
    count: int = strawberry.field(description="How many; 0 in an empty bucket.")


@strawberry.type(description="How many messages of a kind a node has, over time.")
class LogSeries:
    msg: str | None = strawberry.field(
        description="The kind of message, at most its first 128 characters; null for those that name none."
    )
    points: list[LogPoint] = strawberry.field(
        description="Every bucket of the window, the empty ones too.", metadata={"size": POINTS_SIZE}
    )


@strawberry.type
class PeerLogs:
    """What a node has said."""

    @strawberry.field(
        description="What it has said, newest first. Of messages, only what is selected is read: ask for parts of "
        "large ones."
    )
    async def logs(
        self,
        info: Info,
        filter: Annotated[PeerLogFilter | None, strawberry.argument(description="Which messages.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[PeerLog]:
        context, id_ = context_of(info), source_row(self).id
        wanted, request = _log_filter(filter, context), page_request(first, after, last, before)
        page = await context.loader(log_pages.logs).load(Asked(id_, _question(info, wanted, request, *NODES)))
        count = partial(context.loader(log_pages.count_logs).load, Asked(id_, wanted))
        return connection(page, lambda row: encode_cursor(to_micros(row.at), row.id), count)

    @strawberry.field(description="The latest message in which it tells how it sees the network; null without any.")
    async def network_state(self, info: Info) -> PeerLog | None:
        question = _question(info, NETWORK_STATE, page_request(1, None, None, None), "")
        page = await context_of(info).loader(log_pages.logs).load(Asked(source_row(self).id, question))
        return page.items[0] if page.items else None

    @strawberry.field(description="How many messages of each kind it has; those first of which there are most.")
    async def log_stats(self, info: Info, during: During = None, first: FirstTypes = None) -> list[LogStat]:
        context = context_of(info)
        question = log_series.StatQuestion(_window(during, context), page_request(first, None, None, None).size)
        rows = await context.loader(log_series.log_stats).load(Asked(source_row(self).id, question))
        return [LogStat(msg=row.msg, count=row.number) for row in rows]

    @strawberry.field(
        description="How many messages of each kind it has over time, one line for each, by the node's own clock; in "
        "the default window when no other is given."
    )
    async def log_series(
        self,
        info: Info,
        bucket: Annotated[Bucket, strawberry.argument(description="How long a point is.")],
        during: Annotated[TimeRange | None, strawberry.argument(description="The default window if null.")] = None,
        time_zone: TimeZone = "UTC",
    ) -> list[LogSeries]:
        context = context_of(info)
        length, zone = buckets.Bucket(str(bucket.value)), buckets.time_zone(time_zone)
        question = log_series.LineQuestion(context.window(during), length, zone, context.now)
        lines: list[Any] = await context.loader(log_series.log_lines).load(Asked(source_row(self).id, question))
        context.take_points(sum(len(line.points) for line in lines))
        return lines


NODES = ("nodes", "edges.node")


def _question(info: Info, wanted: log_pages.LogFilter, request: Any, *below: str) -> log_pages.LogQuestion:
    columns = wanted_columns(info, *below)
    paths = wanted_values(info, "value", "path", *below) if "paths" in columns else ()
    return log_pages.LogQuestion(wanted, request, columns, tuple(map(log_pages.path_of, paths)))


def _log_filter(given: PeerLogFilter | None, present: Present) -> log_pages.LogFilter:
    if given is None:
        return log_pages.LogFilter()
    return log_pages.LogFilter(
        msgs=values_of(given.msg, "msg"),
        targets=values_of(given.target, "target"),
        window=_window(given.during, present),
        is_audit=given.is_audit,
    )


def _window(during: TimeRange | None, present: Present) -> Window:
    return during.window(present) if during else Window()
