"""A connection of its own, on which Postgres calls out what was announced."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Self

import asyncpg

from db.statements import STATEMENTS

CLOCK = STATEMENTS["results.clock"]
CONNECT_TIMEOUT_S = 1.0
ANSWER_TIMEOUT_S = 1.0

Heard = Callable[[str, str], None]


class ListeningLine:
    """Hears notifications until it is lost or closed; `heard` gets the channel and the payload of each."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lost = asyncio.Event()
        connection.add_termination_listener(lambda _: self._lost.set())

    @classmethod
    async def open(cls, url: str, channels: Sequence[str], name: str, heard: Heard) -> Self:
        """A line that listens already, with a name for pg_stat_activity.

        The URL leads to the server itself, since pgbouncer passes no notifications on.
        """
        settings = {"application_name": name}
        connection: Any = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S, server_settings=settings)
        line = cls(connection)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                for channel in channels:
                    await connection.add_listener(channel, lambda _c, _pid, name, payload: heard(name, payload))
        except BaseException:
            connection.terminate()
            raise
        return line

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
