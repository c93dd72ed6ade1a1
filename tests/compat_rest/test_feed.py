"""/feed over real sockets: what nodes say is told, once, to whoever listens."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from compat_rest import feed, feed_outbox
from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import Settings
from resolvers.telemetry import reader
from resolvers.tokens import LEEWAY_S
from schema import outbox
from tests.feed_clients import ADA, IMPORT, FeedSocket, Writer, make_known, open_feed, open_writer
from tests.harness import TOKEN_SECRET, Database, Running, StartGateway, bearer, eventually, serving

QUICKLY = {"cache_update_interval_ms": "20ms"}


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway that looks often."""
    return await start_gateway(**QUICKLY)


@pytest.fixture
async def writer(database: Database, connection: asyncpg.Connection) -> AsyncIterator[Writer]:
    """One that stores logs of a node that is known."""
    await make_known(connection, ADA)
    async with open_writer(database) as writer:
        yield writer


@pytest.fixture(scope="module")
async def shared_gateway(shared_database: Database) -> AsyncIterator[Running]:
    """A gateway for tests that store nothing."""
    settings = Settings(_env_file=None, postgres=shared_database.logins.writer)
    async with serving(Gateway(settings, Urls(settings.postgres or "", shared_database.logins.reader))) as running:
        yield running


async def listens(running: Running, subscriptions: int = 1) -> None:
    """Return when so many subscriptions are told from now on."""
    feed = running.gateway.live_logs.feed
    await eventually(lambda: feed.ready == subscriptions)


async def test_a_message_is_told_as_it_was_stored(running: Running, writer: Writer) -> None:
    async with open_feed(running.url) as socket:
        await socket.subscribe()
        await listens(running)
        await writer.say(ts="2020-08-19T09:38:19.100+00:00", block={"height": 7})
        assert await socket.receive() == {
            "data": [
                {
                    "created_at": "2020-08-19T09:38:19.100",
                    "log": {"msg": IMPORT, "ts": "2020-08-19T09:38:19.100+00:00", "block": {"height": 7}, "n": 1},
                }
            ],
            "peer_message": {"msg": IMPORT, "peer_id": ADA},
        }


async def test_a_wrapped_message_counts_with_what_it_says_and_is_told_whole(running: Running, writer: Writer) -> None:
    wrapped = {"id": 3, "ts": "2020-08-19T09:38:19+00:00", "payload": {"msg": IMPORT, "height": 7}}
    async with open_feed(running.url, "/feed/") as socket:
        await socket.subscribe()
        await listens(running)
        await writer.say(message=wrapped)
        (row,) = await socket.rows()
        assert row == {"created_at": "2020-08-19T09:38:19", "log": {**wrapped, "n": 1}}


async def test_every_gateway_tells_what_any_has_stored(start_gateway: StartGateway, writer: Writer) -> None:
    gateways = [await start_gateway(**QUICKLY) for _ in range(2)]
    async with open_feed(gateways[0].url) as one, open_feed(gateways[1].url) as other:
        for gateway, socket in zip(gateways, (one, other), strict=True):
            await socket.subscribe()
            await listens(gateway)
        for told in range(1, 4):
            await writer.say()
            assert [await socket.numbers() for socket in (one, other)] == [[told], [told]]


async def test_what_a_node_says_late_is_told(running: Running, writer: Writer) -> None:
    async with open_feed(running.url) as socket:
        await socket.subscribe()
        await listens(running)
        for ts in ("2026-01-02T00:00:00+00:00", "2020-01-01T00:00:00+00:00", "2030-01-01T00:00:00+00:00"):
            await writer.say(ts=ts)
            assert [row["created_at"] for row in await socket.rows()] == [ts.removesuffix("+00:00")]


async def test_what_was_stored_before_subscribing_is_not_told(running: Running, writer: Writer) -> None:
    async with open_feed(running.url) as early, open_feed(running.url) as late:
        await early.subscribe()
        await listens(running)
        await writer.say()
        assert await early.numbers() == [1]
        await late.subscribe()
        await listens(running, 2)
        await writer.say()
        assert (await early.numbers(), await late.numbers()) == ([2], [2])


async def test_other_messages_and_other_nodes_are_not_told(
    running: Running, writer: Writer, connection: asyncpg.Connection
) -> None:
    await make_known(connection, "other")
    long = "x" * 200
    async with open_feed(running.url) as socket:
        await socket.subscribe()
        await socket.subscribe(msg=long)
        await socket.subscribe("other", "b")
        await listens(running, 3)
        for peer_id, msg in ((ADA, "b"), ("other", IMPORT), (ADA, long + "y"), (ADA, IMPORT)):
            await writer.say(peer_id, msg)
        assert await socket.numbers() == [4]
        await writer.say(msg=long)
        assert await socket.numbers(msg=long) == [5]


