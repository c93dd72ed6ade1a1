"""Lets go of what is kept no longer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

INTERVAL_S = 3600.0
RETRY_S = 60.0


async def let_go(steps: Sequence[Callable[[datetime], Awaitable[None]]], report: Callable[..., None]) -> None:
    """Call the steps one after the other with the present time, now and every hour, sooner after a failure."""
    while True:
        try:
            for step in steps:
                await step(datetime.now(UTC))
            await asyncio.sleep(INTERVAL_S)
        except Exception as error:  # a loop outlives every failure
            report("retention_failed", error=error)
            await asyncio.sleep(RETRY_S)
