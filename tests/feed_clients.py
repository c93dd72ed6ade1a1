"""Clients of /feed for tests, and nodes whose logs are stored as gateways store them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
from websockets.asyncio.client import ClientConnection, connect

from resolvers.telemetry.looking import MARGIN
from tests.harness import Database
from tests.telemetry import add_connection

PATIENCE_S = 10.0
ADA = "12D3KooWAda"
IMPORT = "block.import"
ADDED = """
INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, is_audit, type, target, message)
SELECT $1::bigint + n, p.id, 1, coalesce(($5::jsonb ->> 'ts')::timestamptz, now()), false, $3, $4,
  $5::jsonb || jsonb_build_object('n', $6::integer + n)
FROM podium.peers AS p, generate_series(0, $7 - 1) AS n WHERE p.peer_id = $2
"""
IS_RECENT = "SELECT clock_timestamp() - max(stored_at) < $1 FROM podium.peer_logs"


class Writer:
    """A session that stores logs, as those of gateways do; numbers of messages count up from 1 as `n`."""

    def __init__(self, connection: asyncpg.Connection, first_id: int) -> None:
        self.connection = connection
        self.told = 0
        self._first_id = first_id

    async def say(self, peer_id: str = ADA, msg: str = IMPORT, *, times: int = 1, **fields: Any) -> int:
        """Store messages of a node; the number of the last one."""
        message = fields.get("message") or {"msg": msg, "ts": datetime.now(UTC).isoformat(), **fields}
        payload = message.get("payload")
        said = payload if isinstance(payload, dict) and "msg" not in message else message
        columns = [said[name][:128] if isinstance(said.get(name), str) else None for name in ("msg", "target")]
        body = orjson.dumps(message).decode()
        first = self.told + 1
        self.told += times
        await self.connection.execute(ADDED, self._first_id + first, peer_id, *columns, body, first, times)
        return self.told

    async def settle(self) -> None:
        """Wait until what was said is the past for whoever subscribes from now on."""
        while await self.connection.fetchval(IS_RECENT, 2 * MARGIN):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_writer(database: Database, number: int = 9) -> AsyncIterator[Writer]:
    """A writer's session inside the block."""
    settings = {"application_name": f"podium telemetry {number}"}
    connection = await asyncpg.connect(database.logins.writer, server_settings=settings)
    try:
        yield Writer(connection, number << 32)
    finally:
        await connection.close()


async def make_known(connection: asyncpg.Connection, *peer_ids: str) -> None:
    """Nodes that have connected."""
    for peer_id in peer_ids:
        await add_connection(connection, peer_id, opened_at=datetime.now(UTC))


class FeedSocket:
    """A socket to /feed."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **message: Any) -> None:
        await self.connection.send(orjson.dumps(message).decode())

    async def subscribe(self, peer_id: str = ADA, msg: str = IMPORT, **more: Any) -> None:
        await self.send(peer_id=peer_id, msg=msg, interest="subscribe", **more)

    async def unsubscribe(self, peer_id: str = ADA, msg: str = IMPORT) -> None:
        await self.send(peer_id=peer_id, msg=msg, interest="unsubscribe")

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            message: dict[str, Any] = orjson.loads(await self.connection.recv())
        return message

    async def error(self) -> str:
        """The text of the next message, which is an error."""
        text: str = (await self.receive())["error"]
        return text

    async def rows(self, count: int = 1, peer_id: str = ADA, msg: str = IMPORT) -> list[dict[str, Any]]:
        """The next rows, which must be of this pair."""
        rows: list[dict[str, Any]] = []
        while len(rows) < count:
            message = await self.receive()
            assert message.get("peer_message") == {"msg": msg, "peer_id": peer_id}, message
            rows += message["data"]
        assert len(rows) == count
        return rows

    async def numbers(self, count: int = 1, peer_id: str = ADA, msg: str = IMPORT) -> list[int]:
        """What the next rows are numbered."""
        return [row["log"]["n"] for row in await self.rows(count, peer_id, msg)]


@asynccontextmanager
async def open_feed(url: str, path: str = "/feed", **given: Any) -> AsyncIterator[FeedSocket]:
    """A socket inside the block."""
    address = f"{url.replace('http', 'ws', 1)}{path}"
    async with connect(address, **{"compression": None, "max_size": 1 << 26, **given}) as connection:
        yield FeedSocket(connection)
