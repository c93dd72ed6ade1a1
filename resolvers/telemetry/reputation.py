"""What nodes think of each other."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from db.pool import Row, Runner
from db.statements import STATEMENTS

LATEST = STATEMENTS["reputation.latest"]
ABOUT = STATEMENTS["reputation.about"]

FEW = timedelta(minutes=10)  # of network states, which are looked through faster than nodes
FIRST_STATES = 1000  # that are looked through before it is looked up which ones mention a node


@dataclass(frozen=True, slots=True)
class ReputationFilter:
    """Which network states count: those between two times, which are excluded; None is unbounded."""

    after: datetime | None = None
    before: datetime | None = None


async def latest_reputations(
    db: Runner, after: datetime | None, now: datetime, limit: int, *, of_logged: bool = False
) -> list[Row]:
    """What up to `limit` nodes think of others by their latest network states, of those after a time.

    By `reporting_peer`, each with `ts` and the lists remote_peer, reputation and connected, which have the same order;
    with `of_logged` only of nodes that were connected here. Nodes that tell of nobody are left out.
    """
    is_recent = after is not None and now - after <= FEW
    parts = {"of_logged": of_logged, "lately": is_recent}
    statement = LATEST.pick([part for part, is_wanted in parts.items() if is_wanted])
    return await db.fetch(statement, after=after, limit=limit)


async def reputations_of(db: Runner, remote_peer: str, wanted: ReputationFilter, limit: int) -> list[Row]:
    """What nodes have thought of one, newest first, up to `limit`: reporting_peer, ts, reputation and connected."""
    given = {"remote_peer": remote_peer, "after": wanted.after, "before": wanted.before, "limit": limit}
    # Most nodes know most others: then a few states are enough, of the many that mention it.
    found = await db.fetch(ABOUT.pick(states="newest"), **given, states=FIRST_STATES)
    if len(found) == limit:
        return found
    return await db.fetch(ABOUT.pick(states="mentioning"), **given, states=None)
