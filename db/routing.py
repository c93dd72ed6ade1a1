"""Reads that lead to a replica while it is well, and to the primary while it is not."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, TypeVar

from db.pool import Pool, Row
from db.statements import Statement

Found = TypeVar("Found")


class Source(StrEnum):
    """Where reads lead to: `OWN` is a login of their own on the primary."""

    PRIMARY = "primary"
    REPLICA = "replica"
    OWN = "own"


class RoutedReads:
    """Runs single statements that read, each where `source` leads at that moment.

    One that fails because the replica is away leads all that follow to the primary, and is run once more there; so is
    what failed for any reason on a replica that was left meanwhile. `moved` is told of each new source and its reason.
    """

    def __init__(
        self,
        own: Pool,
        primary: Pool,
        is_away: Callable[[Exception], bool],
        moved: Callable[[Source, str], None],
    ) -> None:
        self.own = own
        self.primary = primary
        self.source = Source.PRIMARY
        # Statements by where they were answered; repeated are those that the replica had failed to.
        self.counts = {"primary": 0, "replica": 0, "own": 0, "repeated": 0}
        self._reason = ""
        self._is_away = is_away
        self._moved = moved

    @property
    def size(self) -> int:
        """Open connections, wherever they lead."""
        return self.own.size + self.primary.size

    @property
    def idle(self) -> int:
        """Open connections that nobody uses."""
        return self.own.idle + self.primary.idle

    def move(self, source: Source, reason: str) -> None:
        """Lead statements there from now on."""
        if (source, reason) != (self.source, self._reason):
            self.source, self._reason = source, reason
            self._moved(source, reason)

    async def open(self) -> None:
        """Connect to the primary, and to the replica unless it is away."""
        await self.primary.open()
        with suppress(Exception):  # whoever decides about the source finds out, and says so
            await self.own.open()

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(self.own.close(), self.primary.close())

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        return await self._run(lambda pool: pool.fetch(statement, **parameters))

    async def fetchrow(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, None where there is none."""
        return await self._run(lambda pool: pool.fetchrow(statement, **parameters))

    async def fetchval(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row."""
        return await self._run(lambda pool: pool.fetchval(statement, **parameters))

    async def _run(self, run: Callable[[Pool], Awaitable[Found]]) -> Found:
        source = self.source
        if source is not Source.REPLICA:
            self.counts[source] += 1
            return await run(self.primary if source is Source.PRIMARY else self.own)
        try:
            found = await run(self.own)
        except Exception as error:
            if self._is_away(error):
                self.move(Source.PRIMARY, "replica_failed")
            if self.source is Source.REPLICA:
                raise
            self.counts["repeated"] += 1
            return await run(self.primary)
        self.counts["replica"] += 1
        return found
