"""Keeps the partitions of the coming weeks made, ahead of the results that go into them."""

import asyncio
from collections.abc import Awaitable, Callable

INTERVAL_S = 3600.0
RETRY_S = 5.0


async def make_partitions(create: Callable[[], Awaitable[int]], report: Callable[..., None]) -> None:
    """Call `create` now and every hour, sooner after a failure, until cancelled."""
    while True:
        try:
            created = await create()
            if created:
                report("partitions_created", count=created)
            await asyncio.sleep(INTERVAL_S)
        except Exception as error:  # a loop outlives every failure
            report("partitions_failed", error=error)
            await asyncio.sleep(RETRY_S)
