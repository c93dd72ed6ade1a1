"""The loop that purges what nodes have said."""

import asyncio

import asyncpg
import pytest

from tests.harness import StartGateway, eventually
from workers.purger import purge_regularly

ADD_LOG = """
INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, stored_at, is_audit, message)
VALUES (1, 0, 1, now(), now() - interval '90 minutes', false, '{}'), (2, 0, 1, now(), now(), false, '{}')
"""


async def test_it_is_done_again_and_again() -> None:
    calls: list[int] = []

    async def purge() -> None:
        calls.append(1)

    loop = asyncio.create_task(purge_regularly(purge, lambda event, **facts: None, 0.001))
    await eventually(lambda: len(calls) > 2)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_failure_is_reported_and_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.purger.RETRY_S", 0)
    reported: list[str] = []
    called = 0

    async def purge() -> None:
        nonlocal called
        called += 1
        if called < 3:
            raise OSError("away")

    loop = asyncio.create_task(purge_regularly(purge, lambda event, **facts: reported.append(event), 600))
    await eventually(lambda: called == 3)
    assert reported == ["purge_failed"] * 2
    assert not loop.done()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_gateway_has_room_for_logs_and_lets_go_of_those_that_have_expired(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    await start_gateway(log_expiry_h="1h", purge_interval_s="0.1s")
    await connection.execute(ADD_LOG)
    async with asyncio.timeout(10):
        while len(left := await connection.fetch("SELECT id FROM podium.peer_logs")) > 1:
            assert left
    assert [row["id"] for row in left] == [2]
