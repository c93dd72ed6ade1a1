"""Looks up names, each once at a time, in threads of their own: one that nobody answers holds up no other."""

import asyncio
import errno
import os
import socket
from contextlib import suppress
from threading import Thread
from typing import Any

MOST_AT_ONCE = 16

Found = list[tuple[Any, ...]]


class Lookups:
    """Those under way. Who waits no longer leaves one to the next who asks for the same, as it cannot be ended."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[Any, ...], asyncio.Future[Found]] = {}

    async def found(self, host: str, port: int, family: socket.AddressFamily) -> Found:
        """What the system has for a name, in the form of `getaddrinfo`; OSError where that is nothing."""
        asked = (host, port, family)
        if asked not in self._under_way:
            if len(self._under_way) >= MOST_AT_ONCE:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            self._under_way[asked] = self._begin(asked)
        return await asyncio.shield(self._under_way[asked])

    def _begin(self, asked: tuple[Any, ...]) -> "asyncio.Future[Found]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Found] = loop.create_future()

        def end(found: Found | Exception) -> None:
            self._under_way.pop(asked)
            if isinstance(found, Exception):
                future.set_exception(found)
                future.exception()  # it may be that nobody waits any more
            else:
                future.set_result(found)

        def look() -> None:
            found = _found(*asked)
            with suppress(RuntimeError):  # everything has ended meanwhile
                loop.call_soon_threadsafe(end, found)

        Thread(target=look, name=f"looks up {asked[0]}", daemon=True).start()
        return future


def _found(host: str, port: int, family: socket.AddressFamily) -> Found | Exception:
    try:
        return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except Exception as error:
        return error
