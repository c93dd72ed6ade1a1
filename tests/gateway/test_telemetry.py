"""The way of telemetry through one gateway, put together."""

import asyncio

import asyncpg
import orjson
from websockets.asyncio.client import connect

from tests.harness import Running, StartGateway, eventually
from tests.raw_sockets import BINARY, TEXT, frame, open_raw_socket
from tests.senders import all_is_stored, message, open_node, stored

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


async def test_what_was_on_its_way_twice_when_both_lines_were_lost_is_stored_once(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    running = await start_gateway(db_batch_size="50")
    async with open_node(running.url) as node:
        await node.send(CONNECTED)
        await eventually(lambda: running.gateway.telemetry.writer.stored == 1)
        async with connection.transaction():
            await connection.execute("LOCK TABLE podium.peer_logs IN EXCLUSIVE MODE")
            for number in range(500):
                await node.send(message(n=number))
            await eventually(lambda: len(running.gateway.telemetry.writer._storing) == 2)
            await eventually(lambda: running.gateway.telemetry.writer.waiting > 0)
            assert len(await connection.fetch(END_WRITERS)) == 2
        await all_is_stored(running)
    numbers = await connection.fetch("SELECT (message->>'n')::int FROM podium.peer_logs WHERE type = 'block.import'")
    assert sorted(row[0] for row in numbers) == list(range(500))


async def test_a_text_that_is_not_utf_8_ends_its_socket_and_bytes_that_are_not_are_refused(
    running: Running, connection: asyncpg.Connection
) -> None:
    broken = message(n=2).replace(b"2", b"\xff")
    async with open_raw_socket(running.url, "/") as node:
        await node.send(
            frame(BINARY, broken), frame(TEXT, message(n=1)), frame(TEXT, broken), frame(TEXT, message(n=3))
        )
        assert await node.closed_with() == 1007
    await eventually(lambda: len(running.gateway.telemetry.ingest) == 0)
    await all_is_stored(running)
    assert running.gateway.telemetry.counts["malformed"] == 1
    assert [orjson.loads(row["message"])["n"] for row in await stored(connection)] == [1]
