"""What nodes send while Postgres dies, stalls or is away: all of it is stored, once, and memory has a bound."""

import asyncio
import os
from collections import Counter
from signal import SIGKILL
from typing import Any

import asyncpg
from websockets.asyncio.client import ClientConnection

from db.embedded import EmbeddedPostgres
from db.migrate import migrate
from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import Settings
from tests.harness import Database, StartGateway, eventually, serving
from tests.senders import all_is_stored, connected, message, open_node

LOCK = "LOCK TABLE podium.peer_logs IN ACCESS EXCLUSIVE MODE"
NUMBERS = "SELECT message ->> 'node' AS node, (message ->> 'n')::integer AS n FROM podium.peer_logs WHERE message ? 'n'"
KNOWN = """
SELECT p.peer_id, c.closed_at IS NOT NULL, c.has_logs
FROM podium.peer_connections AS c JOIN podium.peers AS p ON p.id = c.peer_id ORDER BY 1
"""
PEERS = (
    "SELECT p.peer_id, count(*) FROM podium.peer_logs AS l LEFT JOIN podium.peers AS p ON p.id = l.peer_id GROUP BY 1"
)


async def say(node: ClientConnection, name: str, count: int, filler: str = "") -> None:
    """Send numbered messages as fast as the server takes them, after one in the middle that says who this is."""
    for number in range(count):
        if number == count // 3:
            await node.send(connected(name))
        await node.send(message(node=name, n=number, filler=filler))


async def stored_numbers(connection: asyncpg.Connection) -> Counter[tuple[str, int]]:
    return Counter((row["node"], row["n"]) for row in await connection.fetch(NUMBERS))


def all_of(names: list[str], count: int) -> Counter[tuple[str, int]]:
    return Counter((name, number) for name in names for number in range(count))


async def test_nothing_is_lost_or_stored_twice_when_postgres_is_killed_while_nodes_send(tmp_path: Any) -> None:
    names = [f"Qm{number}" for number in range(8)]
    restarts: list[str] = []

    def report(event: str, **_: Any) -> None:
        restarts.append(event)

    async with EmbeddedPostgres(tmp_path, report=report) as server:
        await migrate(server.logins.owner)
        settings = Settings(_env_file=None, postgres=server.logins.writer, telemetry_buffer_messages=2048)
        gateway = Gateway(settings, Urls(server.logins.writer, server.logins.reader))
        async with serving(gateway) as running:
            nodes = [open_node(running.url) for _ in names]
            sockets = [await node.__aenter__() for node in nodes]
            sending = [
                asyncio.create_task(say(socket, name, 6000)) for socket, name in zip(sockets, names, strict=True)
            ]
            writer = gateway.telemetry.writer
            for kills in (1, 2, 3):
                before = writer.stored
                await eventually(lambda: writer.stored > before + 3000, within_s=30)  # noqa: B023
                assert server.pid
                os.kill(server.pid, SIGKILL)
                await eventually(lambda: restarts.count("postgres_started") == kills + 1, within_s=30)  # noqa: B023
            await asyncio.gather(*sending)
            for node in nodes:
                await node.__aexit__(None, None, None)
            await all_is_stored(running, within_s=30)
            connection = await asyncpg.connect(server.logins.superuser)
            assert await stored_numbers(connection) == all_of(names, 6000)
            assert dict(await connection.fetch(PEERS)) == dict.fromkeys(names, 6001)
            still_open = "SELECT count(*) FROM podium.peer_connections WHERE closed_at IS NULL"
            async with asyncio.timeout(10):
                while await connection.fetchval(still_open):
                    await asyncio.sleep(0.02)
            await connection.close()
            assert gateway.telemetry.counts["unstorable"] == 0


