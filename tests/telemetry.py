"""Nodes and what they have said, put straight into the database, for tests that ask about them."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import asyncpg
import orjson

_ids = count(1)

ADD_PEER = """
INSERT INTO podium.peers (peer_id) VALUES ($1) ON CONFLICT (peer_id) DO UPDATE SET peer_id = $1 RETURNING id
"""
ADD_CONNECTION = """
INSERT INTO podium.peer_connections (id, peer_id, writer, ip_addr, is_audit, name, opened_at, closed_at)
VALUES ($1, $2, 1, $3, $4, $5, $6, $7)
"""
ADD_LOG = """
INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, is_audit, type, target, message)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
PARTITIONS = "SELECT podium.create_peer_log_partitions('7 days', now() + interval '1 day')"


async def add_connection(
    connection: asyncpg.Connection,
    peer_id: str | None,
    *messages: dict[str, Any],
    opened_at: datetime,
    is_audit: bool = False,
    name: str | None = None,
    closed_at: datetime | None = None,
) -> int:
    """Store a connection of a node with its messages, each with a `ts`; its id."""
    await connection.execute(PARTITIONS)
    peer = await connection.fetchval(ADD_PEER, peer_id) if peer_id else None
    id_ = next(_ids)
    ip_addr = f"127.0.0.1:{40_000 + id_}"
    await connection.execute(ADD_CONNECTION, id_, peer, ip_addr, is_audit, name, opened_at, closed_at)
    for message in messages:
        await _add_log(connection, peer or 0, id_, message, is_audit)
    return id_


async def _add_log(
    connection: asyncpg.Connection, peer: int, connection_id: int, message: dict[str, Any], is_audit: bool
) -> None:
    said = message if "msg" in message else message.get("payload", message)  # the wrapped form has the rest there
    ts = datetime.fromisoformat(message["ts"])
    values = (ts, is_audit, _start(said.get("msg")), _start(said.get("target")), orjson.dumps(message).decode())
    await connection.execute(ADD_LOG, next(_ids), peer, connection_id, *values)


def _start(text: Any) -> str | None:
    """What a column keeps of a text."""
    return text[:128] if isinstance(text, str) else None


def network_state(ts: datetime, **nodes: tuple[int, bool]) -> dict[str, Any]:
    """A message in which a node says what it thinks of others: reputation, and whether it is connected."""
    known = {
        peer: {"reputation": reputation, "connected": connected} for peer, (reputation, connected) in nodes.items()
    }
    return {"msg": "system.network_state", "ts": ts.isoformat(), "state": {"peerset": {"nodes": known}}}


def minutes_after(start: datetime, minutes: float) -> str:
    """A time as nodes write it."""
    return (start + timedelta(minutes=minutes)).isoformat()
