"""Viewers as they are shown: their limit, and what they watch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.page import Page, PageRequest, page_of

VIEWERS_BY_ID = STATEMENTS["streams.viewers_by_id"]
VIEWERS = STATEMENTS["streams.viewers"]
NEXT_VIEWERS, PREVIOUS_VIEWERS = VIEWERS.pick(page="forwards"), VIEWERS.pick(page="backwards")
COUNT_VIEWERS = STATEMENTS["streams.count_viewers"]
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


async def viewers_page(db: Runner, request: PageRequest, *, default_limit: int) -> Page[Viewer]:
    """A page of all viewers, by their ids."""
    statement = PREVIOUS_VIEWERS if request.backwards else NEXT_VIEWERS
    rows = await db.fetch(statement, cursor=_cursor(request), limit=request.size + 1)
    now = datetime.now(UTC)
    return page_of([_viewer(row, default_limit, now) for row in rows], request)


async def count_viewers(db: Runner) -> int:
    """How many viewers there are."""
    return int(await db.fetchval(COUNT_VIEWERS))


async def streams_by_id(db: Runner, ids: Sequence[str]) -> list[Row | None]:
    """The streams (id, created_at) with these ids, in this order; None for one that there is not."""
    rows = {row.id: row for row in await db.fetch(STREAMS_BY_ID, ids=list(ids))}
    return [rows.get(id_) for id_ in ids]


def _cursor(request: PageRequest) -> str | None:
    match request.cursor:
        case None:
            return None
        case [str(id_)] if "\0" not in id_:
            return id_
        case _:
            raise request.foreign_cursor()


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
