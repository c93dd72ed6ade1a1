"""The wish that everything ends, waiting that hears of it, and the end of tasks."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

CANCELLED_AGAIN_S = 0.2

Result = TypeVar("Result")


class Stopping:
    """Set once, by a signal."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_wished(self) -> bool:
        """Whether everything should end."""
        return self._event.is_set()

    def wish(self) -> None:
        """End everything."""
        self._event.set()

    async def within(self, seconds: float) -> bool:
        """Wait so long, or until everything should end, which is answered."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def during(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """What comes of some work; None where everything should end meanwhile."""
        working = asyncio.ensure_future(work)
        waiting = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        finally:
            await end_tasks([working, waiting])


async def end_tasks(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks until they have ended: what is cancelled while it connects may go on as if nothing had been said."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCELLED_AGAIN_S)
