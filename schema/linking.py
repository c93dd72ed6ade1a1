"""Which node belongs to which orchestrator, as administrators say through the graph."""

from typing import Annotated, Any

import strawberry
from strawberry import Info

from resolvers.telemetry import linking
from schema.administration import EXPECTED, MutationError, mutation_errors
from schema.context import context_of
from schema.permissions import ADMIN
from schema.telemetry import Peer, PeerId


@strawberry.type(description="The node with its orchestrator, or why it was not linked.")
class LinkPeerPayload:
    peer: Peer | None = strawberry.field(description="The node; null when there are errors.")
    errors: list[MutationError] = strawberry.field(description="Why nothing was done; empty when all is well.")


@strawberry.type
class LinkingMutation:
    @strawberry.mutation(
        extensions=[ADMIN],
        description="Says which orchestrator a node belongs to, one at most, so that its results and its telemetry are "
        "found together. A node that was never seen may be linked before it starts.",
    )
    async def link_peer(
        self,
        info: Info,
        peer_id: PeerId,
        orchestrator: Annotated[
            str | None,
            strawberry.argument(description="The address, in any case; null when it belongs to nobody from now on."),
        ] = None,
    ) -> LinkPeerPayload:
        context = context_of(info)
        db, actor = context.backend.write_db, context.actor
        try:
            peer: Any = await linking.link_peer(db, peer_id=peer_id, orchestrator=orchestrator, actor=actor)
        except EXPECTED as error:
            return LinkPeerPayload(peer=None, errors=mutation_errors(error))
        return LinkPeerPayload(peer=peer, errors=[])
