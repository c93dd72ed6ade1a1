"""What a parent and a worker say to each other, over a socket that both have from the start."""

import asyncio
import pickle
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from prometheus_client import Metric

from gateway.parts import Urls
from gateway.settings import Settings

LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Job:
    """The first word of the parent: which worker this is, from 1 on, and what it shall do."""

    number: int
    settings: Settings
    urls: Urls


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says once a second: connections that it has taken up to now, and those open; and its metrics.

    When it `asks`, it gets the metrics of all in return, as a list of sources to be merged.
    """

    taken: int
    open: int
    families: list[Metric]
    asks: bool = False


class Line:
    """Sends and receives objects. Their form is pickle's, since both ends are one program and nobody else has any."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """A line over a connected socket."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: object) -> None:
        """Send, unless nobody is there any more."""
        if not self._writer.is_closing():
            data = pickle.dumps(message)
            self._writer.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)

    async def receive(self) -> Any:
        """The next object, None when the other end is closed."""
        try:
            length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
            return pickle.loads(await self._reader.readexactly(length))  # noqa: S301  from our own process
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def close(self) -> None:
        """Send what is left, and close."""
        self._writer.close()
        with suppress(OSError):  # nobody is there
            await self._writer.wait_closed()
