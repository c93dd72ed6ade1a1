"""Automatic persisted queries, as Apollo's clients send them, and the documentId of the specification."""

from hashlib import sha256
from typing import Any

import orjson
import pytest

from schema.limits import Limits
from schema.operations import Operations, Refused
from schema.persisted import PersistedDocuments
from schema.request import Request
from schema.root import GRAPHQL_SCHEMA
from schema.trace import Trace
from tests.harness import Running, StartGateway
from tests.subscribers import hears, open_socket

JSON, GRAPHQL_JSON = "application/json", "application/graphql-response+json"
QUERY = "query ($type: JobType) { regions(jobType: $type) { code } }"
MUTATION = "mutation { recordStats(results: []) { errors { code } } }"
RECORDED = "subscription { statRecorded { roundTripTime } }"
NOT_FOUND = [{"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}]


def hash_of(query: str) -> str:
    return sha256(query.encode()).hexdigest()


def persisted(document: str, /, **members: Any) -> dict[str, Any]:
    """What Apollo's link sends at first: the hash alone."""
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_of(document)}}, **members}


async def keep(running: Running, *queries: str) -> None:
    for query in queries:
        answer = (await running.client.post("/graphql", json=persisted(query, query=query))).json()
        assert answer.get("errors", NOT_FOUND) != NOT_FOUND


def outcomes(running: Running) -> dict[str, float]:
    sample = running.gateway.metrics.registry.get_sample_value
    counted = {name: sample("podium_persisted_documents_total", {"outcome": name}) for name in ("hit", "miss", "kept")}
    return {name: value for name, value in counted.items() if value}


@pytest.mark.parametrize(("accept", "refused"), [(JSON, 200), (GRAPHQL_JSON, 400)])
async def test_a_document_is_sent_once_and_then_named(running: Running, accept: str, refused: int) -> None:
    async def ask(**question: Any) -> Any:
        return await running.client.post("/graphql", json=persisted(QUERY, **question), headers={"Accept": accept})

    unknown = await ask()
    assert (unknown.status_code, unknown.json()) == (refused, {"errors": NOT_FOUND})
    assert unknown.headers["cache-control"] == "no-store"
    sent = await ask(query=QUERY, variables={"type": "AI"})
    named = await ask(variables={"type": "AI"})
    assert sent.status_code == named.status_code == 200
    assert sent.json() == named.json()
    assert len(named.json()["data"]["regions"]) == 4
    assert outcomes(running) == {"miss": 1, "kept": 1, "hit": 1}
    assert running.gateway.documents.bytes > len(QUERY)


async def test_a_document_is_named_in_a_query_string(running: Running) -> None:
    extensions = orjson.dumps(persisted(QUERY)["extensions"]).decode()
    parameters = {"extensions": extensions, "variables": '{"type":"AI"}', "operationName": ""}
    assert (await running.client.get("/graphql", params=parameters)).json() == {"errors": NOT_FOUND}
    await running.client.get("/graphql", params={"query": QUERY, "extensions": extensions})
    answer = await running.client.get("/graphql", params=parameters)
    assert len(answer.json()["data"]["regions"]) == 4
    html = {"Accept": "text/html, */*;q=0.1"}
    assert (await running.client.get("/graphql", params=parameters, headers=html)).json() == answer.json()


async def test_a_document_is_named_by_its_document_id(running: Running) -> None:
    question = {"documentId": f"sha256:{hash_of(QUERY)}", "variables": {"type": "AI"}}
    assert (await running.client.post("/graphql", json=question)).json() == {"errors": NOT_FOUND}
    await running.client.post("/graphql", json={"query": QUERY, **question})
    answer = await running.client.post("/graphql", json=question)
    assert len(answer.json()["data"]["regions"]) == 4
    by_get = await running.client.get("/graphql", params={**question, "variables": '{"type":"AI"}'})
    assert by_get.json() == answer.json()
    both = persisted(QUERY, **question)
    assert (await running.client.post("/graphql", json=both)).json() == answer.json()


async def test_a_document_is_named_on_a_socket(running: Running) -> None:
    async with open_socket(running.url) as socket:
        await socket.send(type="subscribe", id="1", payload=persisted(RECORDED))
        assert await socket.receive() == {"type": "error", "id": "1", "payload": NOT_FOUND}
        await socket.send(type="subscribe", id="2", payload=persisted(RECORDED, query=RECORDED))
        await hears(running)
        await socket.send(type="subscribe", id="3", payload=persisted(RECORDED))
        await hears(running, 2)
        await running.post_stat(region="FRA", orchestrator="0xa", success_rate=1, round_trip_time=2)
        assert {(await socket.receive())["id"], (await socket.receive())["id"]} == {"2", "3"}
        await socket.send(type="subscribe", id="4", payload=persisted(QUERY, query=RECORDED))
        refused = await socket.receive()
        assert (refused["type"], refused["payload"][0]["extensions"]) == ("error", {"code": "GRAPHQL_INVALID"})


