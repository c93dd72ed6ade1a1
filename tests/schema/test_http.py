"""GraphQL over HTTP: media types, statuses, methods, and what is refused before it is executed."""

import gzip
from itertools import product
from typing import Any

import httpx
import orjson
import pytest

from resolvers.signing import signature
from tests.harness import SECRET, Running, StartGateway

GRAPHQL_JSON = "application/graphql-response+json"
OBJECTS = ("variables", "extensions")


async def post(running: Running, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await running.client.post(
        "/graphql", content=content, headers={"Content-Type": "application/json", **headers}
    )


async def test_the_answer_has_the_media_type_that_was_asked_for(running: Running) -> None:
    for accept in ("application/json", GRAPHQL_JSON, "*/*", "application/*", "text/html, */*;q=0.1", ""):
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


async def test_optional_members_may_be_there_or_null(running: Running) -> None:
    query = 'query Named($name: String! = "Run🏃Swim🏊") { __type(name: $name) { name } }'
    given = {"variables": {"name": "x"}, "operationName": "Named", "extensions": {"some": "value"}, "other": "ignored"}
    empty = {"variables": {}, "operationName": "", "extensions": {}}
    absent = {"variables": None, "operationName": None, "extensions": None}
    members = [{name: value} for of in (given, empty, absent) for name, value in of.items()]
    for member, accept in product([*members, absent], ["application/json", GRAPHQL_JSON]):
        answer = await post(running, {"query": query, **member}, Accept=accept)
        assert (answer.status_code, answer.json()) == (200, {"data": {"__type": None}}), (member, accept)


async def test_variables_that_do_not_fit_are_a_client_error(running: Running) -> None:
    question = {"query": "query ($n: Int!) { stats(first: $n) { totalCount } }", "variables": {"n": "x"}}
    assert (await post(running, question, Accept="application/json")).status_code == 200
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


async def test_a_body_that_is_no_request_is_refused(running: Running) -> None:
    bodies = [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"7",
        b"null",
        b"[" * 100_000,
        [{"query": "{ __typename }"}],
        {},
        {"quary": "{ a }"},
    ]
    bodies += [{"query": wrong} for wrong in ({"ob": "ject"}, 0, False, ["array"], None, "")]
    bodies += [{"query": "{ a }", "operationName": wrong} for wrong in ({"ob": "ject"}, 0, False, ["array"])]
    bodies += [{"query": "{ a }", name: wrong} for name in OBJECTS for wrong in ("string", 0, False, ["array"])]
    for body, accept in product(bodies, ["application/json", GRAPHQL_JSON]):
        answer = await post(running, body, Accept=accept)
        assert answer.status_code == 400, body
        assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
        assert answer.json()["errors"][0]["extensions"] == {"code": "GRAPHQL_INVALID"}


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


async def test_a_body_in_a_content_coding_is_refused(running: Running) -> None:
    answer = await post(running, gzip.compress(b'{"query": "{ __typename }"}'), **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")
    assert (await post(running, {"query": "{ __typename }"}, **{"Content-Encoding": "Identity"})).status_code == 200


async def test_an_answer_that_cannot_be_given_is_refused(running: Running) -> None:
    for accept in ("text/csv", "text/html", "application/json;q=0", "application/json;charset=latin-1"):
        assert (await post(running, {"query": "{ __typename }"}, Accept=accept)).status_code == 406


async def test_queries_may_be_sent_by_get(running: Running) -> None:
    parameters = {"query": "query A($t: JobType) { regions(jobType: $t) { code } }", "variables": '{"t": "AI"}'}
    for accept in ("application/json", GRAPHQL_JSON):
        answer = await running.client.get("/graphql", params=parameters, headers={"Accept": accept})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"{accept}; charset=utf-8"
        assert len(answer.json()["data"]["regions"]) == 4
    head = await running.client.head("/graphql", params=parameters)
    assert (head.status_code, head.text) == (200, "")


async def test_mutations_may_not_be_sent_by_get(running: Running) -> None:
    query = "mutation { recordStats(results: []) { errors { code } } }"
    answer = await running.client.get("/graphql", params={"query": query})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["errors"][0]["extensions"] == {"code": "GRAPHQL_INVALID"}


async def test_a_get_that_is_no_request_is_refused(running: Running) -> None:
    wrong = ["", "query=", "variables={}", "operationName=a", "query=%ff", "query={__typename}" + "&x=" * 1000]
    wrong += [f"query={{__typename}}&{more}" for more in ("x=%e9", "variables=x", "variables=[]", "extensions=1")]
    wrong += [f"query={{__typename}}&{name}=&{name}=" for name in ("query", "operationName", *OBJECTS)]
    for query in wrong:
        assert (await running.client.get(f"/graphql?{query}")).status_code == 400, query


async def test_optional_parameters_may_be_there_or_empty(running: Running) -> None:
    parameters = ["", "variables=", "variables=null", "operationName=", "extensions=", "extensions={}", "x=1&x=2"]
    for optional in parameters:
        answer = await running.client.get(f"/graphql?query={{__typename}}&{optional}")
        assert (answer.status_code, answer.json()) == (200, {"data": {"__typename": "Query"}}), optional


async def test_an_operation_may_be_called_null(running: Running) -> None:
    answer = await running.client.get("/graphql?query=query null {__typename}&operationName=null")
    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
async def test_other_methods_are_named(running: Running, method: str) -> None:
    answer = await running.client.request(method, "/graphql")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")


async def test_options_are_told(running: Running) -> None:
    answer = await running.client.options("/graphql")
    assert (answer.status_code, answer.text, answer.headers["allow"]) == (204, "", "GET, HEAD, OPTIONS, POST")


async def test_a_foreign_page_changes_nothing_as_anybody(start_gateway: StartGateway) -> None:
    running = await start_gateway(anonymous_scopes="read,publish", cors_origins="https://named.example")
    mutation = {"query": "mutation { recordStats(results: []) { errors { code } } }"}
    refused = await post(running, mutation, Origin="https://foreign.example")
    assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (403, "FOREIGN_ORIGIN")
    signed = {"Authorization": signature(orjson.dumps(mutation), SECRET), "Origin": "https://foreign.example"}
    for allowed in ({}, {"Origin": running.url}, {"Origin": "https://named.example"}, signed):
        assert (await post(running, mutation, **allowed)).json()["data"]["recordStats"] == {"errors": []}
    assert (await post(running, {"query": "{ __typename }"}, Origin="https://foreign.example")).status_code == 200


async def test_an_accept_in_several_lines_is_one(running: Running) -> None:
    headers = [("Accept", "text/csv"), ("Accept", GRAPHQL_JSON)]
    answer = await running.client.get("/graphql?query={__typename}", headers=headers)
    assert answer.headers["content-type"] == f"{GRAPHQL_JSON}; charset=utf-8"


async def test_a_browser_does_not_guess_what_an_answer_is(running: Running) -> None:
    assert (await post(running, {"query": "{ __typename }"})).headers["x-content-type-options"] == "nosniff"


async def test_a_browser_gets_a_page(running: Running) -> None:
    answer = await running.client.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.headers["content-type"].startswith("text/html")
    assert "podium" in answer.text
    asked = await running.client.get("/graphql?query={__typename}", headers={"Accept": "text/html, */*;q=0.1"})
    assert asked.json() == {"data": {"__typename": "Query"}}


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
