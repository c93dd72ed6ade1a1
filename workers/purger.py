"""Purges what nodes have said when it has expired."""

import asyncio
from collections.abc import Awaitable, Callable

RETRY_S = 60.0


async def purge_regularly(purge: Callable[[], Awaitable[None]], report: Callable[..., None], interval_s: float) -> None:
    """Call `purge` now and then, with so many seconds from one end to the next start; sooner after a failure."""
    while True:
        try:
            await purge()
            pause_s = interval_s
        except Exception as error:  # a loop outlives every failure
            report("purge_failed", error=error)
            pause_s = min(RETRY_S, interval_s)
        await asyncio.sleep(pause_s)
