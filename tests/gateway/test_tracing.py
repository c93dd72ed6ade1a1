"""What is told of GraphQL operations: in a header, in the metrics, and in the log."""

import asyncio
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest

from gateway.logs import configure_logs
from schema.request import hash_of
from schema.trace import MAX_NAME_LENGTH, Trace, shown_name
from schema.tracing import Tracing
from tests.harness import Database, Pair, Running, StartGateway, calls_of, eventually, locked
from tests.subscribers import hears, open_socket
from tests.test_kept_answers import in_flight

PIPELINES = "query Shown { pipelines { name } }"
STEPS = ["parse", "plan", "execute", "encode"]
EVERYTHING = {"slow_operation": "0.001ms"}

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What was logged of slow operations."""
    stream = io.StringIO()
    configure_logs("WARN", "json", stream)
    yield lambda: [
        line for line in map(orjson.loads, stream.getvalue().splitlines()) if line["event"] == "slow_operation"
    ]
    configure_logs("WARN", "json")


async def post(running: Running, query: str, variables: Any = None, **headers: str) -> httpx.Response:
    return await running.client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)


def timing(answer: httpx.Response) -> dict[str, float]:
    """The durations in Server-Timing, in milliseconds."""
    return {name: float(value) for name, value in re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"])}


def operations(running: Running, kind: str, outcome: str) -> float | None:
    name, labels = "podium_operation_duration_seconds_count", {"kind": kind, "outcome": outcome}
    return running.gateway.metrics.registry.get_sample_value(name, labels)


def errors(running: Running, code: str) -> float | None:
    return running.gateway.metrics.registry.get_sample_value("podium_operation_errors_total", {"code": code})


async def test_the_times_of_all_steps_are_told_in_development_and_add_up(start_gateway: StartGateway) -> None:
    running = await start_gateway(answer_cache_bytes=0)
    first, second = [await post(running, PIPELINES) for _ in range(2)]
    assert list(timing(first)) == [*STEPS, "db", "total"]
    assert 'desc="2 statements"' in first.headers["server-timing"]
    for told in map(timing, (first, second)):
        assert told["total"] == pytest.approx(sum(told[step] for step in STEPS), abs=0.03)
        assert 0 < told["db"] <= told["execute"]
    assert timing(first)["parse"] > timing(second)["parse"]  # which knows the document


async def test_an_answer_that_was_kept_or_shared_says_so(pair: Pair, database: Database) -> None:
    async with locked(database) as lock:
        asking = [asyncio.create_task(post(pair.here, PIPELINES)) for _ in range(2)]
        await lock.until_someone_waits()
        await in_flight(2)
    answers = [*await asyncio.gather(*asking), await post(pair.here, PIPELINES)]
    sources = [answer.headers["server-timing"].rpartition("answer;desc=")[2] for answer in answers]
    assert sorted(sources) == ["computed", "kept", "shared"]
    assert sources[2] == "kept"
    assert timing(answers[2])["db"] == 0
    assert timing(answers[2])["total"] < timing(answers[0])["total"]


async def test_refused_operations_and_streams_tell_their_times_too(running: Running) -> None:
    assert timing(await post(running, "{ nothing }"))["execute"] == 0
    watch = {"query": "subscription { statRecorded { id } }"}
    async with running.client.stream("GET", "/graphql", params=watch, headers={"Accept": "text/event-stream"}) as told:
        assert timing(told)["total"] > 0


async def test_production_tells_no_times(start_gateway: StartGateway) -> None:
    running = await start_gateway(env="production")
    answer = await post(running, PIPELINES, Origin="https://a.example")
    assert answer.status_code == 200
    assert not {"server-timing", "timing-allow-origin"} & set(answer.headers)
    assert "Server-Timing" not in answer.headers["access-control-expose-headers"]


async def test_pages_of_other_origins_read_the_times_where_they_read_answers(start_gateway: StartGateway) -> None:
    everybody, some = await start_gateway(), await start_gateway(cors_origins="https://a.example,https://b.example")
    read_by_all = await post(everybody, PIPELINES, Origin="https://a.example")
    assert read_by_all.headers["timing-allow-origin"] == "*"
    assert "Server-Timing" in read_by_all.headers["access-control-expose-headers"]
    read_by_some = await post(some, PIPELINES, Origin="https://a.example")
    assert read_by_some.headers["timing-allow-origin"] == "https://a.example, https://b.example"


async def test_operations_are_counted_by_kind_and_outcome_and_never_by_name(start_gateway: StartGateway) -> None:
    running = await start_gateway(max_cost=100)
    mutation = (
        'mutation M { recordStats(results: [{region: "FRA", orchestrator: "0x1", successRate: 1}]) { __typename } }'
    )
    await post(running, PIPELINES)
    await post(running, mutation)
    await post(running, "query Odd { nothing }")
    await post(running, "query Odd { pipelines(")
    await post(running, "query Odd { stats(first: 100) { nodes { id orchestrator { address } } } }")
    await post(running, "query Odd($v: String!) { pipelines(region: $v) { name } }", {"v": 7})
    await post(running, "query Odd($v: Pages) { pipelines { name } }")
    assert operations(running, "query", "ok") == 1
    assert operations(running, "mutation", "errors") == 1
    assert operations(running, "query", "refused") == 2
    assert operations(running, "unknown", "refused") == 3
    assert (errors(running, "UNAUTHENTICATED"), errors(running, "TOO_COMPLEX")) == (1, 1)
    assert errors(running, "GRAPHQL_INVALID") == 4
    metrics = (await running.client.get("/metrics")).text
    assert "Odd" not in metrics
    assert "Shown" not in metrics


async def test_a_mistake_of_ours_counts_as_one(running: Running) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    running.gateway.db.read.fetch = broken  # type: ignore[method-assign]
    await post(running, PIPELINES)
    assert (operations(running, "query", "errors"), errors(running, "INTERNAL")) == (1, 1)


async def test_a_slow_operation_is_logged_once_without_any_value(start_gateway: StartGateway, lines: Lines) -> None:
    running = await start_gateway(**EVERYTHING)
    query = """query Best($region: String!) {
      stats(first: 7, filter: {region: {in: [$region]}, orchestrator: {in: ["0xliteral"]}}) { nodes { id } }
    }"""
    answer = await post(running, query, {"region": "variable"}, **{"X-Request-Id": "abc-1"})
    assert "errors" not in answer.json()
    (line,) = lines()
    told = {name: line[name] for name in ("name", "kind", "outcome", "code", "level", "request_id", "statements")}
    assert told == {
        "name": "Best",
        "kind": "query",
        "outcome": "ok",
        "code": None,
        "level": "warning",
        "request_id": "abc-1",
        "statements": line["statements"],
    }
    assert line["cost"] == 8
    assert line["document"] == hash_of(query)[:12]
    assert line["total_ms"] == pytest.approx(sum(line[f"{step}_ms"] for step in STEPS), abs=0.03)
    assert "literal" not in str(line)
    assert "variable" not in str(line)


async def test_what_is_refused_is_logged_with_its_code_and_a_name_that_is_safe(
    start_gateway: StartGateway, lines: Lines
) -> None:
    running = await start_gateway(**EVERYTHING)
    name = 'Bad"\n\x1b[31m' + "x" * 200
    await running.client.post("/graphql", json={"query": "{ nothing }", "operationName": name})
    (line,) = lines()
    assert line["name"] == shown_name(name) == "Bad____31m" + "x" * (MAX_NAME_LENGTH - 10)
    assert (line["kind"], line["outcome"], line["code"]) == ("unknown", "refused", "GRAPHQL_INVALID")
    assert line["cost"] is None


@pytest.mark.parametrize("slow_operation", ["0", "1h"])
async def test_operations_that_are_not_slow_are_not_logged(
    start_gateway: StartGateway, lines: Lines, slow_operation: str
) -> None:
    running = await start_gateway(slow_operation=slow_operation)
    await post(running, PIPELINES)
    assert lines() == []


async def test_operations_on_sockets_are_traced(start_gateway: StartGateway, lines: Lines) -> None:
    running = await start_gateway(**EVERYTHING)
    async with open_socket(running.url, additional_headers={"X-Request-Id": "socket-1"}) as socket:
        await socket.subscribe(PIPELINES, "1")
        await socket.next("1")
        await socket.receive()
        await socket.subscribe("{ nothing }", "2")
        assert (await socket.receive())["type"] == "error"
        await socket.subscribe("subscription Watch { statRecorded { id } }", "3")
        await hears(running)
        await eventually(lambda: operations(running, "subscription", "ok"))
    assert operations(running, "query", "ok") == operations(running, "unknown", "refused") == 1
    assert [line["name"] for line in lines()] == ["Shown", "", "Watch"]
    assert {line["request_id"] for line in lines()} == {"socket-1"}


async def test_an_operation_that_nobody_waits_for_is_cancelled(running: Running) -> None:
    asked = asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    running.gateway.db.read.fetch = never  # type: ignore[method-assign]
    async with open_socket(running.url) as socket:
        await socket.subscribe(PIPELINES)
        await asked.wait()
        await socket.send(type="complete", id="1")
        await eventually(lambda: operations(running, "query", "cancelled"))


async def test_each_operation_of_a_batch_is_traced(start_gateway: StartGateway, lines: Lines) -> None:
    running = await start_gateway(max_batch=5, max_cost=12, **EVERYTHING)
    answer = await running.client.post("/graphql", json=[{"query": PIPELINES}, {"query": "{ nothing }"}, {"query": 1}])
    assert len(answer.json()) == 3
    assert "server-timing" not in answer.headers
    assert operations(running, "query", "ok") == 1
    assert operations(running, "unknown", "refused") == 1
    await running.client.post("/graphql", json=[{"query": PIPELINES}, {"query": PIPELINES}])
    assert (operations(running, "query", "refused"), errors(running, "TOO_COMPLEX")) == (2, 2)
    assert len(lines()) == 4


def test_tracing_takes_a_few_calls() -> None:
    def trace() -> None:
        with Tracing(lambda event, **facts: None) as trace:
            trace.lap("parse")
            trace.lap("encode")

    assert calls_of(trace) < 20


def test_time_for_others_counts_for_none_of_the_steps() -> None:
    trace = Trace()
    trace.lap("parse")
    before = trace.total_s
    trace.resume()
    assert trace.total_s == before