async def test_a_stream_is_named(running: Running) -> None:
    await keep(running, RECORDED)
    accept = {"Accept": "text/event-stream"}
    parameters = {"extensions": orjson.dumps(persisted(RECORDED)["extensions"]).decode()}
    async with running.client.stream("GET", "/graphql", params=parameters, headers=accept) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    unknown = await running.client.post("/graphql", json=persisted(QUERY), headers=accept)
    assert (unknown.status_code, unknown.json()) == (400, {"errors": NOT_FOUND})


async def test_a_named_mutation_is_not_sent_by_get(running: Running) -> None:
    await keep(running, MUTATION)
    answer = await running.client.get("/graphql", params={"documentId": f"sha256:{hash_of(MUTATION)}"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_what_names_no_document_is_refused_with_the_member_that_is_wrong(running: Running) -> None:
    wrong: list[tuple[str, Any]] = [
        ("documentId", {"documentId": 7}),
        ("documentId", persisted(QUERY, documentId="other")),
        ("extensions.persistedQuery", {"extensions": {"persistedQuery": []}}),
        ("extensions.persistedQuery.version", {"extensions": {"persistedQuery": {"sha256Hash": hash_of(QUERY)}}}),
        ("extensions.persistedQuery.version", {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "a"}}}),
        ("extensions.persistedQuery.version", {"extensions": {"persistedQuery": {"version": [], "sha256Hash": "a"}}}),
        ("extensions.persistedQuery.sha256Hash", {"extensions": {"persistedQuery": {"version": 1}}}),
        ("extensions.persistedQuery.sha256Hash", {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": 7}}}),
        ("query", {"extensions": {"persistedQuery": None}}),
        ("query", {"documentId": ""}),
        ("query", {"documentId": "sha256:"}),
        ("query", persisted(MUTATION, query=QUERY)),
        ("query", {"query": QUERY, "documentId": f"sha256:{hash_of(QUERY).upper()}"}),
        ("query", {"query": QUERY, "documentId": "page"}),
        ("query", persisted(QUERY, query=7)),
    ]
    for member, question in wrong:
        for accept in (JSON, GRAPHQL_JSON):
            answer = await running.client.post("/graphql", json=question, headers={"Accept": accept})
            error = answer.json()["errors"][0]
            assert (answer.status_code, error["message"].partition(":")[0]) == (400, member), question
            assert error["extensions"] == {"code": "GRAPHQL_INVALID"}
    for unknown in ("page", "x-own:page", "md5:a", "a" * 100_000):
        assert (await running.client.post("/graphql", json={"documentId": unknown})).json() == {"errors": NOT_FOUND}


async def test_what_cannot_be_executed_is_not_kept(running: Running) -> None:
    for query in ("{", "{ nothing }", "{" * 600, "query A { __typename } query B { __typename }"):
        assert (await running.client.post("/graphql", json=persisted(query, query=query))).json()["errors"]
        assert (await running.client.post("/graphql", json=persisted(query))).json() == {"errors": NOT_FOUND}
    assert running.gateway.documents.bytes == 0


async def test_nothing_is_kept_where_that_is_switched_off(start_gateway: StartGateway) -> None:
    running = await start_gateway(persisted_documents_bytes=0)
    sent = await running.client.post("/graphql", json=persisted(QUERY, query=QUERY))
    assert sent.json()["data"]["regions"]
    named = (await running.client.post("/graphql", json=persisted(QUERY))).json()["errors"][0]
    assert (named["message"], named["extensions"]["code"]) == (
        "PersistedQueryNotSupported",
        "PERSISTED_QUERY_NOT_SUPPORTED",
    )


def test_the_most_recently_used_documents_are_kept_in_bounded_memory() -> None:
    documents = PersistedDocuments(Operations(GRAPHQL_SCHEMA, limits=Limits()), 5_000, lambda event, **facts: None)
    queries = [f'{{ __type(name: "{number}") {{ name }} }}' for number in range(100)]
    for query in queries:
        documents.prepare(Request(query, None, None, hash_of(query)), Trace())
        documents.prepare(Request("", None, None, hash_of(queries[0])), Trace())
        assert documents.bytes <= 5_000
    assert 5 < len(documents) < 15
    assert documents.prepare(Request("", None, None, hash_of(queries[99])), Trace()).request.query == queries[99]
    with pytest.raises(Refused):
        documents.prepare(Request("", None, None, hash_of(queries[1])), Trace())


def test_a_document_that_is_larger_than_the_store_is_executed_and_not_kept() -> None:
    documents = PersistedDocuments(Operations(GRAPHQL_SCHEMA, limits=Limits()), 5_000, lambda event, **facts: None)
    query = f'{{ __type(name: "{"a" * 5_000}") {{ name }} }}'
    assert documents.prepare(Request(query, None, None, hash_of(query)), Trace()).request.query == query
    assert (len(documents), documents.bytes) == (0, 0)
