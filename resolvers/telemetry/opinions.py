"""What nodes say of each other, page by page, and about many of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.filters import Window
from resolvers.page import MAX_ID, Page, PageRequest, page_of, to_micros
from resolvers.telemetry.batching import Asked, answered, by_peer

ABOUT_IN_SOME = STATEMENTS["opinions.about_in_some"]
ABOUT = STATEMENTS["opinions.about"]
COUNT_ABOUT = STATEMENTS["opinions.count_about"]
GIVEN = STATEMENTS["opinions.given"]
COUNT_GIVEN = STATEMENTS["opinions.count_given"]

FIRST_STATES = 200  # that are looked through before it is looked up which ones mention a node


@dataclass(frozen=True, slots=True)
class OpinionQuestion:
    """Which opinions are wanted: of a window, by the reporters' own time; if None, of the latest network state."""

    window: Window | None
    request: PageRequest


async def opinions_about(db: Runner, keys: Sequence[Asked]) -> list[Page[Row]]:
    """A page of what was said of each node, newest first; by what it calls itself, and an OpinionQuestion.

    Rows have at, reporter_peer_id, remote_peer_id, reputation (None where it takes more than 32 bits) and is_connected.
    """
    return await answered(keys, partial(_about, db))


async def count_opinions_about(db: Runner, keys: Sequence[Asked]) -> list[int]:
    """How often something was said of each node in a Window."""
    return await answered(keys, partial(_count_about, db))


async def opinions_given(db: Runner, keys: Sequence[Asked]) -> list[Page[Row]]:
    """A page of what each node (by its id) said of others, newest first and then by name; of an OpinionQuestion.

    Rows are those of `opinions_about`.
    """
    return await answered(keys, partial(_given, db))


async def count_opinions_given(db: Runner, keys: Sequence[Asked]) -> list[int]:
    """How many opinions each node gave in a Window, or in its latest network state if None."""
    return await answered(keys, partial(_count_given, db))


def about_cursor(row: Row) -> list[Any]:
    """Where an opinion stands among those of one node: by the network state that it is in."""
    return [to_micros(row.at), row.id]


def given_cursor(row: Row) -> list[Any]:
    """Where an opinion stands among those by one node: by its network state, and whom it is about."""
    return [to_micros(row.at), row.id, row.remote_peer_id]


async def _about(db: Runner, remotes: list[str], question: OpinionQuestion) -> list[Page[Row]]:
    window, request = question.window or Window(), question.request
    direction = "oldest" if request.backwards else "newest"
    given = {"since": window.since, "until": window.until, **request.time_and_id, "limit": request.size + 1}
    few = ABOUT_IN_SOME.pick(about=direction, place=direction)
    rows = by_peer(await db.fetch(few, remotes=remotes, **given, states=FIRST_STATES), remotes)
    found = dict(zip(remotes, rows, strict=True))
    if short := [remote for remote, those in found.items() if len(those) <= request.size]:
        more = await db.fetch(ABOUT.pick(about=direction), remotes=short, **given)
        found |= dict(zip(short, by_peer(more, short), strict=True))
    return [page_of(found[remote], request) for remote in remotes]


async def _count_about(db: Runner, remotes: list[str], window: Window) -> list[int]:
    rows = await db.fetch(COUNT_ABOUT, remotes=remotes, since=window.since, until=window.until)
    found = {row.peer: row.number for row in rows}
    return [found.get(remote, 0) for remote in remotes]


async def _given(db: Runner, peers: list[int], question: OpinionQuestion) -> list[Page[Row]]:
    window, request = question.window or Window(), question.request
    statement = GIVEN.pick(states=_states(question.window), given="oldest" if request.backwards else "newest")
    position = {"since": window.since, "until": window.until, **_position(request), "limit": request.size + 1}
    return [page_of(those, request) for those in by_peer(await db.fetch(statement, peers=peers, **position), peers)]


async def _count_given(db: Runner, peers: list[int], window: Window | None) -> list[int]:
    statement, given = COUNT_GIVEN.pick(counted_states=_states(window)), window or Window()
    found = {
        row.peer: row.number for row in await db.fetch(statement, peers=peers, since=given.since, until=given.until)
    }
    return [found.get(peer, 0) for peer in peers]


def _states(window: Window | None) -> str:
    return "latest" if window is None else "all"


def _position(request: PageRequest) -> dict[str, Any]:
    match request.cursor:
        case None:
            return {"cursor_at": None, "cursor_id": None, "cursor_key": None}
        case [int(micros), int(id_), str(key)] if abs(id_) < MAX_ID:
            return {"cursor_at": request.time(micros), "cursor_id": id_, "cursor_key": key}
    raise request.foreign_cursor()
