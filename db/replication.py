"""A connection of its own on which a server is asked how far it is, whatever else goes on there."""

import asyncio
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from db.statements import STATEMENTS

POSITION = STATEMENTS["server.position"]
ASK_TIMEOUT_S = 1.0


class Position(NamedTuple):
    """Where a server is: `position` is that in the log of all writes, in bytes, None where there is no such log."""

    started_at: datetime
    database: str
    is_replica: bool
    position: int | None

    def is_server_of(self, other: "Position") -> bool:
        """Whether both are of the same database of the same server."""
        return (self.started_at, self.database) == (other.started_at, other.database)


class Probe:
    """Asks one server for its position. The pools would be busy just when it matters."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None

    async def position(self) -> Position | None:
        """The server's position, None when it does not answer within `ASK_TIMEOUT_S`."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                # pgbouncer gives each statement another connection, and keeps none that are prepared.
                self._connection = self._connection or await asyncpg.connect(self._url, statement_cache_size=0)
                return Position(*await self._connection.fetchrow(POSITION.sql))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            self.close()
            return None

    def close(self) -> None:
        """Hang up, without a word, because nobody may be there; the next question makes a new connection."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
