"""A connection of its own beside the pools, for what lasts as long as a session: hearing, and holding a lock."""

import asyncio
from datetime import datetime
from typing import Any, Self

import asyncpg

from db.statements import STATEMENTS

CLOCK = STATEMENTS["results.clock"]
CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 1.0


class Line:
    """A session that is known by its name in pg_stat_activity, until it is lost or closed.

    Its URL leads to the server itself: behind pgbouncer in transaction mode, there are no sessions.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lost = asyncio.Event()
        connection.add_termination_listener(lambda _: self._lost.set())

    @classmethod
    async def _connected(cls, url: str, name: str, **settings: str) -> Self:
        settings["application_name"] = name
        return cls(await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=settings))

    async def clock(self) -> datetime:
        """The server's time; what was announced before it has been heard. It fails when the line is dead."""
        answer: datetime = await self._connection.fetchval(CLOCK.sql, timeout=ANSWER_TIMEOUT_S)
        return answer

    async def is_lost_within(self, seconds: float) -> bool:
        """Wait that long for the end of the line."""
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Hang up, politely where somebody is there."""
        try:
            await self._connection.close(timeout=ANSWER_TIMEOUT_S)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._connection.terminate()
