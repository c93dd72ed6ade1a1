"""Strict mode: only the documents of a manifest are executed, whatever the door."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from schema.manifest import APOLLO, ManifestError
from tests.harness import Running, StartGateway
from tests.subscribers import hears, open_socket

JSON, GRAPHQL_JSON = "application/json", "application/graphql-response+json"
PAGE = "query Page($type: JobType) {\n  regions(jobType: $type) {\n    code\n  }\n}"
EVENTS = "subscription Events { statRecorded { roundTripTime } }"
RECORD = "mutation Record { recordStats(results: []) { errors { code } } }"
TWO = "query One { a: __typename } query Other { b: __typename }"
DOCUMENTS = {"page": PAGE, "events": EVENTS, "sha256:record": RECORD, "two": TWO}
VARIABLES = {"type": "AI"}


def hash_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def persisted(id_: str, **members: Any) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": id_}}, **members}


def is_refused(answer: Any) -> bool:
    (error,) = answer["errors"]
    assert "data" not in answer
    return bool(error["extensions"]["code"] == "DOCUMENT_NOT_ALLOWED" and error["extensions"]["hint"])


@pytest.fixture
async def strict(start_gateway: StartGateway, tmp_path: Path) -> Running:
    """A gateway that obeys a manifest."""
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(orjson.dumps(DOCUMENTS))
    return await start_gateway(documents=manifest, max_batch=5)


async def ask(strict: Running, accept: str = JSON, **question: Any) -> httpx.Response:
    return await strict.client.post("/graphql", json=question, headers={"Accept": accept})


async def test_a_document_is_named_by_its_id_or_its_hash_or_sent_as_it_is(strict: Running) -> None:
    for named in (
        {"documentId": "page"},
        {"documentId": f"sha256:{hash_of(PAGE)}"},
        {"query": PAGE},
        {"query": PAGE, "documentId": "page"},
        persisted("page"),
        persisted(hash_of(PAGE)),
        persisted(hash_of(PAGE), query=PAGE),
    ):
        answer = (await ask(strict, variables=VARIABLES, **named)).json()
        assert len(answer["data"]["regions"]) == 4, named
    parameters = {"documentId": "page", "variables": orjson.dumps(VARIABLES).decode()}
    assert (await strict.client.get("/graphql", params=parameters)).json() == answer
    assert (await ask(strict, documentId="two", operationName="Other")).json() == {"data": {"b": "Query"}}
    record = (await ask(strict, documentId="sha256:record")).json()["errors"][0]
    assert record["extensions"]["code"] == "UNAUTHENTICATED"


async def test_everything_else_is_refused_with_one_code(strict: Running) -> None:
    refused = [
        {"query": "{ __typename }"},
        {"query": f"{PAGE} "},
        {"query": PAGE.replace("\n", " ")},
        {"query": "{"},
        {"query": "{ __schema { types { name } } }"},
        {"documentId": "other"},
        {"documentId": "page", "query": "{ __typename }"},
        {"documentId": "page", "query": TWO},
        {"documentId": "other", "query": PAGE},
        persisted(hash_of("{ __typename }")),
        persisted(hash_of("{ __typename }"), query="{ __typename }"),
    ]
    for question in refused:
        lenient, exact = await ask(strict, **question), await ask(strict, GRAPHQL_JSON, **question)
        assert (lenient.status_code, exact.status_code) == (200, 400)
        assert is_refused(lenient.json()), question
        assert lenient.json() == exact.json()
        assert lenient.headers["cache-control"] == "no-store"
    sample = strict.gateway.metrics.registry.get_sample_value
    assert sample("podium_persisted_documents_total", {"outcome": "refused"}) == 2 * len(refused)
    assert sample("podium_persisted_documents_kept") == len(DOCUMENTS)
    assert is_refused((await strict.client.get("/graphql", params={"query": "{ __typename }"})).json())
    assert is_refused((await strict.client.get("/graphql", params={"documentId": "other"})).json())


async def test_a_batch_is_looked_at_one_by_one(strict: Running) -> None:
    batch = [{"query": "{ __typename }"}, {"documentId": "two", "operationName": "One"}, {"documentId": "x"}]
    first, second, third = (await strict.client.post("/graphql", json=batch)).json()
    assert second == {"data": {"a": "Query"}}
    assert is_refused(first)
    assert is_refused(third)


async def test_sockets_and_streams_obey_as_well(strict: Running) -> None:
    async with open_socket(strict.url) as socket:
        for number, payload in enumerate(({"query": "{ __typename }"}, {"query": f"{EVENTS} "}, {"documentId": "x"})):
            await socket.send(type="subscribe", id=str(number), payload=payload)
            refused = await socket.receive()
            assert refused["type"] == "error"
            assert is_refused({"errors": refused["payload"]})
        await socket.send(type="subscribe", id="a", payload={"documentId": "events"})
        await hears(strict)
        await strict.post_stat(region="FRA", orchestrator="0xa", success_rate=1, round_trip_time=2)
        assert await socket.next("a") == {"statRecorded": {"roundTripTime": 2}}
    accept = {"Accept": "text/event-stream"}
    stream = strict.client.stream("GET", "/graphql", params={"documentId": "events"}, headers=accept)
    async with stream as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    refused = await strict.client.get("/graphql", params={"query": EVENTS + " "}, headers=accept)
    assert refused.status_code == 400
    assert is_refused(refused.json())


async def test_a_browser_is_told_that_queries_of_its_own_are_off(strict: Running) -> None:
    page = await strict.client.get("/graphql", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "Ad-hoc queries are off" in page.text
    assert page.headers["content-security-policy"]


async def test_a_manifest_of_apollo_is_obeyed(start_gateway: StartGateway, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    operation = {"id": "1a", "name": "Page", "type": "query", "body": PAGE}
    manifest.write_bytes(orjson.dumps({**APOLLO, "operations": [operation]}))
    running = await start_gateway(documents=manifest)
    assert "data" in (await ask(running, **persisted("1a"))).json()
    assert is_refused((await ask(running, documentId="two")).json())


async def test_a_document_that_cannot_be_executed_ends_the_start_with_its_file_and_line(
    start_gateway: StartGateway, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.json"
    page, other = {"id": "1a", "name": "Page", "body": "query Page {\n  nothing\n}"}, {"id": "1a", "body": "{"}
    manifest.write_bytes(orjson.dumps({**APOLLO, "operations": [page, other]}))
    with pytest.raises(ManifestError) as raised:
        await start_gateway(documents=manifest)
    assert str(raised.value).splitlines() == [
        f"{manifest}: document Page (1a), line 2: Cannot query field 'nothing' on type 'Query'.",
        f"{manifest}: document (1a): another one has the same id",
        f"{manifest}: document (1a), line 1: Syntax Error: Expected Name, found <EOF>.",
    ]
    with pytest.raises(ManifestError, match=r"none\.json: it cannot be read: No such file"):
        await start_gateway(documents=tmp_path / "none.json")