async def test_a_fast_sender_waits_in_flat_memory_while_nothing_can_be_stored_and_loses_nothing(
    start_gateway: StartGateway, database: Database, connection: asyncpg.Connection
) -> None:
    running = await start_gateway(telemetry_buffer_bytes=1 << 20, telemetry_buffer_messages=2048)
    writer = running.gateway.telemetry.writer
    locker = await asyncpg.connect(database.logins.superuser)
    transaction = locker.transaction()
    await transaction.start()
    await locker.execute(LOCK)
    async with open_node(running.url) as fast, open_node(running.url) as small:
        sending = asyncio.create_task(say(fast, "QmFast", 30_000, "x" * 1000))
        other = asyncio.create_task(say(small, "QmSmall", 30_000))
        await eventually(lambda: writer.pauses >= 2, within_s=20)
        taken = running.gateway.telemetry.counts["messages"]
        most = writer.held_bytes
        await asyncio.sleep(0.5)
        assert running.gateway.telemetry.counts["messages"] == taken < 10_000
        assert writer.held_bytes == most < 3 << 20
        assert not sending.done()
        await transaction.rollback()
        await locker.close()
        await asyncio.gather(sending, other)
    await all_is_stored(running, within_s=60)
    assert await stored_numbers(connection) == all_of(["QmFast", "QmSmall"], 30_000)


async def test_a_postgres_that_is_down_for_seconds_costs_no_message_and_sockets_stay_open(tmp_path: Any) -> None:
    async with EmbeddedPostgres(tmp_path) as server:
        await migrate(server.logins.owner)
        settings = Settings(
            _env_file=None,
            postgres=server.logins.writer,
            telemetry_buffer_messages=1024,
            heartbeat_interval="0.2s",
            client_timeout_s="1s",
        )
        gateway = Gateway(settings, Urls(server.logins.writer, server.logins.reader))
        async with serving(gateway) as running:
            async with open_node(running.url) as node, open_node(running.url) as silent:
                await node.send(message(node="Qm", n=-1))
                await all_is_stored(running)
                await server.stop()
                sending = asyncio.create_task(say(node, "Qm", 5000))
                await eventually(lambda: gateway.telemetry.writer.pauses)
                async with open_node(running.url) as late:
                    await asyncio.sleep(3)  # several times as long as a silent socket may be
                    await server.start()
                    await late.send(message(node="QmLate", n=0))
                    await sending
                await silent.send(message(node="QmSilent", n=0))
            await all_is_stored(running, within_s=30)
            connection = await asyncpg.connect(server.logins.superuser)
            expected = all_of(["Qm"], 5000) + Counter([("Qm", -1), ("QmLate", 0), ("QmSilent", 0)])
            assert await stored_numbers(connection) == expected
            await connection.close()


async def test_nodes_that_come_and_go_while_postgres_is_away_are_all_known_and_closed(
    start_gateway: StartGateway, database: Database, connection: asyncpg.Connection
) -> None:
    running = await start_gateway()
    locker = await asyncpg.connect(database.logins.superuser)
    transaction = locker.transaction()
    await transaction.start()
    await locker.execute(f"{LOCK}; LOCK TABLE podium.peer_connections IN ACCESS EXCLUSIVE MODE")
    for number in range(50):
        async with open_node(running.url) as node:
            await node.send(connected(f"Qm{number:02}"))
            await node.send(message(n=number))
            if number % 2:
                node.transport.abort()
    await eventually(lambda: running.gateway.telemetry.counts["closed"] == 50)
    await transaction.rollback()
    await locker.close()
    await all_is_stored(running)
    await eventually(lambda: running.gateway.telemetry.writer._is_idle)
    rows = [tuple(row) for row in await connection.fetch(KNOWN)]
    assert [row[0] for row in rows] == [f"Qm{number:02}" for number in range(50)]
    assert {row[1:] for row in rows} == {(True, True)}


async def test_sessions_that_are_ended_again_and_again_lose_nothing_and_repeat_nothing(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    running = await start_gateway(db_batch_size=64, db_save_latency_ms="5ms")
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name LIKE 'podium telemetry%' AND datname = current_database()"
    )
    names = [f"Qm{number}" for number in range(4)]

    async def send_all(name: str) -> None:
        async with open_node(running.url) as node:
            await say(node, name, 5000)

    sending = asyncio.gather(*map(send_all, names))
    while not sending.done():
        await connection.execute(end)
        await asyncio.sleep(0.03)
    await sending
    await all_is_stored(running, within_s=30)
    assert await stored_numbers(connection) == all_of(names, 5000)
    assert dict(await connection.fetch(PEERS)) == dict.fromkeys(names, 5001)
