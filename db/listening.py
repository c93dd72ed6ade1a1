"""A line on which Postgres calls out what was announced."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Self

from db.line import CONNECT_TIMEOUT_S, Line

Heard = Callable[[str, str], None]


class ListeningLine(Line):
    """Hears notifications until it is lost or closed; `heard` gets the channel and the payload of each."""

    @classmethod
    async def open(cls, url: str, channels: Sequence[str], name: str, heard: Heard) -> Self:
        """A line that listens already."""
        line = await cls._connected(url, name)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                for channel in channels:
                    await line._connection.add_listener(channel, lambda _c, _pid, name, payload: heard(name, payload))
        except BaseException:
            line._connection.terminate()
            raise
        return line
