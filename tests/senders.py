"""Nodes that send messages over real sockets, and what is stored of them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
from websockets.asyncio.client import ClientConnection, connect

from gateway.telemetry import REFUSALS
from tests.harness import Running, eventually

PATIENCE_S = 10.0
STORED = """
SELECT l.id, l.ts, l.is_audit, l.type, l.target, l.message, l.stored_at, p.peer_id, c.ip_addr, l.connection_id,
  l.peer_id AS peer_key
FROM podium.peer_logs AS l JOIN podium.peer_connections AS c ON c.id = l.connection_id
LEFT JOIN podium.peers AS p ON p.id = l.peer_id ORDER BY l.id
"""


def message(msg: Any = "block.import", **fields: Any) -> bytes:
    """A message of the bare form, of now unless a `ts` is given."""
    return orjson.dumps({"msg": msg, "ts": datetime.now(UTC).isoformat(), **fields})


def connected(peer_id: Any, **fields: Any) -> bytes:
    """The message by which a node says who it is."""
    return message("system.connected", network_id=peer_id, **fields)


def wrapped(id: Any, msg: Any = "block.import", **fields: Any) -> bytes:
    """A message of the newer form."""
    return orjson.dumps({"id": id, "ts": datetime.now(UTC).isoformat(), "payload": {"msg": msg, **fields}})


@asynccontextmanager
async def open_node(url: str, path: str = "/", **given: Any) -> AsyncIterator[ClientConnection]:
    """A node's socket inside the block, closed by the closing handshake at its end."""
    address = f"{url.replace('http', 'ws', 1)}{path}"
    async with connect(address, **{"compression": None, "ping_interval": None, **given}) as connection:
        yield connection


async def send(url: str, frames: Iterable[str | bytes], path: str = "/", **given: Any) -> tuple[str, int]:
    """Send these over a socket of their own; the address that it came from."""
    async with open_node(url, path, **given) as node:
        for frame in frames:
            await node.send(frame)
        host, port = node.local_address[:2]
    return host, port


async def all_is_stored(running: Running, within_s: float = PATIENCE_S) -> None:
    """Return when all that was taken is stored, or refused."""
    telemetry = running.gateway.telemetry

    def is_stored() -> bool:
        refused = sum(telemetry.counts[reason] for reason in REFUSALS)
        taken = telemetry.counts["messages"] - refused
        return telemetry.writer.in_flight == telemetry.writer.waiting == 0 and taken <= telemetry.writer.stored

    await eventually(is_stored, within_s)


async def stored(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    """All messages in the order in which they were stored, with who sent them, parsed."""
    return list(await connection.fetch(STORED))
