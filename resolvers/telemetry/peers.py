"""Nodes and their connections."""

from db.pool import Row, Runner
from db.statements import STATEMENTS

ID_OF = STATEMENTS["peers.id_of"]
LATEST_CONNECTIONS = STATEMENTS["peers.latest_connections"]


async def id_of(db: Runner, peer_id: str) -> int | None:
    """podium's own id of the node that calls itself this; None where it never was here."""
    found: int | None = await db.fetchval(ID_OF, peer_id=peer_id)
    return found


async def latest_connections(db: Runner) -> list[Row]:
    """The latest connection of every node, by `peer_id`; last, with None, that of those who have not said who they are.

    Beside it are id, opened_at, ip_addr, is_audit, name, chain, version, implementation, authority and startup_time.
    """
    return await db.fetch(LATEST_CONNECTIONS)
