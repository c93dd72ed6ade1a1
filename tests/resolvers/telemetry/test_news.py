"""When answers about nodes are known to be old."""

import asyncio
from collections.abc import Collection

from websockets.asyncio.client import connect

from db.statements import ALWAYS_CHANGING
from resolvers.telemetry.news import News
from tests.harness import Running, changed, eventually


async def test_of_many_batches_one_is_told_for_all_and_later_ones_again() -> None:
    told: list[Collection[str]] = []
    news = News(told.append, soon_s=0)
    for expected in (1, 2):
        for _ in range(50):
            news.stored()
        assert len(told) == expected - 1
        await asyncio.sleep(0)
        await eventually(lambda expected=expected: len(told) == expected)
    assert told == [ALWAYS_CHANGING] * 2


async def test_what_a_node_sends_makes_answers_old(running: Running) -> None:
    versions = running.gateway.versions
    moment = versions.moment
    async with connect(running.url.replace("http", "ws") + "/") as socket:
        await socket.send('{"msg": "a", "ts": "2026-01-05T12:00:00Z"}')
        await eventually(lambda: changed(versions, moment) >= ALWAYS_CHANGING)
