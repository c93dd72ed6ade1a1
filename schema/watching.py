"""What viewers do through the graph, and what administrators do about them."""

from collections.abc import Awaitable
from typing import Annotated, Any

import strawberry
from strawberry import Info

from resolvers.errors import RateLimited, StreamLimitReached
from resolvers.streams.seats import MAX_LIMIT
from schema.administration import EXPECTED, MutationError, mutation_errors
from schema.context import context_of
from schema.permissions import ADMIN, WATCH
from schema.viewers import ActiveStream, Stream, StreamId, Viewer, ViewerId

ERRORS = "Why nothing was done; empty when all is well."


@strawberry.type(description="A viewer that watches as many streams as it may, so that one of them can be stopped.")
class LimitReached:
    limit: int = strawberry.field(description="How many it may watch at the same time.")
    active_streams: list[ActiveStream] = strawberry.field(
        description="Those that it watches, the oldest first, read right after it was refused."
    )


@strawberry.type(description="The viewer that was made, or why none was.")
class CreateViewerPayload:
    viewer: Viewer | None = strawberry.field(description="The viewer; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The stream that was made, or why none was.")
class CreateStreamPayload:
    stream: Stream | None = strawberry.field(description="The stream; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The viewer, who watches the stream, or why it may not.")
class ActivateStreamPayload:
    viewer: Viewer | None = strawberry.field(description="The viewer; null when there are errors.")
    limit_reached: LimitReached | None = strawberry.field(
        default=None, description="What it watches instead, when that is why; otherwise null."
    )
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The viewer, who does not watch the stream, or why nothing was done.")
class DeactivateStreamPayload:
    viewer: Viewer | None = strawberry.field(description="The viewer; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The viewer with its limit, or why it was not set.")
class SetStreamLimitPayload:
    viewer: Viewer | None = strawberry.field(description="The viewer; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type(description="The viewer without the streams, or why nothing was done.")
class ReleaseStreamsPayload:
    viewer: Viewer | None = strawberry.field(description="The viewer; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description=ERRORS)


@strawberry.type
class WatchingMutation:
    @strawberry.mutation(
        extensions=[WATCH], description="Makes an id for a viewer. How often one client may is limited, at both doors."
    )
    async def create_viewer(self, info: Info) -> CreateViewerPayload:
        seats = context_of(info).backend.watching.seats
        try:
            await _take_rate(info)
        except RateLimited as error:
            return CreateViewerPayload(viewer=None, errors=mutation_errors(error))
        viewer: Any = await seats.viewer(await seats.add_viewer())
        return CreateViewerPayload(viewer=viewer, errors=[])

    @strawberry.mutation(
        extensions=[WATCH], description="Makes an id for a stream. How often one client may is limited, at both doors."
    )
    async def create_stream(self, info: Info) -> CreateStreamPayload:
        seats = context_of(info).backend.watching.seats
        try:
            await _take_rate(info)
        except RateLimited as error:
            return CreateStreamPayload(stream=None, errors=mutation_errors(error))
        stream: Any = await seats.stream(await seats.add_stream())
        return CreateStreamPayload(stream=stream, errors=[])

    @strawberry.mutation(
        extensions=[WATCH],
        description="A viewer watches a stream from now on, unless it watches as many others as it may. One that it "
        "watches already is renewed, and takes no further place.",
    )
    async def activate_stream(self, info: Info, viewer: ViewerId, stream: StreamId) -> ActivateStreamPayload:
        seats = context_of(info).backend.watching.seats
        try:
            shown: Any = await seats.activate(viewer, stream)
        except StreamLimitReached as error:
            full: Any = await seats.viewer(viewer)
            reached = full and LimitReached(limit=full.limit, active_streams=full.active_streams)
            return ActivateStreamPayload(viewer=None, limit_reached=reached, errors=mutation_errors(error))
        except EXPECTED as error:
            return ActivateStreamPayload(viewer=None, errors=mutation_errors(error))
        return ActivateStreamPayload(viewer=shown, errors=[])

    @strawberry.mutation(
        extensions=[WATCH], description="A viewer watches a stream no more; all is well if it never did."
    )
    async def deactivate_stream(self, info: Info, viewer: ViewerId, stream: StreamId) -> DeactivateStreamPayload:
        found, errors = await _done(context_of(info).backend.watching.seats.deactivate(viewer, stream))
        return DeactivateStreamPayload(viewer=found, errors=errors)

    @strawberry.mutation(
        extensions=[ADMIN],
        description="Says how many streams a viewer may watch at the same time. What it watches goes on, also above "
        "that.",
    )
    async def set_stream_limit(
        self,
        info: Info,
        viewer: ViewerId,
        limit: Annotated[
            int | None, strawberry.argument(description=f"0 to {MAX_LIMIT}; null for that of everybody else.")
        ] = None,
    ) -> SetStreamLimitPayload:
        context = context_of(info)
        found, errors = await _done(context.backend.watching.seats.set_limit(viewer, limit, actor=context.actor))
        return SetStreamLimitPayload(viewer=found, errors=errors)

    @strawberry.mutation(
        extensions=[ADMIN],
        description="Frees streams of a viewer, as those of a player that has crashed. A player that goes on is not "
        "stopped, and may activate them again.",
    )
    async def release_streams(
        self,
        info: Info,
        viewer: ViewerId,
        streams: Annotated[
            list[strawberry.ID] | None,
            strawberry.argument(description="Which ones, whether it watches them or not; all of them if null."),
        ] = None,
    ) -> ReleaseStreamsPayload:
        context = context_of(info)
        found, errors = await _done(context.backend.watching.seats.release(viewer, streams, actor=context.actor))
        return ReleaseStreamsPayload(viewer=found, errors=errors)


async def _take_rate(info: Info) -> None:
    context = context_of(info)
    await context.backend.watching.rates.take(context.identity.address)


async def _done(deed: Awaitable[Any]) -> tuple[Any, list[MutationError]]:
    try:
        return await deed, []
    except EXPECTED as error:
        return None, mutation_errors(error)
