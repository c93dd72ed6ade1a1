"""Lists of operations in one request: off unless MAX_BATCH allows them."""

from asyncio import Barrier, timeout
from hashlib import sha256
from typing import Any

import httpx
import orjson

from resolvers.signing import signature
from schema.batch import answers
from schema.limits import Limits
from schema.operations import Operation, Operations
from schema.root import GRAPHQL_SCHEMA
from tests.harness import SECRET, Running, StartGateway

JSON, GRAPHQL_JSON = "application/json", "application/graphql-response+json"
TYPENAME = {"query": "{ __typename }"}
RECORD = """mutation ($region: String!) {
  recordStats(results: [{region: $region, orchestrator: "0xa", successRate: 1}]) {
    stats { __typename }
    errors { code }
  }
}"""


async def post(running: Running, batch: Any, **headers: str) -> httpx.Response:
    return await running.client.post("/graphql", json=batch, headers=headers)


async def test_batches_are_refused_unless_they_are_allowed(start_gateway: StartGateway) -> None:
    for max_batch in (0, 1):
        running = await start_gateway(max_batch=max_batch)
        for batch in ([TYPENAME], [TYPENAME, TYPENAME], []):
            answer = await post(running, batch)
            assert (answer.status_code, list(answer.json())) == (400, ["errors"])
            assert "takes no batches" in answer.json()["errors"][0]["message"]


async def test_each_operation_is_answered_in_its_place(start_gateway: StartGateway) -> None:
    running = await start_gateway(max_batch=10)
    query = "query A { a: __typename } query B($n: Int!) { stats(first: $n) { nodes { id } } }"
    batch = [
        {"query": query, "operationName": "A"},
        {"query": query, "operationName": "B", "variables": {"n": 1}},
        {"query": query, "operationName": "B", "variables": {"n": "x"}},
        {"query": query},
        {"query": "{"},
        {"quary": "{ __typename }"},
        {"query": "subscription { statRecorded { id } }"},
        {"query": "{ stats(first: 5000) { totalCount } }"},
        TYPENAME,
    ]
    for accept in (JSON, GRAPHQL_JSON):
        answer = await post(running, batch, Accept=accept)
        assert (answer.status_code, answer.headers["content-type"]) == (200, f"{accept}; charset=utf-8")
        given = answer.json()
        assert [given[0], given[1], given[8]] == [
            {"data": {"a": "Query"}},
            {"data": {"stats": {"nodes": []}}},
            {"data": {"__typename": "Query"}},
        ]
        assert [item["errors"][0]["extensions"]["code"] for item in given[2:8]] == [
            *["GRAPHQL_INVALID"] * 5,
            "INVALID_ARGUMENT",
        ]
        assert [item.get("data", "absent") for item in given[2:8]] == [*["absent"] * 5, None]


async def test_what_is_no_batch_is_refused_whole(start_gateway: StartGateway) -> None:
    running = await start_gateway(max_batch=2)
    for batch in ([], [TYPENAME] * 3, [TYPENAME, 7], [[TYPENAME]], [None]):
        answer = await post(running, batch)
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]) == (400, {"code": "GRAPHQL_INVALID"})
    assert (await post(running, [TYPENAME], Accept="text/event-stream")).status_code == 406
    assert (await post(running, TYPENAME)).json() == {"data": {"__typename": "Query"}}
    limits = await running.ask("{ service { limits { maxBatch } } }")
    assert limits == {"service": {"limits": {"maxBatch": 2}}}


async def test_a_batch_costs_what_its_operations_cost_together(start_gateway: StartGateway) -> None:
    running = await start_gateway(max_batch=3, max_cost=300)
    page = {"query": "query ($n: Int!) { stats(first: $n) { nodes { id } } }", "variables": {"n": 140}}
    cheap, dear = (
        await post(running, [page, TYPENAME, page]),
        await post(running, [page, page, {"query": "{"}, page][1:]),
    )
    assert ["data" in item for item in cheap.json()] == [True] * 3
    assert ["data" in item for item in dear.json()] == [True, False, True]
    refused = (await post(running, [page, page, page])).json()
    assert [item["errors"][0]["extensions"] for item in refused] == [
        {"code": "TOO_COMPLEX", "limit": "maxCost", "allowed": 300, "actual": 423}
    ] * 3
    assert not any("data" in item for item in refused)


async def test_a_signed_batch_stores(start_gateway: StartGateway) -> None:
    running = await start_gateway(max_batch=2)
    body = orjson.dumps([{"query": RECORD, "variables": {"region": region}} for region in ("FRA", "NOWHERE")])
    headers = {"Authorization": signature(body, SECRET), "Content-Type": JSON}
    stored, refused = (await running.client.post("/graphql", content=body, headers=headers)).json()
    assert stored["data"]["recordStats"] == {"stats": [{"__typename": "Stat"}], "errors": []}
    assert refused["data"]["recordStats"]["errors"] == [{"code": "INVALID_REGION"}]


async def test_a_foreign_page_changes_nothing_by_a_batch(start_gateway: StartGateway) -> None:
    running = await start_gateway(max_batch=2, anonymous_scopes="read,publish")
    batch = [{"query": RECORD, "variables": {"region": "FRA"}}, TYPENAME]
    refused, answered = (await post(running, batch, Origin="https://foreign.example")).json()
    assert refused["errors"][0]["extensions"]["code"] == "FOREIGN_ORIGIN"
    assert answered == {"data": {"__typename": "Query"}}


async def test_documents_of_a_batch_may_be_named(start_gateway: StartGateway) -> None:
    running = await start_gateway(max_batch=2)
    named = {"documentId": f"sha256:{sha256(TYPENAME['query'].encode()).hexdigest()}"}
    for first, second in (("errors", "data"), ("data", "data")):
        given = (await post(running, [named, {**TYPENAME, **named}])).json()
        assert [list(item) for item in given] == [[first], [second]]


async def test_operations_of_a_batch_are_executed_at_the_same_time() -> None:
    together, operations = Barrier(3), Operations(GRAPHQL_SCHEMA, limits=Limits())

    async def execute(operation: Operation) -> dict[str, Any]:
        return {"data": await together.wait()}

    asked = [TYPENAME] * 3
    async with timeout(5):
        given = await answers(
            asked, operations, prepare=operations.prepare, execute=execute, report=lambda event, **facts: None
        )
    assert {item["data"] for item in given} == {0, 1, 2}
