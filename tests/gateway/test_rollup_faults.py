"""Roll-ups are what results come to, unrepaired, after gateways or their Postgres were killed while many post."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from signal import SIGKILL

import asyncpg
import httpx

from db.embedded import attach
from db.pool import Pool, PoolOptions
from resolvers.errors import from_driver
from resolvers.filters import Window
from resolvers.rollups import check
from tests.harness import Database, eventually
from tests.processes import Podium, Start

COUNTS = """SELECT (SELECT count(*) FROM podium.results), (SELECT sum(samples) FROM podium.hourly_rollups),
  (SELECT sum(samples) FROM podium.daily_rollups)"""


@asynccontextmanager
async def posting(*gateways: Podium) -> AsyncIterator[list[str]]:
    """Post to gateways inside the block, over 8 connections each; the list grows with what is acknowledged."""
    acknowledged: list[str] = []
    numbers = count(1)

    async def post(gateway: Podium) -> None:
        async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as client:
            with suppress(httpx.TransportError):  # it was killed
                while number := next(numbers, None):
                    orchestrator = f"0x{number % 50}"
                    if (await gateway.post(orchestrator, client)).status_code == 200:
                        acknowledged.append(orchestrator)

    async with asyncio.TaskGroup() as tasks:
        for gateway in gateways * 8:
            tasks.create_task(post(gateway))
        yield acknowledged
        numbers = iter(())


async def more(acknowledged: list[str]) -> None:
    """Return when hundreds more are acknowledged."""
    enough = len(acknowledged) + 300
    await eventually(lambda: len(acknowledged) >= enough, within_s=20)


async def assert_right(url: str, acknowledged: list[str]) -> None:
    """What was acknowledged is there, and in the roll-ups exactly as often as in the results."""
    connection = await asyncpg.connect(url)
    stored, by_hour, by_day = await connection.fetchrow(COUNTS)
    await connection.close()
    assert stored == by_hour == by_day >= len(acknowledged)
    pool = Pool(url, PoolOptions(size=1, timeout_s=10), from_driver)
    await pool.open()
    assert [day.wrong_cells async for day in check(pool, Window())] in ([0], [0, 0])
    await pool.close()


async def test_two_gateways_post_at_once_and_one_is_killed(start: Start, database: Database) -> None:
    settings = {"POSTGRES": database.logins.writer, "AUTO_MIGRATE": "false"}
    first, second = [await (await start("serve", "--port", "0", **settings)).ready() for _ in range(2)]
    async with posting(first, second) as acknowledged:
        await more(acknowledged)
        first.process.kill()
        await first.end()
        await more(acknowledged)
    await assert_right(database.logins.writer, acknowledged)
    assert not first.events("rollups_repaired") + second.events("rollups_repaired")


async def test_a_gateway_is_killed_with_its_postgres(start: Start, serving: Podium) -> None:
    async with posting(serving) as acknowledged:
        await more(acknowledged)
        serving.process.kill()
        await serving.end()
    again = await (await start("serve", "--port", "0", directory=serving.data_dir)).ready()
    async with attach(serving.data_dir) as logins:
        await assert_right(logins.writer, acknowledged)
    assert not again.events("rollups_repaired")


async def test_postgres_is_killed(serving: Podium) -> None:
    async with posting(serving) as acknowledged:
        for kills in (1, 2):
            await more(acknowledged)
            os.kill(int(serving.events("postgres_started")[-1]["pid"]), SIGKILL)
            await eventually(lambda: len(serving.events("postgres_started")) == kills + 1, within_s=20)  # noqa: B023
        await more(acknowledged)
    async with attach(serving.data_dir) as logins:
        await assert_right(logins.writer, acknowledged)
    assert not serving.events("rollups_repaired")
