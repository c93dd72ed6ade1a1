"""Deletes the idempotency keys that nobody needs any more, some at a time."""

import asyncio
from collections.abc import Awaitable, Callable

INTERVAL_S = 3600.0
BATCH = 5000


async def purge_keys(forget: Callable[[int], Awaitable[int]], report: Callable[..., None]) -> None:
    """Call `forget` with the size of a batch, now and every hour until none is left, until cancelled."""
    while True:
        try:
            await purge_once(forget, report)
        except Exception as error:  # a loop outlives every failure
            report("keys_purge_failed", error=error)
        await asyncio.sleep(INTERVAL_S)


async def purge_once(forget: Callable[[int], Awaitable[int]], report: Callable[..., None]) -> None:
    """Delete batches until there is none that is full."""
    deleted, count = BATCH, 0
    while deleted == BATCH:
        deleted = await forget(BATCH)
        count += deleted
    if count:
        report("keys_purged", count=count)