async def test_a_node_that_is_not_known_yet_is_told_of_from_its_first_message_on(
    running: Running, writer: Writer, connection: asyncpg.Connection
) -> None:
    async with open_feed(running.url) as socket:
        await socket.subscribe("new")
        await socket.subscribe("new", "b", start_time="2019-01-01T00:00:00")
        await listens(running, 2)
        async with writer.connection.transaction():
            await writer.connection.execute("INSERT INTO podium.peers (peer_id) VALUES ('new')")
            await writer.say("new")
        assert await socket.numbers(1, "new") == [1]
        await writer.say("new", "b")
        assert await socket.numbers(1, "new", "b") == [2]


async def test_two_subscriptions_to_a_silent_pair_break_nothing(running: Running, writer: Writer) -> None:
    async with open_feed(running.url) as one, open_feed(running.url) as other:
        for socket in (one, other, one):
            await socket.subscribe("silent", "nothing")
            await socket.subscribe("silent", "nothing", aggregate_type="mean", aggregate_interval=1)
            await socket.subscribe(msg="nothing", start_time="2019-01-01T00:00:00")
        await listens(running, 4)
        for socket in (one, other):
            await socket.subscribe()
        await listens(running, 6)
        await writer.say()
        assert (await one.numbers(), await other.numbers()) == ([1], [1])
        await writer.say(msg="nothing")
        assert await one.numbers(msg="nothing") == [2]


async def test_a_second_subscription_to_a_pair_takes_the_place_of_the_first(running: Running, writer: Writer) -> None:
    async with open_feed(running.url) as socket:
        for _ in range(3):
            await socket.subscribe(start_time="2040-01-01T00:00:00")
        await socket.subscribe()
        await listens(running)
        await writer.say()
        await writer.say()
        assert await socket.numbers(2) == [1, 2]
        assert running.gateway.live_logs.feed.number == 1


async def test_who_unsubscribes_is_told_no_more(running: Running, writer: Writer) -> None:
    async with open_feed(running.url) as socket:
        await socket.subscribe()
        await socket.subscribe(msg="b")
        await listens(running, 2)
        await socket.unsubscribe()
        await socket.unsubscribe(msg="never subscribed")
        await listens(running, 1)
        await writer.say()
        await writer.say(msg="b")
        assert await socket.numbers(msg="b") == [2]


WRONG = [
    ({}, "`peer_id` not found"),
    ({"peer_id": 7, "msg": "m", "interest": "subscribe"}, "`peer_id` not found"),
    ({"peer_id": "p"}, "`msg` not found"),
    ({"peer_id": "p", "msg": "m"}, "`interest` not found"),
    ({"peer_id": "p", "msg": "m", "interest": "x"}, "`interest` must be either `subscribe` or `unsubscribe`"),
    ({"start_time": "yesterday"}, "unable to parse `start_time`"),
    ({"start_time": ""}, "unable to parse `start_time`"),
    ({"start_time": 5}, "unable to parse `start_time`"),
    ({"start_time": "2020-02-30T00:00:00"}, "unable to parse `start_time`"),
    ({"start_time": "2020-02-03"}, "unable to parse `start_time`"),
    ({"aggregate_type": "sum"}, "unable to parse `aggregate_type`"),
    ({"aggregate_type": 5}, "unable to parse `aggregate_type`"),
    ({"aggregate_type": "mean"}, "unable to parse `aggregate_interval`"),
    ({"aggregate_type": "mean", "aggregate_interval": 0}, "unable to parse `aggregate_interval`"),
    ({"aggregate_type": "mean", "aggregate_interval": 1.5}, "unable to parse `aggregate_interval`"),
    ({"aggregate_type": "mean", "aggregate_interval": True}, "unable to parse `aggregate_interval`"),
]


@pytest.mark.parametrize(("given", "error"), WRONG)
async def test_a_message_that_is_wrong_is_answered_with_what_is_wrong(
    given: dict[str, Any], error: str, shared_gateway: Running
) -> None:
    is_option = given and "peer_id" not in given
    whole = {"peer_id": "p", "msg": "m", "interest": "subscribe", **given} if is_option else given
    async with open_feed(shared_gateway.url) as socket:
        await socket.send(**whole)
        assert await socket.receive() == {"error": error}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "a message is JSON, and this is none"),
        ("[1]", "a message is a JSON object"),
        ("[" * 60_000, "a message is JSON, and this is none"),
        (f'"{"é" * 40_000}"', "a message has at most 65536 bytes"),
    ],
)
async def test_a_socket_stays_open_whatever_it_is_sent(running: Running, writer: Writer, text: str, error: str) -> None:
    async with open_feed(running.url) as socket:
        await socket.connection.send(text)
        assert await socket.error() == error
        await socket.connection.send(b"\x00 bytes mean nothing")
        await socket.subscribe("\0", "\0")
        await socket.subscribe(start_time="2019-01-01T00:00:00.5+01:00", aggregate_type="", aggregate_interval="")
        await listens(running, 2)
        await writer.say()
        assert await socket.numbers() == [1]


