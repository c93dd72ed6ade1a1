"""Nodes that send over real sockets: what is taken of them and what is not, and when their sockets are closed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from tests.harness import Database, Running, StartGateway, eventually
from tests.senders import all_is_stored, connected, message, open_node, send, stored, wrapped
from workers import log_writer

OPEN = "SELECT count(*) FROM podium.peer_connections WHERE closed_at IS NULL"
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: podium\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@asynccontextmanager
async def raw_node(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket after its handshake, which answers nothing by itself; it is cut at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    yield reader, writer
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()


def numbered(*numbers: int) -> list[bytes]:
    return [message(n=number) for number in numbers]


async def numbers_of(connection: asyncpg.Connection) -> list[int]:
    bodies = (orjson.loads(row["message"]) for row in await stored(connection))
    return [body["n"] for body in bodies if "n" in body]


async def until(connection: asyncpg.Connection, question: str, answer: Any) -> None:
    """Return when the database answers this."""
    async with asyncio.timeout(5):
        while await connection.fetchval(question) != answer:
            await asyncio.sleep(0.01)


async def closed_with(node: Any) -> int:
    """The code with which the server closes a socket."""
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionClosed) as closed:
            await node.recv()
    assert closed.value.rcvd
    return int(closed.value.rcvd.code)


@pytest.mark.parametrize(("path", "is_audit"), [("/", False), ("/audit", True), ("/audit/", True), ("", False)])
async def test_messages_of_both_paths_are_stored_with_who_sent_them(
    running: Running, connection: asyncpg.Connection, path: str, is_audit: bool
) -> None:
    host, port = await send(running.url, [connected("QmA", name="Alice"), message(n=1)], path)
    await all_is_stored(running)
    rows = await stored(connection)
    assert [(row["peer_id"], row["type"]) for row in rows] == [("QmA", "system.connected"), ("QmA", "block.import")]
    assert {row["is_audit"] for row in rows} == {is_audit}
    assert {row["ip_addr"] for row in rows} == {f"{host}:{port}"}
    (node,) = (await running.client.get("/nodes")).json()
    assert (node["peer_id"], node["name"], node["audit"]) == ("QmA", "Alice", is_audit)
    assert node["ip_addr"] == f"{host}:{port}"


async def test_a_browser_gets_a_page_where_nodes_get_a_socket(running: Running) -> None:
    assert (
        (await running.client.get("/", headers={"Accept": "text/html"})).headers["content-type"].startswith("text/html")
    )
    assert (await running.client.get("/audit")).status_code == 404


@pytest.mark.parametrize("path", ["/Audit", "/audit/x", "//", "/telemetry", "/nodes"])
async def test_no_other_path_takes_messages(running: Running, path: str) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        await send(running.url, [], path)


async def test_an_address_may_be_followed_by_a_query(running: Running, connection: asyncpg.Connection) -> None:
    await send(running.url, numbered(1), "/?chain=dev")
    await all_is_stored(running)
    assert await numbers_of(connection) == [1]


async def test_binary_and_text_frames_whole_and_in_pieces_are_messages(
    running: Running, connection: asyncpg.Connection
) -> None:
    text = [body.decode() for body in numbered(1, 2, 3, 4)]
    async with open_node(running.url) as node:
        await node.send(text[0])
        await node.send(text[1].encode())
        await node.send([text[2][:5], text[2][5:9], text[2][9:]])
        await node.send([text[3][:5].encode(), b"", text[3][5:].encode()])
    await all_is_stored(running)
    assert await numbers_of(connection) == [1, 2, 3, 4]
    assert running.gateway.telemetry.counts["bytes"] == sum(map(len, text))


async def test_many_messages_in_one_packet_are_all_taken(running: Running, connection: asyncpg.Connection) -> None:
    async with open_node(running.url) as node:
        frames = (Frame(Opcode.TEXT, body).serialize(mask=True) for body in numbered(*range(3000)))
        node.transport.write(b"".join(frames))
    await all_is_stored(running)
    assert await numbers_of(connection) == list(range(3000))


async def test_what_is_no_message_is_counted_and_the_socket_stays_open(
    running: Running, connection: asyncpg.Connection
) -> None:
    wrong = ["{", "", "null", "7", '"text"', "[1]", "nonsense", b"\xff\xfe", b"\0", '{"a":NaN}', '{"a":1}{"b":2}']
    await send(running.url, [*numbered(1), *wrong, *numbered(2)])
    await all_is_stored(running)
    assert await numbers_of(connection) == [1, 2]
    counts = running.gateway.telemetry.counts
    assert (counts["malformed"], counts["no_object"]) == (7, 4)
    assert counts["messages"] == len(wrong) + 2


async def test_a_message_of_the_largest_size_is_stored(start_gateway: StartGateway, connection: Any) -> None:
    running = await start_gateway(ws_max_payload=4096)
    largest = message(n=1, filler="")
    largest = message(n=1, filler="x" * (4096 - len(largest)))
    assert len(largest) == 4096
    await send(running.url, [largest])
    await all_is_stored(running)
    assert await numbers_of(connection) == [1]


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_message_that_is_too_large_closes_its_socket_with_1009_and_what_came_before_is_kept(
    start_gateway: StartGateway, connection: asyncpg.Connection, in_pieces: bool
) -> None:
    running = await start_gateway(ws_max_payload=4096)
    async with open_node(running.url) as other:
        async with open_node(running.url) as node:
            for body in numbered(*range(50)):
                await node.send(body)
            large = message(n=-1, filler="x" * 5000)
            await node.send([large[:3000], large[3000:]] if in_pieces else large)
            assert await closed_with(node) == 1009
        await other.send(message(n=50))
    await all_is_stored(running)
    assert await numbers_of(connection) == list(range(51))
    await until(connection, OPEN, 0)


async def test_a_socket_is_a_node_from_its_handshake_on_until_it_is_closed(
    running: Running, connection: asyncpg.Connection
) -> None:
    async with open_node(running.url) as node:
        await until(connection, OPEN, 1)
        (shown,) = (await running.client.get("/nodes")).json()
        assert (shown["peer_id"], shown["ip_addr"]) == (None, f"127.0.0.1:{node.local_address[1]}")
    await until(connection, OPEN, 0)


async def test_a_socket_that_is_cut_off_is_closed_too(running: Running, connection: asyncpg.Connection) -> None:
    async with open_node(running.url) as node:
        await node.send(message(n=1))
        await until(connection, OPEN, 1)
        await eventually(lambda: running.gateway.telemetry.counts["messages"])
        node.transport.abort()
        await until(connection, OPEN, 0)
    await all_is_stored(running)
    assert await numbers_of(connection) == [1]


async def test_nodes_that_share_a_socket_have_entries_of_their_own(
    running: Running, connection: asyncpg.Connection
) -> None:
    frames = [
        wrapped(1, "system.connected", network_id="QmA", name="Alice"),
        wrapped(2, "system.connected", network_id="QmB", name="Bob"),
        wrapped(1, "block.import", height=1),
        wrapped(2, "txpool.import"),
        wrapped(2, "txpool.import"),
    ]
    await send(running.url, frames)
    await all_is_stored(running)
    nodes = (await running.client.get("/nodes")).json()
    assert [(node["peer_id"], node["name"]) for node in nodes] == [("QmA", "Alice"), ("QmB", "Bob")]
    assert len({node["ip_addr"] for node in nodes}) == 1
    counted = (await running.client.get("/nodes/log_stats", params={"peer_id": "QmB"})).json()
    assert counted == [{"log_type": "system.connected", "qty": 1}, {"log_type": "txpool.import", "qty": 2}]
    (log,) = (await running.client.get("/nodes/logs?peer_id=QmA&msg=block.import")).json()
    assert log["logs"] == orjson.loads(frames[2])


async def test_a_silent_socket_is_pinged_and_closed_when_it_does_not_answer(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    running = await start_gateway(heartbeat_interval="0.1s", client_timeout_s="0.5s")
    clock = asyncio.get_running_loop().time
    async with raw_node(running.url) as (reader, _):
        began = clock()
        said = b""
        async with asyncio.timeout(5):
            while b"\x88" not in said:  # the closing frame
                said += await reader.read(1000)
    assert clock() - began > 0.4
    pings = said.count(b"\x89\x00")
    assert pings >= 2
    assert said.endswith(b"\x88\x11\x03\xe9no sign of life")
    await until(connection, OPEN, 0)


@pytest.mark.parametrize(
    "sign", [b"\x8a\x80abcd", b"\x89\x80abcd", b"\x81\x82\0\0\0\0{}"], ids=["pong", "ping", "data"]
)
async def test_a_socket_that_gives_a_sign_of_life_stays_open(start_gateway: StartGateway, sign: bytes) -> None:
    running = await start_gateway(heartbeat_interval="60s", client_timeout_s="0.5s")
    async with raw_node(running.url) as (_, writer):
        for _ in range(10):
            await asyncio.sleep(0.1)
            writer.write(sign)
        assert len(running.gateway.telemetry.ingest) == 1


async def test_a_node_that_answers_pings_may_be_silent_for_long(start_gateway: StartGateway) -> None:
    running = await start_gateway(heartbeat_interval="0.05s", client_timeout_s="0.25s")
    async with open_node(running.url) as node:
        await asyncio.sleep(1)
        assert len(running.gateway.telemetry.ingest) == 1
        await node.send(message(n=1))
    await all_is_stored(running)


async def test_only_networks_on_the_list_may_send(start_gateway: StartGateway) -> None:
    running = await start_gateway(telemetry_allow="10.0.0.0/8,2001:db8::/32")
    with pytest.raises(InvalidStatus, match="403"):
        await send(running.url, numbered(1))
    counts = running.gateway.telemetry.counts
    assert (counts["not_allowed"], counts["opened"], counts["messages"]) == (1, 0, 0)
    assert (await running.client.get("/nodes")).json() == []


async def test_a_network_on_the_list_may_send(start_gateway: StartGateway) -> None:
    running = await start_gateway(telemetry_allow="10.0.0.0/8,127.0.0.1")
    await send(running.url, numbered(1))
    await all_is_stored(running)


@pytest.mark.parametrize(
    ("path", "header"),
    [("/", "Bearer t0ken"), ("/audit", "Bearer t0ken"), ("/?token=t0ken", None), ("/audit?a=1&token=t0ken", None)],
)
async def test_who_shows_the_token_may_send(start_gateway: StartGateway, path: str, header: str | None) -> None:
    running = await start_gateway(telemetry_token="t0ken")
    await send(running.url, numbered(1), path, additional_headers={"Authorization": header} if header else None)
    await all_is_stored(running)


@pytest.mark.parametrize(
    ("path", "header"),
    [
        *(("/", None), ("/audit", None), ("/", "Bearer "), ("/", "Bearer t0ke"), ("/", "Bearer t0ken2")),
        *(("/?token=", None), ("/?token=T0KEN", None), ("/?token=%ff", None), ("/?token=t0ken", "Bearer wrong")),
        ("/", "Bearer \u00fc"),
    ],
)
async def test_who_does_not_is_refused(start_gateway: StartGateway, path: str, header: str | None) -> None:
    running = await start_gateway(telemetry_token="t0ken")
    with pytest.raises(InvalidStatus, match="403"):
        await send(running.url, numbered(1), path, additional_headers={"Authorization": header} if header else None)
    assert running.gateway.telemetry.counts["opened"] == 0


async def test_metrics_have_the_names_of_the_original(running: Running) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(open_node(running.url))
        node = await stack.enter_async_context(open_node(running.url))
        await node.send(b"{}")
        await eventually(lambda: running.gateway.telemetry.counts["messages"])
        lines = (await running.client.get("/metrics")).text.splitlines()
        assert {"current_substrate_connections 4.0", "nodes_connected_count 4.0"} <= set(lines)
        assert {"substrate_message_count 1.0", "substrate_bytes_received 2.0", "nodes_dropped_count 0.0"} <= set(lines)
    await eventually(lambda: len(running.gateway.telemetry.ingest) == 0)
    lines = (await running.client.get("/metrics")).text.splitlines()
    assert {"current_substrate_connections 0.0", "nodes_dropped_count 4.0"} <= set(lines)


async def test_a_nul_in_a_message_takes_nothing_of_its_batch_along(
    running: Running, connection: asyncpg.Connection
) -> None:
    frames = [connected("QmA"), *numbered(*range(50)), b'{"msg":"a\\u0000b","n":50,"\\u0000":"\\ud800"}']
    await send(running.url, [*frames, *numbered(*range(51, 100))])
    await all_is_stored(running)
    assert await numbers_of(connection) == list(range(100))
    assert running.gateway.telemetry.counts["escaped"] == 1
    counted = (await running.client.get("/nodes/log_stats?peer_id=QmA")).json()
    assert {"log_type": "a\\u0000b", "qty": 1} in counted


async def test_of_thirty_nodes_that_connect_and_speak_at_the_same_time_each_is_known(
    running: Running, connection: asyncpg.Connection
) -> None:
    async def speak(number: int) -> None:
        peer_id = f"Qm{number:02}"
        state = {"peerId": peer_id}
        await send(running.url, [connected(peer_id, name="n"), message(state=state), message(network_state=state)])

    await asyncio.gather(*map(speak, range(30)))
    await all_is_stored(running)
    nodes = (await running.client.get("/nodes")).json()
    assert [(node["peer_id"], node["name"]) for node in nodes] == [(f"Qm{number:02}", "n") for number in range(30)]
    assert {row["peer_id"] for row in await stored(connection)} == {f"Qm{number:02}" for number in range(30)}
    assert len(await stored(connection)) == 90


async def test_a_process_that_stood_still_closes_nobody_for_the_time_when_it_did_not_listen(
    start_gateway: StartGateway,
) -> None:
    running = await start_gateway(heartbeat_interval="0.1s", client_timeout_s="0.5s")
    async with open_node(running.url) as node:
        await eventually(lambda: running.gateway.telemetry.counts["opened"])
        time.sleep(1)  # noqa: ASYNC251
        await asyncio.sleep(0.2)
        await node.send(message(n=1))
    await all_is_stored(running)


async def test_a_client_that_has_gone_while_nothing_was_read_is_noticed(
    start_gateway: StartGateway, database: Database
) -> None:
    running = await start_gateway(heartbeat_interval="0.1s", telemetry_buffer_messages=1024)
    writer = running.gateway.telemetry.writer
    locker = await asyncpg.connect(database.logins.superuser)
    async with locker.transaction():
        await locker.execute("LOCK TABLE podium.peer_logs IN ACCESS EXCLUSIVE MODE")
        async with open_node(running.url) as node:
            frames = [Frame(Opcode.TEXT, body).serialize(mask=True) for body in numbered(*range(100))]
            node.transport.write(b"".join(frames) * 30)
            await eventually(lambda: writer.pauses)
            node.transport.abort()
            await eventually(lambda: len(running.gateway.telemetry.ingest) == 0)
    await locker.close()
    await all_is_stored(running)


async def test_when_too_many_have_come_and_gone_while_the_database_was_away_others_are_sent_away(
    start_gateway: StartGateway,
    database: Database,
    connection: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(log_writer, "MAX_NODES_WAITING", 10)
    running = await start_gateway()
    caplog.clear()
    locker = await asyncpg.connect(database.logins.superuser)
    async with locker.transaction():
        await locker.execute("LOCK TABLE podium.peer_connections IN ACCESS EXCLUSIVE MODE")
        refused = 0
        while not refused:
            try:
                await send(running.url, [])
            except InvalidStatus as answer:
                refused = answer.response.status_code
        assert refused == 503
        assert running.gateway.telemetry.counts["overloaded"] == 1
        assert not caplog.records
    await locker.close()
    await eventually(lambda: not running.gateway.telemetry.writer.is_crowded)
    await send(running.url, numbered(1))
    await all_is_stored(running)
    await until(connection, OPEN, 0)


async def test_metrics_are_found_with_a_slash_at_the_end_as_well(running: Running) -> None:
    answer = await running.client.get("/metrics/")
    assert (answer.status_code, "substrate_message_count 0.0" in answer.text) == (200, True)
