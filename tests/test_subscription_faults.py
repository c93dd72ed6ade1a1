"""Subscriptions when Postgres dies, when subscribers do not read, and when there are none."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from signal import SIGKILL
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from db.embedded import EmbeddedPostgres
from db.migrate import migrate
from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import Settings
from resolvers import broadcast
from schema import outbox, sse, websocket
from tests.harness import SECRET, Running, StartGateway, eventually, serving
from tests.subscribers import Socket, hears, open_socket

RESULT = {"region": "FRA", "orchestrator": "0xabc", "success_rate": 1, "round_trip_time": 0.5}
RECORDED = "subscription { statRecorded { roundTripTime responsePayload } }"
CHANGED = "subscription { leaderboardChanged(jobType: TRANSCODING) { samples } }"
END_LISTENERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'podium listener'"
LISTENERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'podium listener' AND datname = $1"


@asynccontextmanager
async def own_postgres(directory: Any) -> AsyncIterator[tuple[EmbeddedPostgres, Running]]:
    """A Postgres that a test may kill, and a gateway on it."""
    async with EmbeddedPostgres(directory) as server:
        await migrate(server.logins.owner)
        settings = Settings(_env_file=None, postgres=server.logins.writer, secret=SECRET)
        async with serving(Gateway(settings, Urls(server.logins.writer, server.logins.reader))) as running:
            yield server, running


async def post(running: Running, number: float) -> None:
    """Post a result until it is stored."""
    while (await running.post_stat(**{**RESULT, "round_trip_time": number})).status_code != 200:
        await asyncio.sleep(0.02)


async def number(socket: Socket) -> float:
    told: float = (await socket.next())["statRecorded"]["roundTripTime"]
    return told


async def error_of(socket: Socket, id_: str = "1") -> dict[str, Any]:
    """The extensions of the error that ends a subscription."""
    while (message := await socket.receive())["type"] == "next":
        pass
    assert (message["type"], message["id"]) == ("error", id_)
    extensions: dict[str, Any] = message["payload"][0]["extensions"]
    return extensions


async def test_subscriptions_go_on_across_a_restart_of_postgres_and_lose_nothing(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "PATIENCE_S", 30)  # however long a busy machine takes to start it
    async with own_postgres(tmp_path) as (server, running), open_socket(running.url) as socket:
        await socket.subscribe(RECORDED)
        await hears(running)
        for kills in range(3):
            await post(running, kills * 10)
            assert server.pid
            os.kill(server.pid, SIGKILL)
            for told in range(1, 10):
                await post(running, kills * 10 + told)
        heard: list[float] = []
        while 29 not in heard:
            heard.append(await number(socket))
        # What was stored when the connection broke before its acknowledgement is stored, and told, twice.
        assert [told for told in range(30) if told not in heard] == []
        assert len(set(heard)) == 30


async def test_what_was_recorded_while_the_line_was_away_is_caught_up_with(
    running: Running, connection: asyncpg.Connection
) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(RECORDED)
        await hears(running)
        await post(running, 0)
        assert await number(socket) == 0
        for told in range(1, 20):
            await connection.fetch(END_LISTENERS)
            await post(running, told)
        assert [await number(socket) for _ in range(1, 20)] == list(range(1, 20))


async def test_what_was_recorded_before_subscribing_is_not_caught_up_with(
    running: Running, connection: asyncpg.Connection
) -> None:
    for before in range(3):
        await post(running, before)
    async with open_socket(running.url) as socket, open_socket(running.url) as later:
        await socket.subscribe(RECORDED)
        await hears(running)
        await post(running, 10)
        assert await number(socket) == 10
        await later.subscribe(RECORDED)
        await hears(running, 2)
        await connection.fetch(END_LISTENERS)
        await post(running, 11)
        assert [await number(socket), await number(later)] == [11, 11]


async def test_a_postgres_that_stays_away_ends_subscriptions_soon_and_refuses_new_ones(tmp_path: Any) -> None:
    async with own_postgres(tmp_path) as (server, running), open_socket(running.url) as socket:
        await socket.subscribe(RECORDED)
        await socket.subscribe(CHANGED, "2")
        await hears(running, 2)
        await server.stop()
        stopped_at = time.monotonic()
        ended = {(message := await socket.receive())["id"]: message["payload"][0] for _ in range(2)}
        assert time.monotonic() - stopped_at < 2
        assert {error["extensions"]["code"] for error in ended.values()} == {"UNAVAILABLE"}
        assert ended["1"]["extensions"]["since"]
        await socket.subscribe(RECORDED)
        assert (await error_of(socket))["code"] == "UNAVAILABLE"
        answer = await running.client.post(
            "/graphql", json={"query": RECORDED}, headers={"Accept": "text/event-stream"}
        )
        assert answer.status_code == 503
        await server.start()
        await socket.subscribe(RECORDED)
        await hears(running)
        await post(running, 1)
        assert await number(socket) == 1


async def test_more_than_can_be_caught_up_with_ends_with_the_window_to_page_through(
    running: Running, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "MAX_CAUGHT_UP", 5)
    async with open_socket(running.url) as socket:
        await socket.subscribe(RECORDED)
        await hears(running)
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute("ALTER ROLE podium_writer NOLOGIN")
        try:
            await connection.fetch(END_LISTENERS)
            while await connection.fetchval(LISTENERS, database):
                await asyncio.sleep(0.01)
            for told in range(10):
                await post(running, told)
        finally:
            await connection.execute("ALTER ROLE podium_writer LOGIN")
        missed = await error_of(socket)
        assert missed["code"] == "MAY_HAVE_MISSED"
    during = {"since": missed["since"], "until": missed["until"]}
    found = await running.ask("query ($d: TimeRange) { stats(filter: { during: $d }) { totalCount } }", d=during)
    assert found["stats"]["totalCount"] == 10


async def test_nothing_listens_and_nothing_is_asked_when_nobody_subscribes(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    running = await start_gateway(answer_cache_bytes=0)  # for which there would be a line of its own
    database = await connection.fetchval("SELECT current_database()")
    assert await connection.fetchval(LISTENERS, database) == 0
    async with open_socket(running.url) as one, open_socket(running.url) as other:
        for socket in (one, other):
            await socket.subscribe(RECORDED)
        await hears(running, 2)
        assert await connection.fetchval(LISTENERS, database) == 1
    await eventually(lambda: not running.gateway.broadcast.is_listening)
    async with asyncio.timeout(5):
        while await connection.fetchval(LISTENERS, database):
            await asyncio.sleep(0.01)

    def loops() -> set[str]:
        names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
        return names & {"listen", "Hearing.deliver_rounds", "_Feed._run"}

    await eventually(lambda: not loops())


@pytest.mark.parametrize("has_frames", [True, False])
async def test_a_slow_reader_is_ended_and_others_go_on(
    running: Running, monkeypatch: pytest.MonkeyPatch, has_frames: bool
) -> None:
    monkeypatch.setattr(outbox, "MAX_BYTES", 1 << 18)
    monkeypatch.setattr(websocket, "LEAVE_TIMEOUT_S", 0.2)
    if not has_frames:
        monkeypatch.setattr(outbox, "FRAMES_EXTENSION", "not there")
    registry = running.gateway.metrics.registry
    async with open_socket(running.url) as fast, open_socket(running.url, max_queue=1) as slow:
        for socket in (fast, slow):
            await socket.subscribe(RECORDED)
        await hears(running, 2)
        slow.connection.transport.pause_reading()
        told = 0
        while not registry.get_sample_value("podium_slow_consumers_ended_total"):
            await running.post_stat(**{**RESULT, "round_trip_time": told, "response_payload": "x" * 300_000})
            assert await number(fast) == told
            told += 1
            assert told < 100
        await eventually(lambda: running.gateway.feeds.subscribers == 1)
        await post(running, told)
        assert await number(fast) == told
        # Its connection is cut, whatever it does.
        await eventually(lambda: len(_sockets_of(running)) == 1)


def _sockets_of(running: Running) -> list[Any]:
    return [task for task in asyncio.all_tasks() if "run_asgi" in repr(task.get_coro())]


async def test_a_slow_reader_of_events_is_ended(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_BYTES", 1 << 18)
    monkeypatch.setattr(sse, "LEAVE_TIMEOUT_S", 0.2)
    registry = running.gateway.metrics.registry
    _reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(running.url).port, limit=1 << 10)
    body = orjson.dumps({"query": RECORDED})
    head = f"POST /graphql HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
    await hears(running)
    for _ in range(100):
        await running.post_stat(**{**RESULT, "response_payload": "x" * 300_000})
        if registry.get_sample_value("podium_slow_consumers_ended_total"):
            break
    await eventually(lambda: running.gateway.feeds.subscribers == 0)
    assert registry.get_sample_value("podium_internal_errors_total") == 0
    writer.close()
