"""Nodes in the graph, by what they say of themselves: who they are, their connections, and whom they belong to."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Annotated, Any

import strawberry
from strawberry import Info

from resolvers.page import encode_cursor, from_micros, page_request, to_micros
from resolvers.telemetry import listing
from resolvers.telemetry.batching import Asked
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.inputs import values_of
from schema.leaderboard import Orchestrator, source_row
from schema.node import Node, global_id
from schema.peer_logs import PeerLogs
from schema.permissions import READ
from schema.reputation import PeerReputations
from schema.scalars import Present, StringIn, TimeRange

PeerId = Annotated[str, strawberry.argument(description="What the node calls itself, exactly.")]

NAME = "What its operator calls it."
CHAIN = "The chain that it follows."
VERSION = "The version of its software."
IMPLEMENTATION = "What its software is called."
AUTHORITY = "Whether it says that it makes blocks."
STARTED_AT = "When it says that it was started."


@strawberry.type(description="A connection of a node to this server. Several nodes may share a socket.")
class PeerSession:
    ip_address: str = strawberry.field(description="The address and port that it came from.")
    opened_at: datetime = strawberry.field(description="When it was opened.")
    closed_at: datetime | None = strawberry.field(description="When it was closed; null while it is open.")
    is_audit: bool = strawberry.field(description="Whether it came by `/audit`: what it said is kept for ever.")
    name: str | None = strawberry.field(description=NAME)
    chain: str | None = strawberry.field(description=CHAIN)
    version: str | None = strawberry.field(description=VERSION)
    implementation: str | None = strawberry.field(description=IMPLEMENTATION)
    authority: bool | None = strawberry.field(description=AUTHORITY)

    @strawberry.field(description="What tells it from other connections.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(str(source_row(self).id))

    @strawberry.field(description=STARTED_AT)
    def started_at(self) -> datetime | None:
        return _started_at(source_row(self).startup_time)


def _started_at(startup_time_ms: int | None) -> datetime | None:
    try:
        return None if startup_time_ms is None else from_micros(startup_time_ms * 1000)
    except OverflowError:  # nodes write what they like
        return None


def _loaded(load: Callable[..., Any], show: Callable[[Any], Any], description: str) -> Any:
    """A field of what this function finds for the ids of many nodes at once."""

    async def many(rows: Sequence[Any], info: Info) -> list[Any]:
        found = await context_of(info).loader(load).load_many([row.id for row in rows])
        return [show(it) for it in found]

    async def resolve(self, info: Info):  # type: ignore[no-untyped-def]  # what it returns is said where it is used
        return (await many([self], info))[0]

    return strawberry.field(resolver=resolve, description=description, metadata={"many": many})


def _of_state(name: str, description: str) -> Any:
    return _loaded(listing.states, lambda state: state[name], description)


def _orchestrators(rows: Sequence[Any], info: Info) -> list[Any]:
    addresses = {row.orchestrator for row in rows if row.orchestrator is not None}
    loads: dict[str, Awaitable[Any]] = {it: context_of(info).orchestrators.load(it) for it in addresses}
    return [loads.get(row.orchestrator) for row in rows]


@strawberry.type(
    description="A node that sends telemetry. What it says of itself is that of its latest connection, and null where "
    "there is none."
)
class Peer(Node, PeerLogs, PeerReputations):
    peer_id: str = strawberry.field(description="What it calls itself.")
    name: str | None = _of_state("name", NAME)
    chain: str | None = _of_state("chain", CHAIN)
    version: str | None = _of_state("version", VERSION)
    implementation: str | None = _of_state("implementation", IMPLEMENTATION)
    authority: bool | None = _of_state("authority", AUTHORITY)
    started_at: datetime | None = _loaded(listing.states, lambda it: _started_at(it.startup_time), STARTED_AT)
    is_connected: bool = _of_state("is_connected", "Whether a connection of it is open.")
    first_seen_at: datetime | None = _of_state(
        "first_seen_at",
        "When the first of its connections was opened that are known still; null for one that was only linked.",
    )
    last_seen_at: datetime | None = _loaded(
        listing.last_seen,
        lambda it: it,
        "When its latest connection was opened or closed, or its latest message stored, by the server's clock, "
        "whichever was later; which message is the latest, the node's own clock says. Null for one never seen.",
    )

    @strawberry.field(description="The global id.")
    def id(self) -> strawberry.ID:
        return global_id("Peer", self.peer_id)

    @strawberry.field(
        description="The orchestrator that it was linked to, with its results; null for none.",
        metadata={"many": _orchestrators},
    )
    async def orchestrator(self, info: Info) -> Orchestrator | None:
        (found,) = _orchestrators([self], info)
        orchestrator: Orchestrator | None = await found if found else None
        return orchestrator

    @strawberry.field(description="Its connections that are known still, newest first.")
    async def connections(
        self, info: Info, first: First = None, after: After = None, last: Last = None, before: Before = None
    ) -> Connection[PeerSession]:
        context, id_ = context_of(info), source_row(self).id
        request = page_request(first, after, last, before)
        page = await context.loader(listing.connections).load(Asked(id_, request))
        count = context.loader(listing.count_connections)
        return connection(page, lambda row: encode_cursor(to_micros(row.opened_at), row.id), partial(count.load, id_))

    @classmethod
    def is_type_of(cls, source: Any, _info: Any) -> bool:
        """A node is a row with a peer_id."""
        return "peer_id" in source


@strawberry.enum(description="How nodes are ordered.")
class PeerOrder(Enum):
    PEER_ID_ASC = strawberry.enum_value(listing.PeerOrder.FIRST_NAME, description="By what they call themselves.")
    PEER_ID_DESC = strawberry.enum_value(listing.PeerOrder.LAST_NAME, description="The same backwards.")
    LAST_SEEN_AT_DESC = strawberry.enum_value(
        listing.PeerOrder.NEWEST,
        description="Those that were seen last are first; who is seen again goes there.",
    )
    LAST_SEEN_AT_ASC = strawberry.enum_value(
        listing.PeerOrder.OLDEST, description="Those that were not seen for the longest time are first."
    )


@strawberry.input(
    description="Which nodes; conditions that all hold. What they say of themselves is that of their latest connection."
)
class PeerFilter:
    peer_id: StringIn | None = strawberry.field(default=None, description="What they call themselves.")
    name: StringIn | None = strawberry.field(default=None, description="What their operators call them.")
    chain: StringIn | None = strawberry.field(default=None, description="The chains that they follow.")
    version: StringIn | None = strawberry.field(default=None, description="The versions of their software.")
    implementation: StringIn | None = strawberry.field(default=None, description="What their software is called.")
    authority: bool | None = strawberry.field(default=None, description="Whether they say that they make blocks.")
    is_connected: bool | None = strawberry.field(default=None, description="Whether a connection of them is open.")
    last_seen: TimeRange | None = strawberry.field(default=None, description="When they were last seen.")
    orchestrator: StringIn | None = strawberry.field(
        default=None, description="Addresses of the orchestrators that they were linked to, in any case."
    )


@strawberry.type
class TelemetryQuery:
    @strawberry.field(extensions=[READ], description="The nodes that send telemetry, or were linked to orchestrators.")
    async def peers(
        self,
        info: Info,
        filter: Annotated[PeerFilter | None, strawberry.argument(description="Which ones.")] = None,
        order_by: Annotated[PeerOrder, strawberry.argument(description="The order.")] = PeerOrder.PEER_ID_ASC,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Peer]:
        context = context_of(info)
        wanted, order = _peer_filter(filter, context), listing.PeerOrder(str(order_by.value))
        page = await listing.peers_page(context.db, wanted, page_request(first, after, last, before), order)
        return connection(
            page,
            lambda row: encode_cursor(*listing.peer_cursor(row, order)),
            partial(listing.count_peers, context.db, wanted),
        )

    @strawberry.field(extensions=[READ], description="One node; null when podium never heard of it.")
    async def peer(self, info: Info, peer_id: PeerId) -> Peer | None:
        found: Peer | None = await context_of(info).loader(listing.peers_by_name).load(peer_id)
        return found


def _peer_filter(given: PeerFilter | None, present: Present) -> listing.PeerFilter:
    if given is None:
        return listing.PeerFilter()
    return listing.PeerFilter(
        peer_ids=values_of(given.peer_id, "peerId"),
        orchestrators=values_of(given.orchestrator, "orchestrator"),
        is_connected=given.is_connected,
        last_seen=given.last_seen.window(present, "lastSeen") if given.last_seen else None,
        names=values_of(given.name, "name"),
        chains=values_of(given.chain, "chain"),
        versions=values_of(given.version, "version"),
        implementations=values_of(given.implementation, "implementation"),
        authority=given.authority,
    )
