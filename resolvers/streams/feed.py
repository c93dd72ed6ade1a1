"""Tells subscribers that something has changed about a viewer, as soon as the database calls it out."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any

from resolvers.errors import NotFound, PodiumError, Unavailable
from resolvers.loops import Loops
from resolvers.patience import Deadline, opening
from resolvers.sources import States, Stream
from resolvers.streams.seats import Seats
from resolvers.streams.viewers import Viewer

CHANNEL = "podium_viewers"
PATIENCE_S = 1.5
FOLLOWED_S, RENEWED_S = 60.0, 20.0  # for how long changes are called out, and after which time that is asked for again


class ViewerFeed:
    """Who wants to know of which viewers. `listen` makes the loop that hears of them, which runs while anybody does; to
    it, this is the audience.
    """

    def __init__(self, seats: Seats, listen: Callable[["ViewerFeed"], Coroutine[Any, Any, None]]) -> None:
        self._seats = seats
        self._listen = listen
        self._streams: dict[str, set[Stream[Any]]] = {}
        self._is_up = asyncio.Event()
        self._loops = Loops()
        self._deadline = Deadline(PATIENCE_S, self._end_all)
        self._following: asyncio.Task[None] | None = None
        self._follow_at = 0.0
        self._may_have_missed = False

    @property
    def is_listening(self) -> bool:
        """Whether anybody listens."""
        return bool(self._streams)

    async def states(self, viewer: str) -> States[Viewer]:
        """The viewer as it is, and as it is again when it has changed; NotFound if there is none, Unavailable when it
        cannot be heard of.
        """
        changes: Stream[None] = Stream(partial(self._leave, viewer))
        if not self._streams:
            self._loops.start(self._listen(self))
        self._streams.setdefault(viewer, set()).add(changes)
        async with opening(changes, PATIENCE_S):
            await self._is_up.wait()
            await self._seats.follow([viewer], FOLLOWED_S)
        return States(changes, partial(self._read, viewer))

    async def close(self) -> None:
        """End all subscriptions."""
        for stream in self._all():
            await stream.aclose()
        await self._loops.ended()
        await asyncio.gather(*filter(None, [self._following]), return_exceptions=True)

    def heard(self, channel: str, payload: str) -> None:
        """A viewer has changed."""
        for stream in self._streams.get(payload, ()):
            stream.put([None])

    def line_answers(self, at: datetime) -> None:
        """The line works; what was called out while there was none may be anything."""
        self._deadline.clear()
        now = asyncio.get_running_loop().time()
        if not self._is_up.is_set():
            self._is_up.set()
            self._may_have_missed = True
            self._follow_at = now
        if now >= self._follow_at and (self._following is None or self._following.done()):
            self._follow_at = now + RENEWED_S
            self._following = asyncio.create_task(self._follow())

    def line_is_lost(self) -> None:
        """Nothing is heard from now on, until the line answers again."""
        self._is_up.clear()
        self._deadline.set()

    async def _follow(self) -> None:
        try:
            await self._seats.follow(self._streams, FOLLOWED_S)
        except PodiumError:  # with the next beat, it is tried again
            self._follow_at = 0.0
            self._may_have_missed = True
            return
        if self._may_have_missed:
            self._may_have_missed = False
            for stream in self._all():
                stream.put([None])

    async def _read(self, id_: str) -> Viewer:
        viewer = await self._seats.viewer(id_)
        if viewer is None:
            raise NotFound("there is no viewer with this id", field="id")
        return viewer

    def _all(self) -> list[Stream[Any]]:
        return [stream for streams in self._streams.values() for stream in streams]

    def _end_all(self) -> None:
        for stream in self._all():
            stream.end(Unavailable())

    def _leave(self, viewer: str, stream: Stream[Any]) -> None:
        streams = self._streams.get(viewer, set())
        streams.discard(stream)
        if not streams:
            self._streams.pop(viewer, None)
        if not self._streams:
            self._loops.stop()
            self._is_up.clear()
            self._deadline.clear()
