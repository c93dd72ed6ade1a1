"""What viewers ask for, decided together: each by what those before it have left, whichever gateway asked."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from db.pool import Runner
from db.statements import STATEMENTS

DECIDE = STATEMENTS["streams.decide"]

MAX_ID_LENGTH = 128


class Ask(NamedTuple):
    """A viewer asks to watch a stream, or to watch it no more."""

    viewer: str
    stream: str
    activates: bool


class Verdict(StrEnum):
    """What becomes of it."""

    ACTIVATED = "activated"
    RENEWED = "renewed"
    DEACTIVATED = "deactivated"
    WAS_NOT_ACTIVE = "was_not_active"
    LIMIT_REACHED = "limit_reached"
    UNKNOWN_VIEWER = "unknown_viewer"
    UNKNOWN_STREAM = "unknown_stream"


class Rules(NamedTuple):
    """How many streams a viewer may watch that has no limit of its own, and for how long without asking again; for ever
    if None.
    """

    limit: int
    lease_s: float | None = None


class Decided(NamedTuple):
    """What becomes of everything that was asked for, in that order, and how many leases had ended before."""

    verdicts: list[Verdict]
    expired: int


VERDICTS = {verdict.value: verdict for verdict in Verdict}


async def decide(db: Runner, asks: Sequence[Ask], rules: Rules, at: datetime | None = None) -> Decided:
    """Decide and write in one transaction, as of a time, which is that of the database unless it is given."""
    viewers, streams, activates = zip(*asks, strict=True)
    given = {"viewers": viewers, "streams": streams, "activates": activates}
    rows = await db.fetch(DECIDE, **given, limit=rules.limit, lease_s=rules.lease_s, at=at)
    verdicts = [Verdict.UNKNOWN_VIEWER] * len(asks)
    for places, said, _ in rows:
        for place, verdict in zip(places, said, strict=True):
            verdicts[place - 1] = VERDICTS[verdict]
    return Decided(verdicts, sum(row[2] for row in rows))


def storable(given: str) -> str:
    """An id as it can be asked about: that of nobody, where it cannot be one."""
    return given if len(given) <= MAX_ID_LENGTH and "\0" not in given else ""
