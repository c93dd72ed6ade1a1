"""graphql-transport-ws on /graphql, over real sockets."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import httpx
import orjson
import pytest
from gql import Client as GqlClient
from gql import gql
from gql.transport.websockets import WebsocketsTransport
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from resolvers.tokens import LEEWAY_S
from schema import feeds, outbox, websocket
from schema.outbox import MAX_MESSAGES
from schema.websocket import MAX_ID_LENGTH, MAX_OPERATIONS
from tests.harness import TOKEN_SECRET, Running, StartGateway, bearer, eventually
from tests.schema.test_outbox import StuckWire
from tests.subscribers import PROTOCOL, hears, open_socket

RESULT = {"region": "FRA", "orchestrator": "0xabc", "success_rate": 1, "round_trip_time": 0.5}
RECORDED = "subscription ($f: StatFilter) { statRecorded(filter: $f) { orchestrator { address } roundTripTime } }"
VERSION = "{ service { version } }"


def told(orchestrator: str = "0xabc", round_trip_time: float = 0.5) -> dict[str, Any]:
    return {"statRecorded": {"orchestrator": {"address": orchestrator}, "roundTripTime": round_trip_time}}


def internal_errors(running: Running) -> float | None:
    return running.gateway.metrics.registry.get_sample_value("podium_internal_errors_total")


async def test_a_result_is_told_as_soon_as_it_is_recorded(running: Running) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(RECORDED)
        await hears(running)
        await running.post_stat(**RESULT)
        assert await socket.next() == told()
        await socket.send(type="complete", id="1")
        await eventually(lambda: running.gateway.feeds.number == 0)
        await running.post_stat(**RESULT)
        await socket.subscribe(VERSION, "2")
        assert set(await socket.next("2")) == {"service"}
        assert await socket.receive() == {"type": "complete", "id": "2"}


async def test_only_matching_results_are_told(running: Running) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(RECORDED, f={"orchestrator": {"in": ["0xB"]}, "successRate": {"min": 0.5}})
        await hears(running)
        for orchestrator, success_rate in (("0xa", 1), ("0xb", 0), ("0xb", 1)):
            await running.post_stat(**{**RESULT, "orchestrator": orchestrator, "success_rate": success_rate})
        assert await socket.next() == told("0xb")
        await running.post_stat(**{**RESULT, "orchestrator": "0xb", "round_trip_time": 2})
        assert await socket.next() == told("0xb", 2)


async def test_every_gateway_on_a_database_tells_all_results_in_their_order(start_gateway: StartGateway) -> None:
    first, second = await start_gateway(), await start_gateway()
    async with open_socket(first.url) as one, open_socket(second.url) as other:
        for running, socket in ((first, one), (second, other)):
            await socket.subscribe(RECORDED)
            await hears(running)
        for number in range(20):
            await (first, second)[number % 2].post_stat(**{**RESULT, "round_trip_time": number})
        for socket in (one, other):
            assert [await socket.next() for _ in range(20)] == [told("0xabc", number) for number in range(20)]


@pytest.mark.parametrize("key", [None, "once"])
async def test_a_thousand_results_of_one_transaction_are_all_told(running: Running, key: str | None) -> None:
    mutation = """mutation ($r: [StatInput!]!, $k: String) {
      recordStats(results: $r, idempotencyKey: $k) { errors { code } }
    }"""
    results = [{"region": "FRA", "orchestrator": "0xabc", "roundTripTime": number} for number in range(1000)]
    async with open_socket(running.url) as socket:
        await socket.subscribe(RECORDED)
        await hears(running)
        assert await running.ask(mutation, r=results, k=key) == {"recordStats": {"errors": []}}
        assert [await socket.next() for _ in range(1000)] == [told("0xabc", number) for number in range(1000)]


async def test_those_who_ask_the_same_share_a_feed_and_others_do_not(running: Running) -> None:
    async with open_socket(running.url) as one, open_socket(running.url) as other:
        await one.subscribe(RECORDED, "a")
        await one.subscribe(RECORDED, "another id")
        await other.subscribe(RECORDED, "b")
        await other.subscribe(RECORDED, "c", f={"jobType": "AI"})
        await hears(running, 4)
        assert running.gateway.feeds.number == 2
        await running.post_stat(**RESULT)
        assert await other.next("b") == told()
        assert {(await one.receive())["id"] for _ in range(2)} == {"a", "another id"}
    await eventually(lambda: running.gateway.feeds.number == running.gateway.feeds.subscribers == 0)


async def test_queries_mutations_and_refusals_go_over_the_socket_too(running: Running) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(VERSION)
        assert "version" in (await socket.next())["service"]
        assert await socket.receive() == {"type": "complete", "id": "1"}
        await socket.subscribe("mutation { recordStats(results: []) { errors { code } } }")
        answer = await socket.receive()
        assert answer["payload"]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert (await socket.receive())["type"] == "complete"
        refused = (
            "{ nothing }",
            "{",
            "subscription { statRecorded(filter: 1) { id } }",
            "query a { node } query b { a }",
        )
        for query in refused:
            await socket.subscribe(query)
            message = await socket.receive()
            assert (message["type"], message["id"]) == ("error", "1")
            assert message["payload"][0]["extensions"]["code"] == "GRAPHQL_INVALID"
        await socket.subscribe("subscription ($f: StatFilter) { statRecorded(filter: $f) { id } }", f={"x": 1})
        assert (await socket.receive())["type"] == "error"
        during = {"last": "1h", "since": "2026-01-01T00:00:00Z"}
        await socket.subscribe(RECORDED, f={"during": during})
        error = (await socket.receive())["payload"][0]
        assert error["extensions"]["code"] == "INVALID_ARGUMENT"
        assert error["path"] == ["statRecorded"]
    assert running.gateway.feeds.number == 0


async def test_pings_are_answered_and_may_come_before_the_greeting(running: Running) -> None:
    async with open_socket(running.url, init=False) as socket:
        await socket.send(type="ping")
        assert await socket.receive() == {"type": "pong"}
        await socket.send(type="ping", payload={"a": 1})
        assert await socket.receive() == {"type": "pong", "payload": {"a": 1}}
        await socket.send(type="pong")
        await socket.init()


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (['{"type":"subscribe","id":"1","payload":{"query":"{ service { version } }"}}'], 4401),
        (['{"type":"connection_init"}', '{"type":"connection_init"}'], 4429),
        (['{"type":"connection_init","payload":[]}'], 4400),
        (["nonsense"], 4400),
        (["[]"], 4400),
        (['{"type":"next","id":"1"}'], 4400),
        (['{"id":"1"}'], 4400),
        ([b"\x00\xff"], 4400),
        (["[" * 100_000], 4400),
        (['{"type":"ping","payload":' + "[" * 500 + "]" * 500 + "}"], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":1,"payload":{"query":"{ a }"}}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"","payload":{"query":"{ a }"}}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"1","payload":{"variables":{}}}'], 4400),
        (['{"type":"connection_init"}', '{"type":"subscribe","id":"1"}'], 4400),
        (
            [
                '{"type":"connection_init"}',
                f'{{"type":"subscribe","id":"{"i" * (MAX_ID_LENGTH + 1)}","payload":{{"query":"{{ a }}"}}}}',
            ],
            4400,
        ),
        (["x" * (2 << 20)], 1009),
    ],
)
async def test_what_the_protocol_does_not_allow_closes_the_socket(
    running: Running, messages: list[str | bytes], code: int
) -> None:
    async with open_socket(running.url) as other:
        await other.subscribe(RECORDED)
        await hears(running)
        async with open_socket(running.url, init=False) as socket:
            for message in messages:
                await socket.connection.send(message)
            assert await socket.closed() == code
        await running.post_stat(**RESULT)
        assert await other.next() == told()
    assert internal_errors(running) == 0


async def test_an_id_is_used_by_one_operation_at_a_time(running: Running) -> None:
    async with open_socket(running.url) as socket:
        await socket.subscribe(RECORDED)
        await socket.subscribe(RECORDED)
        assert await socket.closed() == 4409
    await eventually(lambda: running.gateway.feeds.subscribers == 0)


async def test_a_client_that_does_not_greet_is_not_waited_for(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "INIT_TIMEOUT_S", 0.05)
    async with open_socket(running.url, init=False) as socket:
        assert await socket.closed() == 4408


async def test_another_protocol_is_not_accepted(running: Running) -> None:
    for subprotocols in ([], [Subprotocol("graphql-ws")]):
        async with open_socket(running.url, init=False, subprotocols=subprotocols or None) as socket:
            assert await socket.closed() == 4406


async def test_one_socket_has_a_bounded_number_of_operations(running: Running) -> None:
    async with open_socket(running.url) as socket:
        for number in range(MAX_OPERATIONS + 1):
            await socket.subscribe(RECORDED, str(number))
        message = await socket.receive()
        assert (message["type"], message["id"]) == ("error", str(MAX_OPERATIONS))
        assert message["payload"][0]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"
        await hears(running, MAX_OPERATIONS)
        assert running.gateway.feeds.number == 1


async def test_the_limits_of_documents_hold(running: Running) -> None:
    dear = "subscription { leaderboardChanged(jobType: AI, first: 1000) { orchestrator { aggregates { samples } } } }"
    async with open_socket(running.url) as socket:
        await socket.subscribe(dear)
        assert (await socket.receive())["payload"][0]["extensions"]["code"] == "TOO_COMPLEX"


async def test_a_foreign_page_is_refused_at_the_handshake(start_gateway: StartGateway) -> None:
    usual, named, open_to_all = [
        await start_gateway(**given) for given in ({}, {"cors_origins": "https://a.example"}, {"cors_origins": "*"})
    ]

    async def status(running: Running, origin: str) -> int:
        try:
            async with open_socket(running.url, origin=origin):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    assert await status(usual, "https://a.example") == 403
    assert await status(usual, usual.url) == 101
    assert await status(named, "https://a.example") == 101
    assert await status(named, "https://b.example") == 403
    assert await status(open_to_all, "https://b.example") == 101
    usual_answer = await usual.client.get("/graphql?query={__typename}", headers={"Origin": "https://a.example"})
    assert usual_answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_sockets_elsewhere_are_refused(running: Running) -> None:
    for path in ("/graphql/", "/api/regions", "/none"):
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(running.url.replace("http", "ws") + path, subprotocols=[PROTOCOL]):
                pass


async def test_frames_that_are_none_end_only_their_own_socket(running: Running) -> None:
    head = (
        b"GET /graphql HTTP/1.1\r\nHost: podium\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    garbage = (
        b"\x81\x05hello",  # not masked
        b"\xff" * 300,
        b"\x81\x84\0\0\0\0\xff\xfe\xfd\xfc",  # no UTF-8
        b"\x81\xff" + b"\xff" * 8 + b"\0" * 100,  # of 2^64 bytes
        b"\x09\x80\0\0\0\0",  # a ping in fragments
        b"\x00\x80\0\0\0\0" * 100,  # continues nothing
        b"\x88\x81\0\0\0\0\x01",  # a close with half a code
        b"GET / HTTP/1.1\r\n\r\n",
    )
    async with open_socket(running.url) as other:
        await other.subscribe(RECORDED)
        await hears(running)
        for frames in garbage:
            reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(running.url).port)
            writer.write(head)
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(frames)
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()
        await running.post_stat(**RESULT)
        assert await other.next() == told()
    assert internal_errors(running) == 0


async def test_a_server_without_frames_serves_as_well(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FRAMES_EXTENSION", "not there")
    async with open_socket(running.url) as socket:
        await socket.subscribe(RECORDED)
        await hears(running)
        for number in range(5):
            await running.post_stat(**{**RESULT, "round_trip_time": number})
        assert [await socket.next() for _ in range(5)] == [told("0xabc", number) for number in range(5)]


async def test_a_leaderboard_is_told_when_what_is_asked_of_it_has_changed(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    places = "subscription { leaderboardChanged(jobType: TRANSCODING) { rank orchestrator { address } } }"

    async def post(orchestrator: str, round_trip_time: float) -> None:
        posted = {**RESULT, "orchestrator": orchestrator, "round_trip_time": round_trip_time, "seg_duration": 2}
        assert (await running.post_stat(**posted)).status_code == 200

    def ranking(*addresses: str) -> dict[str, Any]:
        ranks = [{"rank": rank, "orchestrator": {"address": address}} for rank, address in enumerate(addresses, 1)]
        return {"leaderboardChanged": ranks}

    await post("0xa", 1)
    async with open_socket(running.url) as socket:
        await socket.subscribe(places)
        await hears(running)
        await post("0xa", 1.5)  # changes the score, and no place
        await post("0xb", 3)
        assert await socket.next() == ranking("0xa", "0xb")
        await post("0xb", 0.1)
        await post("0xb", 0.1)
        assert await socket.next() == ranking("0xb", "0xa")
        withdrawn = await running.ask(
            'mutation ($f: StatFilter) { withdrawStats(reason: "wrong", filter: $f) { withdrawn } }',
            f={"orchestrator": {"in": ["0xb"]}, "during": {"last": "1h"}},
        )
        assert withdrawn == {"withdrawStats": {"withdrawn": 3}}
        assert await socket.next() == ranking("0xa")


async def test_a_public_client_subscribes(running: Running) -> None:
    transport = WebsocketsTransport(url=f"{running.url.replace('http', 'ws')}/graphql")
    async with GqlClient(transport=transport) as client:
        stream = client.subscribe(gql("subscription { statRecorded { roundTripTime } }"))
        first = asyncio.create_task(anext(stream))
        await hears(running)
        await running.post_stat(**RESULT)
        async with asyncio.timeout(5):
            assert await first == {"statRecorded": {"roundTripTime": 0.5}}
        await stream.aclose()
        assert await client.execute(gql("{ __typename }")) == {"__typename": "Query"}
    await eventually(lambda: running.gateway.feeds.number == 0)


async def test_a_token_gives_its_scopes_on_a_socket_and_a_wrong_one_closes_it(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET, anonymous_scopes="")
    reader, other = bearer(scope="read"), bearer(scope="watch")
    async with open_socket(running.url, init=False) as socket:
        await socket.init(authorization=reader["Authorization"])
        await socket.subscribe(RECORDED)
        await hears(running)
        async with open_socket(running.url, additional_headers=reader) as same:
            await same.subscribe(RECORDED)
            await hears(running, 2)
            assert running.gateway.feeds.number == 1
    for shown, code in (({}, "UNAUTHENTICATED"), (other, "FORBIDDEN")):
        async with open_socket(running.url, init=False) as socket:
            await socket.init(**shown)
            await socket.subscribe(RECORDED)
            assert (await socket.receive())["payload"][0]["extensions"]["code"] == code
    async with open_socket(running.url, init=False) as socket:
        await socket.send(type="connection_init", payload={"Authorization": "Bearer nonsense"})
        assert await socket.closed() == 4403


async def test_a_token_that_expires_closes_its_socket(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    almost = bearer(scope="read", exp=int(time.time()) - LEEWAY_S + 2)
    async with open_socket(running.url, init=False) as socket:
        await socket.init(**almost)
        await socket.subscribe(RECORDED)
        assert await socket.closed() == 4403
    await eventually(lambda: running.gateway.feeds.subscribers == 0)


async def test_a_long_id_of_any_letters_does_not_break_the_end(running: Running) -> None:
    async with open_socket(running.url) as socket:
        for _ in range(2):
            await socket.subscribe(RECORDED, "€" * 200)
        assert await socket.closed() == 4409


async def test_different_feeds_have_a_bound(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MAX_FEEDS", 2)
    async with open_socket(running.url) as socket:
        for number in range(2):
            await socket.subscribe(RECORDED, str(number), number=number)
        await hears(running, 2)
        await socket.subscribe(RECORDED, "2", number=2)
        error = await socket.receive()
    assert (error["id"], error["payload"][0]["extensions"]["code"]) == ("2", "TOO_MANY_SUBSCRIPTIONS")


async def test_an_answer_that_makes_its_client_a_slow_one_ends_its_operation_once() -> None:
    reported: list[str] = []
    backend = SimpleNamespace(report=lambda event, **_: reported.append(event))
    wire = StuckWire()
    session = websocket._Session(SimpleNamespace(backend=backend), wire, "", "")  # type: ignore[arg-type]
    running = session._running["1"] = websocket._Running(session, "1")
    for _ in range(MAX_MESSAGES + 1):
        running.deliver(feeds.Payloads([b"{}"]))
    running.end([])
    wire.is_ready = True
    wire.on_ready()
    (message,) = map(orjson.loads, wire.sent)
    assert (message["type"], message["id"]) == ("error", "1")
    assert message["payload"][0]["extensions"]["code"] == "SLOW_CONSUMER"
    assert reported == ["slow_consumer_ended"]
