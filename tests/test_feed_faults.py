"""/feed when Postgres dies: nothing is lost, and nothing is told twice."""

import asyncio
import os
from signal import SIGKILL
from typing import Any

import asyncpg

from db.embedded import EmbeddedPostgres
from db.migrate import migrate
from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import Settings
from tests.feed_clients import Writer, make_known, open_feed
from tests.harness import eventually, serving
from tests.telemetry import PARTITIONS

SESSION = {"application_name": "podium telemetry 9"}


async def until_stored(server: EmbeddedPostgres, number: int) -> None:
    """Store the message with this number, over as many connections as it takes."""
    while True:
        try:
            connection = await asyncpg.connect(server.logins.writer, server_settings=SESSION)
            try:
                await Writer(connection, number << 8).say(number=number)
            finally:
                await connection.close(timeout=1)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await asyncio.sleep(0.02)
        else:
            return


async def test_subscriptions_go_on_across_kills_of_postgres_and_lose_nothing(tmp_path: Any) -> None:
    async with EmbeddedPostgres(tmp_path) as server:
        await migrate(server.logins.owner)
        superuser = await asyncpg.connect(server.logins.superuser)
        await superuser.execute(PARTITIONS)
        await make_known(superuser, "12D3KooWAda")
        await superuser.close()
        settings = Settings(_env_file=None, postgres=server.logins.writer, cache_update_interval_ms="50ms")
        gateway = Gateway(settings, Urls(server.logins.writer, server.logins.reader))
        async with serving(gateway) as running, open_feed(running.url) as socket, open_feed(running.url) as late:
            await socket.subscribe(msg="block.import")
            await eventually(lambda: gateway.live_logs.feed.ready == 1)
            told: list[int] = []
            errors: list[str] = []
            for kills in range(3):
                await until_stored(server, kills * 10)
                assert server.pid
                os.kill(server.pid, SIGKILL)
                if kills == 1:
                    await late.subscribe()
                for number in range(1, 10):
                    await until_stored(server, kills * 10 + number)
            while 29 not in told:
                message = await socket.receive()
                told += [row["log"]["number"] for row in message.get("data", ())]
                errors += [message["error"]] if "error" in message else []
            later: list[int] = []
            while 29 not in later:
                later += [row["log"]["number"] for row in (await late.receive()).get("data", ())]
        # What was stored when the connection broke before that was known was stored again.
        assert set(told) == set(range(30))
        assert set(later) == set(range(11, 30))
        assert all(error.endswith("what is stored meanwhile comes later") for error in errors)
