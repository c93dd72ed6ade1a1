"""Loops that run while anybody listens."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Loops:
    """Loops that are started and stopped together, again and again."""

    def __init__(self) -> None:
        self._running: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()  # those too that are about to end

    def start(self, *loops: Coroutine[Any, Any, None]) -> None:
        """Run these until `stop`."""
        self._running = [asyncio.create_task(loop) for loop in loops]
        for task in self._running:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Cancel them, and wait for none."""
        for task in self._running:
            task.cancel()
        self._running = []

    async def ended(self) -> None:
        """Wait until all that were stopped have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
