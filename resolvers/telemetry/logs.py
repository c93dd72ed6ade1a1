"""What a node has said: its logs, and how many there are of each type."""

from dataclasses import dataclass
from datetime import datetime

from db.pool import Row, Runner
from db.statements import STATEMENTS

NEWEST = STATEMENTS["peer_logs.newest"]
COUNTS = STATEMENTS["peer_logs.counts"]


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Conditions on the logs of a node that all hold; None holds for every log. Both times are excluded."""

    msg: str | None = None
    target: str | None = None
    after: datetime | None = None
    before: datetime | None = None


async def newest_logs(db: Runner, peer: int, wanted: LogFilter, limit: int) -> list[Row]:
    """Up to `limit` logs of a node, newest first: id, ts, msg, message (text of JSON) and ip_addr.

    `peer` is podium's own id. A log whose message has no msg has None.
    """
    return await db.fetch(
        NEWEST,
        peer=peer,
        msg=wanted.msg,
        target=wanted.target,
        after=wanted.after,
        before=wanted.before,
        limit=limit,
    )


async def log_counts(db: Runner, peer: int) -> list[Row]:
    """How many logs (`logs`) of each `msg`, of long ones by their first 128 characters, a node has."""
    return await db.fetch(COUNTS, peer=peer)
