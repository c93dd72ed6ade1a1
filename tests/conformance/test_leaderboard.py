"""The answers of the original leaderboard, replayed."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.conformance.replay import SUITES, replay
from tests.harness import SECRET, Running, StartGateway, serving_answers


async def test_the_leaderboard_answers_as_the_original(running: Running) -> None:
    assert await replay(running.client, "leaderboard", SECRET) == []


async def test_regions_of_a_catalyst_server_are_known_from_the_start(start_gateway: StartGateway) -> None:
    async with serving_answers(_catalyst) as url:
        running = await start_gateway(catalyst_region_url=url)
        assert await replay(running.client, "leaderboard_catalyst", SECRET) == []


async def test_a_catalyst_server_that_hangs_disturbs_nobody(start_gateway: StartGateway) -> None:
    released = asyncio.Event()

    async def hang(_: Request) -> Response:
        await released.wait()
        return await _catalyst(_)

    async with serving_answers(hang) as url:
        running = await start_gateway(catalyst_region_url=url)
        assert len((await running.client.get("/api/regions")).json()["regions"]) == 26
        released.set()


async def _catalyst(_: Request) -> Response:
    return JSONResponse(SUITES["leaderboard_catalyst_stub"])
