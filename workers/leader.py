"""Among all gateways of a database one leads, the one that holds a lock there: it runs what only one shall run."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from random import uniform
from typing import Protocol

HEARTBEAT_S = 1.0
PAUSE_S = (0.7, 1.1)  # between two attempts, at random, so that gateways do not all try at once

Loops = Mapping[str, Callable[[], Coroutine[None, None, None]]]


class Line(Protocol):
    """An open line; db/leading.py has the real one."""

    async def try_to_lead(self) -> bool:
        """Take the lock, which is held to the end of the line, if nobody has it."""

    async def clock(self) -> datetime:
        """Any answer of the server; fails when the line is dead."""

    async def is_lost_within(self, seconds: float) -> bool:
        """Wait that long for the end of the line."""

    async def close(self) -> None:
        """Hang up."""


class Leader:
    """Tries to lead, and runs the loops, which it calls by their names, whenever and only while it does.

    When the line is lost the loops are cancelled at once, because others may lead by then.
    """

    def __init__(self, connect: Callable[[], Awaitable[Line]], loops: Loops, report: Callable[..., None]) -> None:
        self._connect = connect
        self._loops = loops
        self._report = report
        self.leads = False

    async def run(self) -> None:
        """Go on until cancelled, over as many lines as it takes."""
        while True:
            line = await self._connected()
            try:
                await self._use(line)
            except Exception as error:  # a loop outlives every failure
                self._report("leadership_failed", error=error)
            finally:
                await line.close()

    async def _connected(self) -> Line:
        is_reported = False
        while True:
            try:
                return await self._connect()
            except Exception as error:  # it may be over at the next attempt
                if not is_reported:
                    self._report("leadership_failed", error=error)
                is_reported = True
            await asyncio.sleep(_pause_s())

    async def _use(self, line: Line) -> None:
        while not await line.try_to_lead():
            if await line.is_lost_within(_pause_s()):
                return
        self._report("leadership_taken")
        try:
            await self._lead(line)
        except Exception as error:
            self._report("leadership_lost", error=error)
        else:
            self._report("leadership_lost")

    async def _lead(self, line: Line) -> None:
        """Run the loops until the line is lost; it fails when it does not answer."""
        self.leads = True
        tasks = [asyncio.create_task(loop(), name=name) for name, loop in self._loops.items()]
        try:
            while not await line.is_lost_within(HEARTBEAT_S):
                await line.clock()
        finally:
            self.leads = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _pause_s() -> float:
    return uniform(*PAUSE_S)  # noqa: S311
