"""Streams of events, each for one reader: of what happened, and of what became of it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from resolvers.errors import Overloaded, PodiumError

MAX_WAITING = 10_000
LEAST_S = 1.0  # between two computations
MOST_S = 60.0  # for what changes with the time alone

Event = TypeVar("Event")
State = TypeVar("State")


class Stream(Generic[Event]):
    """Events for one subscriber, in the rounds in which they came; `end` lets it end, with an error or without."""

    def __init__(self, leave: Callable[["Stream[Any]"], None]) -> None:
        self.since: datetime | None = None  # by the database's clock; None before it is open
        self._leave = leave
        self._waiting: list[Event] = []
        self._wake = asyncio.Event()
        self._over = asyncio.Event()
        self._error: PodiumError | None = None

    @property
    def waiting(self) -> int:
        """How many events were not fetched yet."""
        return len(self._waiting)

    def put(self, events: Sequence[Event]) -> None:
        """Add events; a subscriber that does not fetch them is not waited for."""
        if len(self._waiting) > MAX_WAITING:
            self.end(Overloaded("results come faster than this subscription is computed", hint="narrow its filter"))
        if events and not self._over.is_set():
            self._waiting.extend(events)
            self._wake.set()

    def end(self, error: PodiumError | None = None) -> None:
        """No more events."""
        if not self._over.is_set():
            self._error = error
            self._over.set()
            self._wake.set()

    async def ends_within(self, seconds: float) -> bool:
        """Wait that long for the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Event]:
        while not self._waiting and not self._over.is_set():
            self._wake.clear()
            await self._wake.wait()
        if self._waiting:
            events, self._waiting = self._waiting, []
            return events
        await self.aclose()
        raise self._error or StopAsyncIteration

    async def aclose(self) -> None:
        """Leave."""
        self.end()
        self._leave(self)


class States(Generic[State]):
    """Successive states of one thing, of which only changes are worth telling; the first is that of the beginning.

    They are computed when `changes` has an event, at most once a second, and at least every minute.
    """

    def __init__(self, changes: Stream[None], compute: Callable[[], Awaitable[State]]) -> None:
        self._changes = changes
        self._compute = compute
        self._states = self._generate()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[State]:
        return [await anext(self._states)]

    async def aclose(self) -> None:
        """Leave."""
        await self._states.aclose()
        await self._changes.aclose()

    async def _generate(self) -> AsyncGenerator[State, None]:
        yield await self._compute()
        while await self._is_due():
            try:
                state = await self._compute()
            except PodiumError:  # the database may be back in a moment
                if not await self._changes.ends_within(LEAST_S):
                    yield await self._compute()
            else:
                yield state

    async def _is_due(self) -> bool:
        await self._changes.ends_within(LEAST_S)
        try:
            async with asyncio.timeout(MOST_S):
                await anext(self._changes)
        except TimeoutError:
            return True
        except StopAsyncIteration:
            return False
        return True