async def test_a_socket_has_so_many_subscriptions_at_most(
    running: Running, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_SUBSCRIPTIONS", 3)
    async with open_feed(running.url) as socket:
        for number in range(3):
            await socket.subscribe(msg=str(number))
        await socket.subscribe()
        assert await socket.error() == "at most 3 subscriptions on one socket"
        await socket.unsubscribe(msg="0")
        await socket.subscribe()
        await listens(running, 3)
        await writer.say()
        assert await socket.numbers() == [1]


@pytest.mark.parametrize("has_frames", [True, False])
async def test_what_was_stored_before_comes_first_and_then_what_is_stored_meanwhile(
    running: Running, writer: Writer, database: Database, monkeypatch: pytest.MonkeyPatch, has_frames: bool
) -> None:
    if not has_frames:
        monkeypatch.setattr(outbox, "FRAMES_EXTENSION", "not there")
    monkeypatch.setattr(reader, "PAGE_ROWS", 7)
    await writer.say(times=3, ts="2026-01-01T00:00:00+00:00")
    await writer.say(times=4000, ts="2026-01-01T00:00:00.000001+00:00")  # many looks pass meanwhile
    async with open_feed(running.url) as socket, open_writer(database, 8) as other:
        enough = asyncio.Event()
        going_on = asyncio.create_task(_go_on(writer, other, enough))
        await eventually(lambda: writer.told > 4060)
        await socket.subscribe(start_time="2026-01-01T00:00:00")
        await eventually(lambda: writer.told > 4600, within_s=30)
        enough.set()
        await going_on
        rows = await socket.rows(writer.told - 3 + other.told)
    told = [(row["log"]["n"], row["log"].get("by")) for row in rows]
    mine, others = ([n for n, by in told if by == writer_] for writer_ in (None, "other"))
    assert mine == list(range(4, writer.told + 1))
    assert others == list(range(1, other.told + 1))


async def _go_on(writer: Writer, other: Writer, enough: asyncio.Event) -> None:
    """Two writers, of whom one takes its time to commit."""
    while not enough.is_set():
        async with other.connection.transaction():
            await other.say(by="other", times=2)
            for _ in range(5):
                await writer.say(times=3)


async def test_start_time_is_by_the_clock_of_the_node_and_excluded(running: Running, writer: Writer) -> None:
    for second in (1, 3, 2):
        await writer.say(ts=f"2026-01-01T00:00:0{second}+00:00")
    await writer.settle()
    async with open_feed(running.url) as socket:
        await socket.subscribe(start_time="2026-01-01T01:00:01+01:00")
        assert await socket.numbers(2) == [3, 2]
        await listens(running)
        for second in (1, 4):
            await writer.say(ts=f"2026-01-01T00:00:0{second}+00:00")
        assert await socket.numbers() == [5]


async def test_aggregates_are_told_of_intervals_that_are_over(running: Running, writer: Writer) -> None:
    async with open_feed(running.url) as socket:
        for number in (1, 2, 3, 4, 10):
            await writer.say(ts=f"2026-01-01T00:00:0{number % 5}+00:00", time=str(number), name="seal", target="t")
        await writer.say(ts="2026-01-01T00:00:07+00:00", time=7, name="seal", target="t")
        await writer.say(ts="2026-01-01T00:00:07+00:00", time="soon", name="seal", target="t")
        wanted = {"start_time": "2026-01-01T00:00:00.5", "aggregate_type": "MAX", "aggregate_interval": 5}
        await socket.subscribe(**wanted)
        first = {"created_at": "2026-01-01T00:00:00", "name": "seal", "target": "t", "time": 4, "values": ""}
        assert await socket.rows() == [first]
        # The clock of the node, as far as its messages show it, passes the end of the second one.
        assert await socket.rows() == [{**first, "created_at": "2026-01-01T00:00:05", "time": 7}]


async def test_a_client_that_does_not_read_loses_the_oldest_rows_and_is_told(
    running: Running, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_outbox, "MAX_BYTES", 1 << 20)
    registry = running.gateway.metrics.registry
    async with open_feed(running.url) as fast, open_feed(running.url, max_queue=1) as slow:
        for socket in (fast, slow):
            await socket.subscribe()
        await listens(running, 2)
        slow.connection.transport.pause_reading()
        while not registry.get_sample_value("podium_feed_rows_total", {"source": "left_out"}):
            await writer.say(times=5, text="x" * 100_000)
            assert len(await fast.numbers(5)) == 5
            assert writer.told < 2000
            if writer.told > 200:
                slow.connection.transport.resume_reading()
        told: list[int] = []
        left_out = 0
        while left_out + len(told) < writer.told:
            message = await slow.receive()
            if "error" in message:
                assert message["peer_message"] == {"msg": IMPORT, "peer_id": ADA}
                assert message["error"].startswith(f"{message['left_out']} rows were left out")
                left_out += message["left_out"]
            else:
                told += [row["log"]["n"] for row in message["data"]]
        assert told == sorted(told)
        assert left_out > 0
        assert told[-1] == writer.told
        await writer.say()
        assert await slow.numbers() == [writer.told]


async def test_a_client_that_reads_no_answers_is_closed(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_outbox, "MAX_REPLIES", 10)
    monkeypatch.setattr(feed, "CLOSE_TIMEOUT_S", 0.1)
    async with open_feed(running.url, max_queue=1, close_timeout=0.1) as socket:
        socket.connection.transport.pause_reading()
        with pytest.raises(ConnectionClosed):
            await _ask_nonsense(socket)
    await eventually(lambda: running.gateway.live_logs.endpoint.sockets == 0)


async def _ask_nonsense(socket: FeedSocket) -> None:
    while True:
        await socket.connection.send("{" + "x" * 1000)


async def test_with_closed_reads_a_feed_needs_a_token(start_gateway: StartGateway, connection: Any) -> None:
    running = await start_gateway(legacy_reads_open=False, anonymous_scopes=(), jwt_secret=TOKEN_SECRET, **QUICKLY)
    for given, status in ({}, 403), ({"additional_headers": {"Authorization": "Bearer x"}}, 401):
        with pytest.raises(InvalidStatus) as refused:
            async with open_feed(running.url, **given):
                pass
        assert refused.value.response.status_code == status
    shown = bearer(scope="read")
    token = shown["Authorization"].removeprefix("Bearer ")
    for path, given in ("/feed", {"additional_headers": shown}), (f"/feed?token={token}", {}):
        async with open_feed(running.url, path, **given) as socket:
            await socket.send()
            assert await socket.error() == "`peer_id` not found"


async def test_a_socket_ends_with_its_token(start_gateway: StartGateway) -> None:
    running = await start_gateway(legacy_reads_open=False, jwt_secret=TOKEN_SECRET, anonymous_scopes=())
    soon = datetime.now(UTC) - timedelta(seconds=LEEWAY_S - 1)
    async with open_feed(running.url, additional_headers=bearer(scope="read", exp=soon)) as socket:
        await socket.connection.wait_closed()
        assert socket.connection.close_code == 4403


async def test_pages_of_other_origins_may_listen(shared_gateway: Running) -> None:
    async with open_feed(shared_gateway.url, additional_headers={"Origin": "https://elsewhere.example"}) as socket:
        await socket.send()
        assert await socket.error() == "`peer_id` not found"


async def test_sockets_and_rows_are_counted_under_their_names(running: Running, writer: Writer) -> None:
    async with open_feed(running.url):
        async with open_feed(running.url) as socket:
            await socket.subscribe()
            await listens(running)
            await writer.say(times=4)
            await socket.rows(4)
        await eventually(lambda: running.gateway.live_logs.feed.number == 0)
        exposed = (await running.client.get("/metrics")).text.splitlines()
    for line in (
        "feeds_connected 2.0",
        "feeds_disconnected 1.0",
        "current_feed_connections 1.0",
        'podium_feed_rows_total{source="delivered"} 4.0',
        "podium_log_subscriptions 0.0",
    ):
        assert line in exposed, line


async def test_what_a_node_sends_to_one_gateway_is_told_by_all(start_gateway: StartGateway) -> None:
    here, there = [await start_gateway(**QUICKLY, db_save_latency_ms="10ms") for _ in range(2)]
    ts = "2026-01-01T00:00:00+00:00"
    async with open_feed(here.url) as one, open_feed(there.url) as other, open_feed(here.url, "/") as node:
        for gateway, socket in (here, one), (there, other):
            await socket.subscribe()
            await listens(gateway)
        # What it has said before it says who it is is told then.
        await node.send(msg=IMPORT, ts=ts, n=1)
        await eventually(lambda: here.gateway.telemetry.writer.stored == 1)
        await node.send(msg="system.connected", ts=ts, network_id=ADA)
        await node.send(msg=IMPORT, ts=ts, n=2)
        for socket in (one, other):
            assert sorted(await socket.numbers(2)) == [1, 2]
