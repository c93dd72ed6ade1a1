"""Does regularly what is to be done about viewers and streams when nobody asks."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter

REST = 20  # a step that takes long is taken less often: it rests so many times as long


async def tidy(step: Callable[[], Awaitable[object]], report: Callable[..., None], interval_s: float) -> None:
    """Take a step now and then, until cancelled."""
    while True:
        began = perf_counter()
        try:
            await step()
        except Exception as error:  # a loop outlives every failure
            report("streams_tidying_failed", error=error)
        await asyncio.sleep(max(interval_s, REST * (perf_counter() - began)))
