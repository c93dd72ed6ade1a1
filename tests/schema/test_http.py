"""GraphQL over HTTP: media types, statuses, methods, and what is refused before it is executed."""

from typing import Any

import httpx
import orjson
import pytest

from tests.harness import Running, StartGateway

GRAPHQL_JSON = "application/graphql-response+json"


async def post(running: Running, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await running.client.post(
        "/graphql", content=content, headers={"Content-Type": "application/json", **headers}
    )


@pytest.mark.parametrize("accept", ["application/json", GRAPHQL_JSON, "*/*", "application/*", "text/html, */*;q=0.1"])
async def test_the_answer_has_the_media_type_that_was_asked_for(running: Running, accept: str) -> None:
    answer = await post(running, {"query": "{ __typename }"}, Accept=accept)
    wanted = GRAPHQL_JSON if accept == GRAPHQL_JSON else "application/json"
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{wanted}; charset=utf-8"
    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("query", ["{", "{ missing }", "query A { __typename } query B { __typename }", "{ a" * 600])
async def test_a_document_that_cannot_be_executed_is_a_client_error(running: Running, query: str) -> None:
    strict = await post(running, {"query": query}, Accept=GRAPHQL_JSON)
    lenient = await post(running, {"query": query}, Accept="application/json")
    assert (strict.status_code, lenient.status_code) == (400, 200)
    assert strict.json() == lenient.json()
    assert "data" not in strict.json()
    assert strict.json()["errors"]


async def test_variables_that_do_not_fit_are_a_client_error(running: Running) -> None:
    question = {"query": "query ($n: Int!) { stats(first: $n) { totalCount } }", "variables": {"n": "x"}}
    answer = await post(running, question, Accept=GRAPHQL_JSON)
    assert answer.status_code == 400
    assert "data" not in answer.json()
    assert answer.json()["errors"][0]["extensions"] == {"code": "GRAPHQL_INVALID"}


async def test_a_scalar_in_variables_says_what_is_wrong(running: Running) -> None:
    question = {
        "query": "query ($d: TimeRange) { pipelines(during: $d) { name } }",
        "variables": {"d": {"last": "soon"}},
    }
    message = (await post(running, question)).json()["errors"][0]["message"]
    assert "a Duration is a number and a unit" in message


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 400),
        (b"7", 400),
        (b"null", 400),
        (b"[" * 100_000, 400),
        ([{"query": "{ __typename }"}], 400),
        ({}, 400),
        ({"query": 7}, 400),
        ({"query": "{ __typename }", "variables": []}, 400),
        ({"query": "{ __typename }", "operationName": 7}, 400),
        ({"query": "{ __typename }", "extensions": "x"}, 400),
        ({"query": "{ __typename }", "variables": None, "operationName": None, "extensions": None}, 200),
    ],
)
async def test_a_body_that_is_no_request_is_refused(running: Running, body: Any, status: int) -> None:
    answer = await post(running, body, Accept=GRAPHQL_JSON)
    assert answer.status_code == status
    assert ("errors" in answer.json()) == (status != 200)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_what_a_foreign_page_can_send_is_refused(running: Running, content_type: str) -> None:
    answer = await post(running, {"query": "{ __typename }"}, **{"Content-Type": content_type})
    assert answer.status_code == 415


async def test_another_encoding_is_refused(running: Running) -> None:
    answer = await post(running, {"query": "{ __typename }"}, **{"Content-Type": "application/json; charset=latin-1"})
    assert answer.status_code == 415
    answer = await post(running, {"query": "{ __typename }"}, **{"Content-Type": 'application/json; charset="UTF-8"'})
    assert answer.status_code == 200


async def test_an_answer_that_cannot_be_given_is_refused(running: Running) -> None:
    assert (await post(running, {"query": "{ __typename }"}, Accept="text/csv")).status_code == 406


async def test_queries_may_be_sent_by_get(running: Running) -> None:
    parameters = {"query": "query A($t: JobType) { regions(jobType: $t) { code } }", "variables": '{"t": "AI"}'}
    answer = await running.client.get("/graphql", params=parameters)
    assert len(answer.json()["data"]["regions"]) == 4
    head = await running.client.head("/graphql", params=parameters)
    assert (head.status_code, head.text) == (200, "")


async def test_mutations_may_not_be_sent_by_get(running: Running) -> None:
    query = "mutation { recordStats(results: []) { errors { code } } }"
    answer = await running.client.get("/graphql", params={"query": query})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("query", ["", "query=", "query={__typename}&variables=x", "query={__typename}&variables=[]"])
async def test_a_get_that_is_no_request_is_refused(running: Running, query: str) -> None:
    assert (await running.client.get(f"/graphql?{query}")).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_named(running: Running, method: str) -> None:
    answer = await running.client.request(method, "/graphql")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_a_browser_gets_a_page(running: Running) -> None:
    answer = await running.client.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "podium" in answer.text


async def test_production_hides_the_schema(start_gateway: StartGateway) -> None:
    hidden = await start_gateway(env="production")
    answer = await post(hidden, {"query": "{ __schema { types { name } } }"})
    assert "errors" in answer.json()
    suggestion = await post(hidden, {"query": "{ region { code } }"})
    assert "Did you mean" not in suggestion.text
    shown = await start_gateway(env="production", introspection=True)
    assert "errors" not in (await post(shown, {"query": "{ __schema { types { name } } }"})).json()


async def test_errors_are_capped(running: Running) -> None:
    answer = await post(running, {"query": "{ " + " ".join(f"x{i}" for i in range(400)) + " }"})
    assert 1 <= len(answer.json()["errors"]) <= 21


async def test_tokens_are_capped(running: Running) -> None:
    answer = await post(running, {"query": "{ " + " ".join(f"x{i}" for i in range(2000)) + " }"})
    assert "1000 tokens" in answer.json()["errors"][0]["message"]
