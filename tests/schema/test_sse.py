"""Subscriptions as server-sent events, through all of the middleware."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import orjson
import pytest

from schema import feeds, sse
from tests.harness import Running, eventually
from tests.subscribers import hears

RESULT = {"region": "FRA", "orchestrator": "0xabc", "success_rate": 1, "round_trip_time": 0.5}
RECORDED = "subscription { statRecorded { roundTripTime } }"
ACCEPT = {"Accept": "text/event-stream"}


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """The events of a stream with their data; comments have no name."""
    name, data = "", ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(":")
        if field == "event":
            name = value.strip()
        elif field == "data":
            data = value.strip()
        elif not line:
            yield name, orjson.loads(data) if data else None
            name, data = "", ""


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_events_come_at_once_and_are_not_collected(running: Running, method: str) -> None:
    asked = {"params": {"query": RECORDED}} if method == "GET" else {"json": {"query": RECORDED}}
    headers = {**ACCEPT, "Accept-Encoding": "gzip, br, zstd"}
    async with running.client.stream(method, "/graphql", headers=headers, **asked) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert "Content-Encoding" not in response.headers
        async with aclosing(events(response)) as stream:
            for number in range(3):
                await running.post_stat(**{**RESULT, "round_trip_time": number})
                async with asyncio.timeout(5):
                    told = await anext(stream)
                assert told == ("next", {"data": {"statRecorded": {"roundTripTime": number}}})
    await eventually(lambda: running.gateway.feeds.subscribers == 0)
    assert not running.gateway.event_streams


async def test_a_client_that_leaves_a_silent_stream_ends_it(running: Running) -> None:
    async with running.client.stream("POST", "/graphql", headers=ACCEPT, json={"query": RECORDED}):
        await hears(running)
    await eventually(lambda: running.gateway.feeds.number == 0, within_s=1)


async def test_a_silent_stream_has_comments(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.01)
    async with running.client.stream("POST", "/graphql", headers=ACCEPT, json={"query": RECORDED}) as response:
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(4)] == [":", "", ":", ""]


async def test_an_operation_with_one_answer_is_a_short_stream(running: Running) -> None:
    answer = await running.client.post("/graphql", headers=ACCEPT, json={"query": "{ __typename }"})
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.text == 'event: next\ndata: {"data":{"__typename":"Query"}}\n\nevent: complete\ndata:\n\n'


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("subscription { nothing }", 400, "GRAPHQL_INVALID"),
        (
            'subscription { statRecorded(filter: { during: { last: "1h", since: "2026-01-01" } }) { id } }',
            400,
            "INVALID_ARGUMENT",
        ),
        ("subscription { a: statRecorded { id } b: statRecorded { id } }", 400, "GRAPHQL_INVALID"),
    ],
)
async def test_what_is_refused_before_the_stream_is_an_ordinary_answer(
    running: Running, query: str, status: int, code: str
) -> None:
    answer = await running.client.post("/graphql", headers=ACCEPT, json={"query": query})
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("application/graphql-response+json")
    assert answer.json()["errors"][0]["extensions"]["code"] == code


async def test_a_subscription_needs_a_transport_and_a_mutation_no_get(running: Running) -> None:
    answer = await running.client.post("/graphql", json={"query": RECORDED})
    assert "text/event-stream" in answer.json()["errors"][0]["message"]
    mutation = {"query": "mutation { recordStats(results: []) { errors { code } } }"}
    assert (await running.client.get("/graphql", params=mutation, headers=ACCEPT)).status_code == 405
    head = await running.client.head("/graphql", params={"query": RECORDED}, headers=ACCEPT)
    assert head.status_code == 400


async def test_a_stream_is_no_slow_request(running: Running) -> None:
    registry = running.gateway.metrics.registry
    async with running.client.stream("POST", "/graphql", headers=ACCEPT, json={"query": RECORDED}):
        await hears(running)
    counted = ("podium_http_requests_total", {"route": "/graphql", "method": "POST", "status": "200"})
    await eventually(lambda: registry.get_sample_value(*counted) == 1)
    assert not registry.get_sample_value("podium_http_request_duration_seconds_count", {"route": "/graphql"})


async def test_a_server_has_a_bounded_number_of_subscribers(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "MAX_SUBSCRIBERS", 0)
    answer = await running.client.post("/graphql", headers=ACCEPT, json={"query": RECORDED})
    assert answer.status_code == 429
    assert answer.json()["errors"][0]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"


async def test_a_stream_that_is_full_keeps_what_says_so() -> None:
    reported: list[str] = []
    stream = sse.EventStream(lambda event, **_: reported.append(event))
    for _ in range(2 * sse.MAX_MESSAGES):
        stream.deliver(feeds.Payloads([b"{}"]))
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    await stream({}, send, send)
    assert b"SLOW_CONSUMER" in b"".join(sent)
    assert b"".join(sent).endswith(sse.COMPLETE)
    assert reported == ["slow_consumer_ended"]
