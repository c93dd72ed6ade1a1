"""Keeps a line to the database on which it calls out what has changed, as long as somebody wants to hear it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import chain, repeat
from typing import Protocol

HEARTBEAT_S = 1.0
PAUSES_S = (0, 0.02, 0.05, 0.1)  # before each attempt, and then 0.2

Heard = Callable[[str, str], None]


class Line(Protocol):
    """An open line; db/listening.py has the real one."""

    async def clock(self) -> datetime:
        """The server's time; fails when the line is dead."""

    async def is_lost_within(self, seconds: float) -> bool:
        """Wait that long for the end of the line."""

    async def close(self) -> None:
        """Hang up."""


class Audience(Protocol):
    """Whom the listener tells what happens; resolvers/broadcast.py and resolvers/versions.py have the real ones."""

    def heard(self, channel: str, payload: str) -> None:
        """Something was announced."""

    def line_answers(self, at: datetime) -> None:
        """The line works; everything announced before this time of the server has been heard."""

    def line_is_lost(self) -> None:
        """Nothing is heard from now on, until the line answers again."""


async def listen(audience: Audience, connect: Callable[[Heard], Awaitable[Line]], report: Callable[..., None]) -> None:
    """Listen until cancelled, over as many lines as it takes."""
    while True:
        line = await _connected(connect, audience.heard, report)
        try:
            await _attend(line, audience, report)
            report("listener_lost")
            audience.line_is_lost()  # before it is hung up, which takes its time when nobody is there
        finally:
            await line.close()


async def _attend(line: Line, audience: Audience, report: Callable[..., None]) -> None:
    """Return when the line is lost."""
    try:
        audience.line_answers(await line.clock())
        while not await line.is_lost_within(HEARTBEAT_S):
            audience.line_answers(await line.clock())
    except Exception as error:  # a loop outlives every failure
        report("listener_failed", error=error)


async def _connected(connect: Callable[[Heard], Awaitable[Line]], heard: Heard, report: Callable[..., None]) -> Line:
    for attempt, pause_s in enumerate(chain(PAUSES_S, repeat(0.2))):
        await asyncio.sleep(pause_s)
        try:
            return await connect(heard)
        except Exception as error:  # it may be over at the next attempt
            if attempt == 0:
                report("listener_failed", error=error)
    raise AssertionError("attempts have no end")
