"""What nodes think of each other, in the graph."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry import Info

from resolvers.filters import Window
from resolvers.page import encode_cursor, page_request
from resolvers.telemetry import opinions
from resolvers.telemetry.batching import Asked
from resolvers.telemetry.listing import peers_by_name
from resolvers.telemetry.reputation import latest_reputations
from schema.connection import After, Before, Connection, First, Last, connection
from schema.context import context_of
from schema.leaderboard import source_row
from schema.permissions import READ
from schema.scalars import Duration, TimeRange

if TYPE_CHECKING:
    from schema.telemetry import Peer

OPINIONS_SIZE = 25  # assumed of a network state when its cost is counted


def _named(name: str) -> Any:
    def many(opinions: Sequence[Any], info: Info) -> list[Any]:
        load = context_of(info).loader(peers_by_name).load
        loads = {peer_id: load(peer_id) for peer_id in {getattr(opinion, name) for opinion in opinions}}
        return [loads[getattr(opinion, name)] for opinion in opinions]

    return many


@strawberry.type(description="What a node thought of another one, as it said in a network state.")
class Reputation:
    at: datetime = strawberry.field(description="When, by the reporter's own clock.")
    reporter_peer_id: str = strawberry.field(description="What the one calls itself who said so.")
    remote_peer_id: str = strawberry.field(description="What the one calls itself whom it is about.")
    reputation: int | None = strawberry.field(description="The reputation; null where it takes more than 32 bits.")
    is_connected: bool = strawberry.field(description="Whether the two were connected.")

    @strawberry.field(description="Who said so.", metadata={"many": _named("reporter_peer_id")})
    async def reporter(self, info: Info) -> Annotated["Peer", strawberry.lazy("schema.telemetry")] | None:
        found: Peer | None = await _named("reporter_peer_id")([self], info)[0]
        return found

    @strawberry.field(
        description="Whom it is about; null for one that sends no telemetry here.",
        metadata={"many": _named("remote_peer_id")},
    )
    async def remote_peer(self, info: Info) -> Annotated["Peer", strawberry.lazy("schema.telemetry")] | None:
        found: Peer | None = await _named("remote_peer_id")([self], info)[0]
        return found


@strawberry.type
class PeerReputations:
    """What others thought of a node, and it of others."""

    @strawberry.field(description="What others said about it, newest first. What is no opinion is left out.")
    async def reputation(
        self,
        info: Info,
        during: Annotated[
            TimeRange | None, strawberry.argument(description="When, by the reporters' clocks; all times if null.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Reputation]:
        context, name = context_of(info), source_row(self).peer_id
        window = during.window(context) if during else Window()
        question = opinions.OpinionQuestion(window, page_request(first, after, last, before))
        page = await context.loader(opinions.opinions_about).load(Asked(name, question))
        count = partial(context.loader(opinions.count_opinions_about).load, Asked(name, window))
        return connection(page, lambda row: encode_cursor(*opinions.about_cursor(row)), count)

    @strawberry.field(description="What it said about others, newest first, and then by what they call themselves.")
    async def reputation_given(
        self,
        info: Info,
        during: Annotated[
            TimeRange | None,
            strawberry.argument(description="When, by its own clock; only its latest network state counts if null."),
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Reputation]:
        context, id_ = context_of(info), source_row(self).id
        window = during.window(context) if during else None
        question = opinions.OpinionQuestion(window, page_request(first, after, last, before))
        page = await context.loader(opinions.opinions_given).load(Asked(id_, question))
        count = partial(context.loader(opinions.count_opinions_given).load, Asked(id_, window))
        return connection(page, lambda row: encode_cursor(*opinions.given_cursor(row)), count)


@strawberry.type(description="What a node thinks of others, by its latest network state.")
class ReputationReport:
    at: datetime = strawberry.field(description="When it said so, by its own clock.")
    reporter_peer_id: str = strawberry.field(description="What it calls itself.")
    reputations: list[Reputation] = strawberry.field(
        description="What it thinks of each.", metadata={"size": OPINIONS_SIZE}
    )


@strawberry.type
class ReputationQuery:
    @strawberry.field(
        extensions=[READ],
        description="What nodes think of each other, by the latest network state of each; in the order of what they "
        "call themselves. Those who tell of nobody are left out.",
    )
    async def reputations(
        self,
        info: Info,
        max_age: Annotated[
            Duration | None, strawberry.argument(description="Only what is not older, by the nodes' clocks.")
        ] = None,
        first: Annotated[
            int | None,
            strawberry.argument(description="Of how many nodes: at most 1000, 100 when nothing is said."),
        ] = None,
    ) -> list[ReputationReport]:
        context = context_of(info)
        after = None if max_age is None else context.now - max_age
        size = page_request(first, None, None, None).size
        return [_report(row) for row in await latest_reputations(context.db, after, context.now, size)]


def _report(row: Any) -> ReputationReport:
    said = [
        Reputation(
            at=row.ts,
            reporter_peer_id=row.reporting_peer,
            remote_peer_id=remote,
            reputation=reputation if -(2**31) <= reputation < 2**31 else None,
            is_connected=connected,
        )
        for remote, reputation, connected in zip(row.remote_peer, row.reputation, row.connected, strict=True)
    ]
    return ReputationReport(at=row.ts, reporter_peer_id=row.reporting_peer, reputations=said)
