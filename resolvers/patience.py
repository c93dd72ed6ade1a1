"""How long those who want to hear of something wait for the line on which it is called out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from resolvers.errors import Unavailable
from resolvers.sources import Stream


@asynccontextmanager
async def opening(stream: Stream[Any], seconds: float) -> AsyncIterator[None]:
    """What a stream needs before it can be read: it is closed if that fails, with Unavailable if it takes too long."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except BaseException as error:
        await stream.aclose()
        if isinstance(error, TimeoutError):
            raise Unavailable from None
        raise


class Deadline:
    """Calls `give_up` when it was set for so many seconds, and not cleared meanwhile."""

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """From now on, or from when it was set already."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._pass)

    def clear(self) -> None:
        """All is well."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _pass(self) -> None:
        self._timer = None
        self._give_up()
