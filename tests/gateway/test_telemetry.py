"""The way of telemetry through one gateway, put together."""

import asyncio

import asyncpg
from websockets.asyncio.client import connect

from tests.harness import Running

CONNECTED = '{"msg":"system.connected","network_id":"QmA","ts":"2026-12-01T00:00:00Z"}'
OPEN = "SELECT count(*) FROM podium.peer_connections WHERE closed_at IS NULL"
CLOSE = "UPDATE podium.peer_connections SET closed_at = now()"
END_WRITERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE 'podium telemetry %' AND datname = current_database()
"""


async def test_open_sockets_that_were_taken_for_dead_are_open_again(
    running: Running, connection: asyncpg.Connection
) -> None:
    async def is_open() -> None:
        async with asyncio.timeout(5):
            while not await connection.fetchval(OPEN):
                await asyncio.sleep(0.01)

    async with connect(running.url.replace("http", "ws", 1)) as node:
        await is_open()
        await connection.execute(CLOSE)
        await connection.execute(END_WRITERS)
        await node.send(CONNECTED)
        await is_open()
