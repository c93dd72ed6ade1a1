"""The loops that tidy up viewers and streams."""

import asyncio

import asyncpg

from tests.harness import StartGateway, eventually
from tests.viewers import add, ask
from workers.stream_tidier import tidy

FORGET_WHEN = "UPDATE podium.viewers SET created_at = now() - interval '2 hours' WHERE id = $1"


async def test_a_step_is_taken_again_and_again_whatever_becomes_of_it() -> None:
    reported: list[str] = []
    taken = 0

    async def step() -> None:
        nonlocal taken
        taken += 1
        if taken < 3:
            raise OSError("away")

    loop = asyncio.create_task(tidy(step, lambda event, **facts: reported.append(event), 0.001))
    await eventually(lambda: taken > 3)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    assert reported == ["streams_tidying_failed"] * 2


async def test_the_leader_gives_leases_back_counts_what_is_watched_and_deletes_unused_ids(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    (used, unused), (stream,) = await add(connection, viewers=2, streams=1)
    await connection.execute(FORGET_WHEN, unused)
    running = await start_gateway(stream_lease_s="2", stream_id_expiry_h="1")
    assert (await ask(running, used, stream)).status_code == 200
    registry = running.gateway.metrics.registry
    expired = "podium_stream_leases_expired_total"
    await eventually(lambda: registry.get_sample_value(expired) == 1, within_s=10)
    assert await connection.fetchval("SELECT active FROM podium.viewers WHERE id = $1", used) == "{}"
    async with asyncio.timeout(10):
        while await connection.fetchval("SELECT count(*) FROM podium.viewers") > 1:
            await asyncio.sleep(0.05)
    assert await connection.fetchval("SELECT id FROM podium.viewers") == used
    await connection.execute('UPDATE podium.viewers SET active = \'{"x": [0, null], "y": [0, null]}\'')
    await eventually(lambda: registry.get_sample_value("podium_active_streams") == 2, within_s=15)
    assert registry.get_sample_value("podium_viewers_watching") == 1
