"""Tells one who begins to listen what was stored before, until what is read for all goes on: no gap, nothing twice."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from resolvers.errors import PodiumError
from resolvers.telemetry.listening import Listening
from resolvers.telemetry.live_rows import LogRows, Position
from resolvers.telemetry.looking import Looking
from resolvers.telemetry.reader import Names, Reader, Wanted, has_more

PAUSE_S = 1.0  # after a failure

Answer = TypeVar("Answer")


class CatchingUp:
    """One who catches up. `turns` bounds how many ask at once: connections are for what is stored and told."""

    def __init__(
        self,
        reader: Reader,
        looking: Looking,
        listening: Listening,
        turns: asyncio.Semaphore,
        report: Callable[..., None],
    ) -> None:
        self._reader = reader
        self._looking = looking
        self._listening = listening
        self._turns = turns
        self._report = report

    async def run(self, start: datetime, admit: Callable[[], None]) -> None:
        """Tell what the node has said after `start`, as the listener takes it, and `admit` it when that is all."""
        try:
            await self._looking.is_up.wait()
            until = self._looking.position
            await self._tell_past(start, until)
            # While something is read for all, it cannot be told what of it is missing here.
            while not (self._looking.is_idle.is_set() and self._looking.position == until):
                await self._looking.is_idle.wait()
                after, until = until, self._looking.position
                await self._tell_meanwhile(after, until)
            admit()
        except Exception as error:
            self._report("internal_error", error=error)

    async def _tell_past(self, start: datetime, until: Position) -> None:
        """What was stored until then, in the order of the node's clock."""
        after = Position(start)
        names = await self._names()
        while names:
            question = next(iter(names)), self._listening.pair.type, after, until
            page = await self._patiently(self._reader.past, *question)
            await self._tell(LogRows(page).with_msg(self._listening.pair.msg))
            if not has_more(page):
                break
            after = Position(page[-1].ts, page[-1].id)

    async def _tell_meanwhile(self, after: Position, until: Position) -> None:
        """What was stored between the two, in that order."""
        wanted = Wanted.of([self._listening.pair], await self._names())
        while wanted.names and after < until:
            page = await self._patiently(self._reader.between, wanted, after, until)
            for _, rows in wanted.sorted_out(page):
                await self._tell(rows)
            after = Position(page[-1].stored_at, page[-1].id) if has_more(page) else until

    async def _tell(self, rows: LogRows) -> None:
        self._listening.deliver(rows, self._report)
        self._listening.settled(None, self._report)
        await self._listening.listener.drained()

    async def _names(self) -> Names:
        return await self._patiently(self._reader.names, [self._listening.pair.peer_id])

    async def _patiently(self, ask: Callable[..., Awaitable[Answer]], *question: object) -> Answer:
        """The answer, whatever it takes."""
        while True:
            try:
                async with self._turns:
                    return await ask(*question)
            except PodiumError as error:
                self._report("feed_failed", error=error)
            await asyncio.sleep(PAUSE_S)
