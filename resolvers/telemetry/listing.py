"""Nodes and their connections, page by page, and what is known of many nodes at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.filters import Window
from resolvers.page import Page, PageRequest, page_of, to_micros
from resolvers.telemetry.batching import Asked, answered, by_peer

BY_NAME = STATEMENTS["peer_pages.by_name"]
BY_LAST_SEEN = STATEMENTS["peer_pages.by_last_seen"]
COUNT_PEERS = STATEMENTS["peer_pages.count_peers"]
PEERS_BY_NAME = STATEMENTS["peer_pages.peers_by_name"]
PEERS_BY_ID = STATEMENTS["peer_pages.peers_by_id"]
PEERS_OF_ORCHESTRATORS = STATEMENTS["peer_pages.peers_of_orchestrators"]
STATES = STATEMENTS["peer_pages.states"]
LAST_SEEN = STATEMENTS["peer_pages.last_seen"]
CONNECTIONS = STATEMENTS["peer_pages.connections"]
COUNT_CONNECTIONS = STATEMENTS["peer_pages.count_connections"]


class PeerOrder(StrEnum):
    """How nodes are ordered: by what they call themselves, or by when they were last seen."""

    FIRST_NAME = "first"
    LAST_NAME = "last"
    NEWEST = "newest"
    OLDEST = "oldest"


_OPPOSITE = {
    PeerOrder.FIRST_NAME: PeerOrder.LAST_NAME,
    PeerOrder.LAST_NAME: PeerOrder.FIRST_NAME,
    PeerOrder.NEWEST: PeerOrder.OLDEST,
    PeerOrder.OLDEST: PeerOrder.NEWEST,
}


@dataclass(frozen=True, slots=True)
class PeerFilter:
    """Conditions that all hold; None holds for every node. Those from `names` on are of its latest connection."""

    peer_ids: tuple[str, ...] | None = None
    orchestrators: tuple[str, ...] | None = None
    is_connected: bool | None = None
    last_seen: Window | None = None
    names: tuple[str, ...] | None = None
    chains: tuple[str, ...] | None = None
    versions: tuple[str, ...] | None = None
    implementations: tuple[str, ...] | None = None
    authority: bool | None = None

    @property
    def parts(self) -> set[str]:
        """The parts of statements that the filter needs."""
        of_latest = (self.names, self.chains, self.versions, self.implementations, self.authority)
        needed = {"latest": any(it is not None for it in of_latest), "seen": self.last_seen is not None}
        return {part for part, is_needed in needed.items() if is_needed}

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of statements that use `{matching_peers}`."""
        addresses, seen = self.orchestrators, self.last_seen or Window()
        return {
            "peer_ids": self.peer_ids,
            "orchestrators": None if addresses is None else [address.lower() for address in addresses],
            "is_connected": self.is_connected,
            "names": self.names,
            "chains": self.chains,
            "versions": self.versions,
            "implementations": self.implementations,
            "authority": self.authority,
            "seen_since": seen.since,
            "seen_until": seen.until,
        }


async def peers_page(db: Runner, wanted: PeerFilter, request: PageRequest, order: PeerOrder) -> Page[Row]:
    """A page of nodes (id, peer_id, orchestrator) in an order."""
    direction = _OPPOSITE[order] if request.backwards else order
    if _is_by_time(order):
        statement = BY_LAST_SEEN.pick(wanted.parts, by_last_seen=direction)
    else:
        statement = BY_NAME.pick(wanted.parts, by_name=direction)
    position = _position(request, order)
    return page_of(await db.fetch(statement, **wanted.parameters, **position, limit=request.size + 1), request)


def peer_cursor(row: Row, order: PeerOrder) -> list[Any]:
    """Where a node stands in an order: what it calls itself, and the time in microseconds that is ordered by."""
    return [row.peer_id, to_micros(row.seen_at)] if _is_by_time(order) else [row.peer_id]


async def count_peers(db: Runner, wanted: PeerFilter) -> int:
    """How many nodes match."""
    return int(await db.fetchval(COUNT_PEERS.pick(wanted.parts), **wanted.parameters))


async def peers_by_name(db: Runner, peer_ids: list[str]) -> list[Row | None]:
    """The nodes that call themselves so, in their order; None for one that is not known."""
    found = {row.peer_id: row for row in await db.fetch(PEERS_BY_NAME, peer_ids=peer_ids)}
    return [found.get(peer_id) for peer_id in peer_ids]


async def peers_by_id(db: Runner, ids: list[int]) -> list[Row | None]:
    """The nodes with these ids of the database, in their order; None for one that is not there."""
    found = {row.id: row for row in await db.fetch(PEERS_BY_ID, ids=ids)}
    return [found.get(id_) for id_ in ids]


async def peers_of_orchestrators(db: Runner, addresses: list[str]) -> list[list[Row]]:
    """The nodes of each of these orchestrators, by what they call themselves."""
    found: dict[str, list[Row]] = {address: [] for address in addresses}
    for row in await db.fetch(PEERS_OF_ORCHESTRATORS, addresses=addresses):
        found[row.orchestrator].append(row)
    return [found[address] for address in addresses]


async def states(db: Runner, ids: list[int]) -> list[Row]:
    """Whether each of these nodes is connected, since when it is known, and what it said of itself at last."""
    found = {row.id: row for row in await db.fetch(STATES, ids=ids)}
    return [found[id_] for id_ in ids]


async def last_seen(db: Runner, ids: list[int]) -> list[Any]:
    """When each of these nodes was last seen; None for one that never was."""
    found = {row.id: row.last_seen_at for row in await db.fetch(LAST_SEEN, ids=ids)}
    return [found[id_] for id_ in ids]


async def connections(db: Runner, keys: Sequence[Asked]) -> list[Page[Row]]:
    """A page of each node's connections, newest first; the question is a PageRequest."""
    return await answered(keys, partial(_connections, db))


async def count_connections(db: Runner, ids: list[int]) -> list[int]:
    """How many connections of each of these nodes are known."""
    found = {row.peer: row.number for row in await db.fetch(COUNT_CONNECTIONS, ids=ids)}
    return [found.get(id_, 0) for id_ in ids]


async def _connections(db: Runner, ids: list[int], request: PageRequest) -> list[Page[Row]]:
    statement = CONNECTIONS.pick(connections="oldest" if request.backwards else "newest")
    rows = await db.fetch(statement, ids=ids, **request.time_and_id, limit=request.size + 1)
    return [page_of(those, request) for those in by_peer(rows, ids)]


def _position(request: PageRequest, order: PeerOrder) -> dict[str, Any]:
    match request.cursor:
        case None:
            position: dict[str, Any] = {"cursor_peer_id": None, "cursor_at": None}
        case [str(peer_id)] if not _is_by_time(order):
            position = {"cursor_peer_id": peer_id, "cursor_at": None}
        case [str(peer_id), int(micros)] if _is_by_time(order):
            position = {"cursor_peer_id": peer_id, "cursor_at": request.time(micros)}
        case _:
            raise request.foreign_cursor()
    return position if _is_by_time(order) else {"cursor_peer_id": position["cursor_peer_id"]}


def _is_by_time(order: PeerOrder) -> bool:
    return order in (PeerOrder.NEWEST, PeerOrder.OLDEST)
