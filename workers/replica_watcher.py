"""Looks how the replica is, over and over, so that questions are asked of it only while it is well."""

import asyncio
from collections.abc import Awaitable, Callable


async def watch_replica(look: Callable[[], Awaitable[None]], report: Callable[..., None], interval_s: float) -> None:
    """Call `look` with a pause in between, until cancelled."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            await look()
        except Exception as error:  # a loop outlives every failure
            report("replica_look_failed", error=error)
