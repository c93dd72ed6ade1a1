"""What is done about viewers and streams when nobody asks: leases that have ended, and ids that were never used."""

from collections.abc import Callable
from datetime import datetime

from db.pool import Runner
from db.statements import STATEMENTS

EXPIRE = STATEMENTS["streams.expire"]
FORGET_VIEWERS = STATEMENTS["streams.forget_viewers"]
FORGET_STREAMS = STATEMENTS["streams.forget_streams"]
COUNT_ACTIVE = STATEMENTS["streams.count_active"]

BATCH = 1000


async def expire(db: Runner, at: datetime | None = None, batch: int = BATCH) -> int:
    """Give back all leases that have ended, and tell of it; how many there were. They count for nobody anyway."""
    expired, viewers = 0, batch
    while viewers == batch:
        row = await db.fetchrow(EXPIRE, at=at, batch=batch)
        viewers, streams = row or (0, 0)
        expired += streams
    return expired


async def forget_unused(
    db: Runner, age_s: float, report: Callable[..., None], at: datetime | None = None, batch: int = BATCH
) -> None:
    """Delete ids of viewers and streams that were made so long ago and never used."""
    for what, statement in (("viewers", FORGET_VIEWERS), ("streams", FORGET_STREAMS)):
        forgotten, last = 0, batch
        while last == batch:
            last = await db.fetchval(statement, age_s=age_s, at=at, batch=batch)
            forgotten += last
        if forgotten:
            report("unused_ids_forgotten", what=what, count=forgotten)


async def active_streams(db: Runner) -> tuple[int, int]:
    """How many viewers watch something, and how many streams all of them."""
    row = await db.fetchrow(COUNT_ACTIVE)
    return (row.viewers, row.streams) if row else (0, 0)
