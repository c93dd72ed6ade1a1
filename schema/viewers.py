"""Viewers in the graph: how many streams they may watch at the same time, and those that they do."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry
from strawberry import Info

from resolvers.page import encode_cursor, page_request
from resolvers.streams.viewers import count_viewers, viewers_page
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.permissions import ADMIN, WATCH

ViewerId = Annotated[strawberry.ID, strawberry.argument(description="The viewer's id: `x-userid` of the old URLs.")]
StreamId = Annotated[strawberry.ID, strawberry.argument(description="The stream's id.")]


@strawberry.type(
    description="A stream that a viewer watches. Its id is that of the stream, which others may watch as well: caches "
    "must not take equal ids for equal objects."
)
class ActiveStream:
    id: strawberry.ID = strawberry.field(description="The stream's id.")
    since: datetime = strawberry.field(description="When it was activated.")
    expires_at: datetime | None = strawberry.field(
        description="When it is free again unless it is activated again before; null where that is never."
    )


@strawberry.type(description="Somebody who may watch so many streams at the same time.")
class Viewer:
    id: strawberry.ID = strawberry.field(description="What names it, here and in the old URLs; it is no global id.")
    limit: int = strawberry.field(description="How many streams it may watch at the same time.")
    has_own_limit: bool = strawberry.field(description="Whether that was set for this viewer.")
    active_streams: list[ActiveStream] = strawberry.field(description="Those that it watches, the oldest first.")
    created_at: datetime = strawberry.field(description="When its id was made.")


@strawberry.type(description="Something that can be watched.")
class Stream:
    id: strawberry.ID = strawberry.field(description="What names it, here and in the old URLs; it is no global id.")
    created_at: datetime = strawberry.field(description="When its id was made.")


@strawberry.type
class ViewersQuery:
    @strawberry.field(
        extensions=[WATCH], description="One viewer as it is at this moment; null when podium does not know this id."
    )
    async def viewer(self, info: Info, id: ViewerId) -> Viewer | None:
        context = context_of(info)
        context.reads.is_personal = True  # to be asked again by whoever watches, and kept nowhere
        found: Any = await context.backend.watching.seats.viewer(id)
        viewer: Viewer | None = found
        return viewer

    @strawberry.field(extensions=[WATCH], description="One stream; null when podium does not know this id.")
    async def stream(self, info: Info, id: StreamId) -> Stream | None:
        context = context_of(info)
        context.reads.is_personal = True
        found: Any = await context.backend.watching.seats.stream(id)
        stream: Stream | None = found
        return stream

    @strawberry.field(
        extensions=[ADMIN],
        description="All viewers, by their ids. `totalCount` counts each of them, which takes a while when there are "
        "millions.",
    )
    async def viewers(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[Viewer]:
        context = context_of(info)
        default_limit = context.backend.watching.seats.rules.limit
        page = await viewers_page(context.db, page_request(first, after, last, before), default_limit=default_limit)
        return connection(page, lambda viewer: encode_cursor(viewer.id), partial(count_viewers, context.db))
