"""viewerChanged: viewers, live, whatever changes them and at whichever gateway."""

import asyncpg
import pytest

from tests.harness import TOKEN_SECRET, StartGateway, bearer, eventually
from tests.subscribers import Socket, hears, open_socket
from tests.viewers import ask, new_streams, new_viewer

WATCH = "subscription ($id: ID!) { viewerChanged(id: $id) { limit activeStreams { id } } }"
ONLY_LIMIT = "subscription ($id: ID!) { viewerChanged(id: $id) { limit } }"
RELEASE = "mutation ($id: ID!) { releaseStreams(viewer: $id) { errors { code } } }"
SET_LIMIT = "mutation ($id: ID!) { setStreamLimit(viewer: $id, limit: 5) { errors { code } } }"
TOKENS = {"jwt_secret": TOKEN_SECRET}
SHOWN = {"additional_headers": bearer(scope="watch")}


async def told(socket: Socket) -> tuple[int, list[str]]:
    """The limit and the streams of the next event."""
    viewer = (await socket.next())["viewerChanged"]
    return viewer["limit"], [stream["id"] for stream in viewer["activeStreams"]]


async def test_everything_that_changes_is_told_whichever_gateway_does_it(start_gateway: StartGateway) -> None:
    here, there = await start_gateway(**TOKENS), await start_gateway(**TOKENS)
    viewer, streams = await new_viewer(here), await new_streams(here, 2)
    async with open_socket(here.url, **SHOWN) as socket:
        await socket.subscribe(WATCH, id=viewer)
        await hears(here)
        await ask(there, viewer, streams[0])
        assert await told(socket) == (3, [streams[0]])
        await ask(here, viewer, streams[1])
        assert await told(socket) == (3, streams)
        await ask(there, viewer, streams[0], "deactivate")
        assert await told(socket) == (3, [streams[1]])
        await there.ask(SET_LIMIT, id=viewer)
        assert await told(socket) == (5, [streams[1]])
        await here.ask(RELEASE, id=viewer)
        assert await told(socket) == (5, [])


async def test_a_lease_that_ends_is_told(start_gateway: StartGateway) -> None:
    running = await start_gateway(**TOKENS, stream_lease_s="1500ms")
    viewer, (stream,) = await new_viewer(running), await new_streams(running, 1)
    await eventually(lambda: running.gateway.leader.leads)
    async with open_socket(running.url, **SHOWN) as socket:
        await socket.subscribe(WATCH, id=viewer)
        await hears(running)
        await ask(running, viewer, stream)
        assert await told(socket) == (3, [stream])
        assert await told(socket) == (3, [])


async def test_who_asks_for_the_limit_is_not_told_what_is_watched(start_gateway: StartGateway) -> None:
    running = await start_gateway(**TOKENS)
    viewer, streams = await new_viewer(running), await new_streams(running, 1)
    async with open_socket(running.url, **SHOWN) as socket:
        await socket.subscribe(ONLY_LIMIT, id=viewer)
        await hears(running)
        await ask(running, viewer, streams[0])
        await running.ask(SET_LIMIT, id=viewer)
        assert await socket.next() == {"viewerChanged": {"limit": 5}}


@pytest.mark.parametrize(("scope", "code"), [("watch", "NOT_FOUND"), ("read", "FORBIDDEN")])
async def test_nobody_is_not_told_of(start_gateway: StartGateway, scope: str, code: str) -> None:
    running = await start_gateway(**TOKENS)
    async with open_socket(running.url, additional_headers=bearer(scope=scope)) as socket:
        await socket.subscribe(WATCH, id="nobody")
        refused = await socket.receive()
        assert (refused["type"], refused["payload"][0]["extensions"]["code"]) == ("error", code)


async def test_a_viewer_whose_id_has_expired_is_told_of_no_more(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    running = await start_gateway(**TOKENS)
    viewer = await new_viewer(running)
    async with open_socket(running.url, **SHOWN) as socket:
        await socket.subscribe(WATCH, id=viewer)
        await hears(running)
        await connection.execute("DELETE FROM podium.viewers")
        await connection.execute("SELECT pg_notify('podium_viewers', $1)", viewer)
        ended = await socket.receive()
        assert (ended["type"], ended["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")
