"""Which nodes belong to which orchestrator; the audit log tells of each change."""

from db.pool import Pool, Row
from db.statements import STATEMENTS
from resolvers.errors import InvalidArgument, NotFound
from resolvers.listing import orchestrators_by_address

ADD_PEER = STATEMENTS["audit.add_peer"]
LINK_PEER = STATEMENTS["audit.link_peer"]

MAX_PEER_ID_LENGTH = 256


async def link_peer(db: Pool, *, peer_id: str, orchestrator: str | None, actor: str) -> Row:
    """Let a node (id, peer_id, orchestrator) belong to this orchestrator, or to nobody if None.

    A node that was never seen is added, so that it can be linked before it starts. NotFound when the orchestrator is
    not known, or the node that is to belong to nobody.
    """
    _check_peer_id(peer_id)
    async with db.transaction() as transaction:
        if orchestrator is not None:
            (known,) = await orchestrators_by_address(transaction, [orchestrator])
            if known is None:
                raise NotFound("orchestrator: podium never heard of it", field="orchestrator")
            await transaction.fetch(ADD_PEER, peer_id=peer_id)
        address = None if orchestrator is None else orchestrator.lower()
        peer = await transaction.fetchrow(LINK_PEER, peer_id=peer_id, orchestrator=address, actor=actor)
    if peer is None:
        raise NotFound("peerId: podium never heard of it", field="peerId")
    return peer


def _check_peer_id(peer_id: str) -> None:
    if not 1 <= len(peer_id) <= MAX_PEER_ID_LENGTH or "\0" in peer_id:
        raise InvalidArgument(f"peerId: 1 to {MAX_PEER_ID_LENGTH} characters, and no NUL", field="peerId")
