"""peerLog: what nodes say, live, with all that pages of their logs show."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from tests.feed_clients import ADA, Writer, make_known, open_writer
from tests.harness import Database, Running, StartGateway
from tests.subscribers import hears, open_socket

FEED = 'subscription ($msg: String) { peerLog(peerId: "12D3KooWAda", msg: $msg) { value(path: "/n") } }'
POINTERS = ("", "/", "/best", "/best/forks/1/a~1b", "/best/forks/-1", "/best/forks/2", "/best/forks/x", "/n/0", "/none")
VALUES = " ".join(f'v{place}: value(path: "{pointer}")' for place, pointer in enumerate(POINTERS))
LOG = f"{{ id at storedAt msg target level message {VALUES} }}"
WHOLE = f'subscription {{ peerLog(peerId: "12D3KooWAda") {LOG} }}'
PAGE = f'{{ peer(peerId: "12D3KooWAda") {{ logs(first: 100) {{ nodes {LOG} }} }} }}'


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway that looks often."""
    return await start_gateway(cache_update_interval_ms="20ms")


@pytest.fixture
async def writer(database: Database, connection: asyncpg.Connection) -> AsyncIterator[Writer]:
    """One that stores logs of a node that is known."""
    await make_known(connection, ADA)
    async with open_writer(database) as writer:
        yield writer


async def test_what_is_told_is_what_pages_show(running: Running, writer: Writer) -> None:
    best = {"height": 7, "forks": ["x", {"a/b": 1.5, "m": None}], "": {"": [True]}}
    messages: list[dict[str, Any]] = [
        {"msg": "m", "target": "db", "level": "INFO", "best": best, "": 5},
        {"msg": "x" * 200, "target": "y" * 200, "level": None},
        {"msg": 7, "target": ["db"], "level": {"of": "detail"}},
        {"id": 1, "payload": {"msg": "m", "target": "db", "level": "WARN", "best": best}},
        {"id": 1, "payload": ["no", "object"]},
        {"note": "é 😀", "best": {"forks": {"1": {"a/b": "key"}}}},
    ]
    told = []
    async with open_socket(running.url) as socket:
        await socket.subscribe(WHOLE)
        await hears(running)
        for second, message in enumerate(messages):
            await writer.say(message={**message, "ts": f"2026-01-01T00:00:0{second}.5+00:00"})
            told.append((await socket.next())["peerLog"])
    shown = (await running.ask(PAGE))["peer"]["logs"]["nodes"]
    assert told == shown[::-1]
    assert [log["msg"] for log in told] == ["m", "x" * 200, "7", "m", None, None]


async def test_one_kind_of_message_or_all_are_told_however_late(running: Running, writer: Writer) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(FEED, "all")
        await socket.subscribe(FEED, "some", msg="b")
        await hears(running, 2)
        await writer.say(msg="a", ts="2020-01-01T00:00:00+00:00")
        assert await socket.next("all") == {"peerLog": {"value": 1}}
        await writer.say(msg="b", ts="2019-01-01T00:00:00+00:00")
        messages = [await socket.receive() for _ in range(2)]
        told = {"peerLog": {"value": 2}}
        assert {it["id"]: it["payload"]["data"] for it in messages} == {"all": told, "some": told}


async def test_both_doors_share_one_look(running: Running, writer: Writer) -> None:
    feed = running.gateway.live_logs.feed
    async with open_socket(running.url) as socket, open_socket(running.url) as other:
        for one in (socket, other):
            await one.subscribe(FEED)
        await hears(running, 2)
        assert feed.number == 1  # those who ask the same are one subscription
    async with open_socket(running.url) as socket:
        await socket.subscribe(FEED)
        await hears(running)
        await writer.say()
        assert await socket.next() == {"peerLog": {"value": 1}}


async def test_a_path_that_is_none_is_refused(running: Running) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(FEED.replace("/n", "n"))
        message = await socket.receive()
        assert message["type"] == "error"
        assert "no JSON Pointer" in message["payload"][0]["message"]
    assert running.gateway.live_logs.feed.number == 0
