"""Rolls up what never was, and looks whether the roll-ups of the last days are still right."""

import asyncio
from collections.abc import Awaitable, Callable

INTERVAL_S = 3600.0
RETRY_S = 5.0


async def keep_rollups(
    build: Callable[[], Awaitable[None]], repair: Callable[[], Awaitable[None]], report: Callable[..., None]
) -> None:
    """Call `build`, and then `repair`, now and every hour, sooner after a failure, until cancelled."""
    while True:
        try:
            await build()
            await repair()
            await asyncio.sleep(INTERVAL_S)
        except Exception as error:  # a loop outlives every failure
            report("rollups_failed", error=error)
            await asyncio.sleep(RETRY_S)
