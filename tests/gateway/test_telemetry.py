"""The way of telemetry through one gateway, put together."""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.harness import Running, StartGateway, eventually
from tests.processes import Podium, Start
from tests.raw_sockets import BINARY, TEXT, frame, open_raw_socket
from tests.senders import all_is_stored, connected, message, open_node, send, stored

CONNECTED = '{"msg":"system.connected","network_id":"QmA","ts":"2026-12-01T00:00:00Z"}'
OPEN = "SELECT count(*) FROM podium.peer_connections WHERE closed_at IS NULL"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'podium.peer_logs'::regclass"
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
            async with asyncio.timeout(5):
                while await connection.fetchval(WAITING) != 2:
                    await asyncio.sleep(0.01)
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


async def test_a_live_connection_that_is_silent_survives_the_purge_and_takes_no_message_of_others_along(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    running = await start_gateway(log_expiry_h="1s")
    async with open_node(running.url) as silent, open_node(running.url) as other:
        async with asyncio.timeout(5):
            while await connection.fetchval(OPEN) != 2:
                await asyncio.sleep(0.01)
        await connection.execute("UPDATE podium.peer_connections SET opened_at = now() - interval '1 year'")
        await running.gateway._purge()
        assert await connection.fetchval(OPEN) == 2
        await silent.send(connected("QmSilent"))
        for number in range(71):
            await other.send(message(n=number))
    await all_is_stored(running)
    assert len(await stored(connection)) == 72
    assert running.gateway.telemetry.counts["unstorable"] == 0


async def test_audit_and_host_systems_are_there_as_the_original_documents_them(
    running: Running, connection: asyncpg.Connection
) -> None:
    await send(running.url, [message(n=1)], "/audit")
    await all_is_stored(running)
    assert [row["is_audit"] for row in await stored(connection)] == [True]
    host = {"description": "d", "os": "o", "cpu_qty": 4, "cpu_clock": 1, "ram_mb": 2, "disk_info": "i"}
    created = (await running.client.post("/host_systems", json=host)).json()
    assert (await running.client.get("/host_systems")).json() == [{"id": created["id"], **host}]


SLOW = {"DB_SAVE_LATENCY_MS": "10m", "DB_BATCH_SIZE": "65536"}


async def test_sigterm_stores_what_waits_and_what_nodes_send_until_they_hear_of_it(
    start: Start, data_dir: Path
) -> None:
    podium = await (await start("serve", "--port", "0", directory=data_dir, **SLOW)).ready()
    sent = 500
    await send(podium.url, [connected("QmGone"), *(message(n=number) for number in range(sent - 1))])
    async with open_node(podium.url) as node:
        await node.send(connected("QmHere"))
        podium.process.terminate()
        here = 0
        with suppress(ConnectionClosed):
            while True:
                await node.send(message(n=here))
                await asyncio.sleep(0)  # a node hears what it is told while it sends
                here += 1
        assert node.close_code == 1012
    assert await podium.end(within_s=30) == 0
    again = await (await start("serve", "--port", "0", directory=data_dir)).ready()
    assert await _logs(again, "QmGone") == sent
    assert await _logs(again, "QmHere") == here + 1
    assert await _open(again) == 0


async def _logs(podium: Podium, peer_id: str) -> int:
    counted = (await podium.client.get("/nodes/log_stats", params={"peer_id": peer_id})).json()
    return sum(row["qty"] for row in counted)


async def _open(podium: Podium) -> int:
    question = {"query": "{ peers(filter: {isConnected: true}) { totalCount } }"}
    answer = (await podium.client.post("/graphql", json=question)).json()
    return int(answer["data"]["peers"]["totalCount"])
