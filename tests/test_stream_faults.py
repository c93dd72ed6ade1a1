"""Viewer limits where many ask at once, at several gateways, and when Postgres dies or hangs: they hold."""

import asyncio
import os
import time
from collections import Counter
from contextlib import suppress
from random import Random
from signal import SIGKILL
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from tests.harness import Running, StartGateway, eventually
from tests.test_faults import Events, own_postgres, within
from tests.viewers import AWAY, FULL, MOST_ACTIVE, add, ask, new_stream, new_streams, new_viewer

ROUNDS = 20
TOGETHER = 100
LIMITS = httpx.Limits(max_connections=50)
WATCHED = "SELECT id, array(SELECT jsonb_object_keys(active)) AS active FROM podium.viewers"
PATHS = (
    *(("GET", "/users/newId"), ("GET", "/streams/newId"), ("PATCH", "/streams/x/activate")),
    *(("POST", "/STREAMS/x/deactivate/"), ("POST", "/streams/%2F/activate"), ("PATCH", "/streams/%zz/activate")),
)


@pytest.mark.parametrize("lease", ["0", "1h"])
async def test_of_a_hundred_at_once_at_two_gateways_exactly_three_are_accepted(
    start_gateway: StartGateway, connection: asyncpg.Connection, lease: str
) -> None:
    gateways = [await start_gateway(stream_lease_s=lease) for _ in range(2)]
    viewers, streams = await add(connection, viewers=ROUNDS, streams=TOGETHER)
    for viewer in viewers:
        asked = (ask(gateways[place % 2], viewer, stream) for place, stream in enumerate(streams))
        answers = await asyncio.gather(*asked)
        assert Counter(answer.status_code for answer in answers) == {200: 3, 403: TOGETHER - 3}
        assert [answer.json() for answer in answers if answer.status_code == 403] == [FULL] * (TOGETHER - 3)
    assert await connection.fetchval(MOST_ACTIVE) == 3


async def test_whoever_comes_and_goes_at_two_gateways_never_has_more_than_the_limit(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    gateways = [await start_gateway() for _ in range(2)]
    viewers, streams = await add(connection, viewers=5, streams=6)
    seen: list[int] = []

    async def come_and_go(random: Random) -> None:
        for _ in range(40):
            deed = random.choice(("activate", "activate", "deactivate"))
            answer = await ask(random.choice(gateways), random.choice(viewers), random.choice(streams), deed)
            assert answer.status_code in (200, 403)
            assert deed == "activate" or answer.status_code == 200

    async def look() -> None:
        while True:
            seen.append(await connection.fetchval(MOST_ACTIVE))
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    await asyncio.gather(*(come_and_go(Random(seed)) for seed in range(20)))
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    assert max(seen) == 3


async def test_nobody_has_more_than_the_limit_when_postgres_is_killed(tmp_path: Any) -> None:
    events = Events()
    async with own_postgres(tmp_path, report=events) as (server, running):
        connection = await asyncpg.connect(server.logins.superuser)
        viewers, streams = await add(connection, viewers=20, streams=8)
        watched: dict[str, set[str]] = {viewer: set() for viewer in viewers}
        unsure: set[str] = set()
        answered: Counter[int] = Counter()
        is_over = False

        async def watch(viewer: str, random: Random) -> None:
            while not is_over:
                stream, deed = random.choice(streams), random.choice(("activate", "deactivate"))
                answer = await ask(running, viewer, stream, deed)
                answered[answer.status_code] += 1
                if answer.status_code == 503:
                    assert answer.json() == AWAY
                    unsure.add(viewer)
                elif answer.status_code == 200:
                    (watched[viewer].add if deed == "activate" else watched[viewer].discard)(stream)

        watching = [asyncio.create_task(watch(viewer, Random(viewer))) for viewer in viewers]
        for kills in (1, 2):
            accepted = answered[200]
            await eventually(lambda: answered[200] > accepted + 200, within_s=20)  # noqa: B023
            os.kill(server.pid or 0, SIGKILL)
            await eventually(lambda: events.names.count("postgres_started") == kills + 1, within_s=20)  # noqa: B023
        accepted = answered[200]
        await eventually(lambda: answered[200] > accepted + 200, within_s=20)
        is_over = True
        await asyncio.gather(*watching)
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close()
        connection = await asyncpg.connect(server.logins.superuser)
        rows = await connection.fetch(WATCHED)
        await connection.close()
    assert answered[503]
    assert max(len(row["active"]) for row in rows) <= 3
    for row in rows:  # what was acknowledged is there, unless a deed after it may have been done or not
        assert row["id"] in unsure or set(row["active"]) == watched[row["id"]]


async def test_a_database_that_is_away_is_said_at_once_on_every_path(tmp_path: Any) -> None:
    async with own_postgres(tmp_path) as (server, running):
        viewer, streams = await new_viewer(running), await new_streams(running, 2)
        assert (await ask(running, viewer, streams[0])).status_code == 200
        await server.stop()
        for _ in range(2):
            with within(1):
                await assert_away(running)
            assert_says_away(await ask(running, viewer, streams[1]))


async def test_a_database_that_hangs_is_said_within_two_seconds_and_then_at_once(tmp_path: Any) -> None:
    async with own_postgres(tmp_path) as (server, running):
        viewer, stream = await new_viewer(running), await new_stream(running)
        postmaster = psutil.Process(server.pid)
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.suspend()
        waited_s: list[float] = []

        async def refused() -> None:
            began = time.monotonic()
            assert_says_away(await ask(running, viewer, stream))
            waited_s.append(time.monotonic() - began)

        try:
            with within(2):
                await assert_away(running)
            with within(2):
                await asyncio.gather(*(refused() for _ in range(20)))
            assert sum(seconds > 0.5 for seconds in waited_s) <= 1  # who tries whether the database is there again
        finally:
            for process in processes:
                process.resume()
        deadline = time.monotonic() + 5
        while (await ask(running, viewer, stream)).status_code != 200:
            assert time.monotonic() < deadline
        assert (await running.client.get("/users/newId")).status_code == 200


async def assert_away(running: Running) -> None:
    answers = await asyncio.gather(*(running.client.request(method, path) for method, path in PATHS))
    for answer in answers:
        assert_says_away(answer)


def assert_says_away(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()) == (503, AWAY)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"
