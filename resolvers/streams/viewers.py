"""Viewers as they are shown: their limit, and what they watch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS

VIEWERS_BY_ID = STATEMENTS["streams.viewers_by_id"]
STREAMS_BY_ID = STATEMENTS["streams.streams_by_id"]


@dataclass(frozen=True, slots=True)
class ActiveStream:
    """A stream that somebody watches, since when, and until when unless it is activated again; for ever if None."""

    id: str
    since: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who may watch so many streams at the same time, and those that are watched, the oldest first."""

    id: str
    limit: int
    has_own_limit: bool
    active_streams: tuple[ActiveStream, ...]
    created_at: datetime


async def viewers_by_id(
    db: Runner, ids: Sequence[str], *, default_limit: int, at: datetime | None = None
) -> list[Viewer | None]:
    """The viewers with these ids, in this order; None for one that there is not. Of `at`, which is now unless given."""
    rows = {row.id: row for row in await db.fetch(VIEWERS_BY_ID, ids=list(ids))}
    moment = at or datetime.now(UTC)
    return [_viewer(rows[id_], default_limit, moment) if id_ in rows else None for id_ in ids]


async def known_streams(db: Runner, ids: Sequence[str]) -> dict[str, datetime]:
    """Those of these streams that there are, each with the time when its id was made."""
    return {row.id: row.created_at for row in await db.fetch(STREAMS_BY_ID, ids=list(ids))}


def _viewer(row: Row, default_limit: int, at: datetime) -> Viewer:
    own = row.stream_limit
    return Viewer(
        row.id, default_limit if own is None else own, own is not None, _active(row.active, at), row.created_at
    )


def _active(stored: Mapping[str, Any], at: datetime) -> tuple[ActiveStream, ...]:
    streams = [ActiveStream(id_, _time(since), until and _time(until)) for id_, (since, until) in stored.items()]
    watched = (stream for stream in streams if stream.expires_at is None or stream.expires_at > at)
    return tuple(sorted(watched, key=lambda stream: (stream.since, stream.id)))


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
