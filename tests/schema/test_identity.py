"""Who may ask for what in the graph: shown in the schema, checked, and told."""

from typing import Any

import asyncpg
import orjson
import pytest
from graphql import ObjectTypeDefinitionNode, parse
from strawberry.types.enum import StrawberryEnumDefinition

from resolvers.identity import Scope
from resolvers.signing import signature
from schema.permissions import GrantedScope
from schema.root import SDL
from tests.harness import SECRET, TOKEN_SECRET, Running, StartGateway, bearer, webhook

EXEMPT = ["identity"]  # whoever asks what they may do must get an answer
RECORD = """mutation { recordStats(results: [{ region: "FRA", orchestrator: "0x1" }]) {
  replayed stats { id } errors { code } } }"""
GRAPHQL_JSON = "application/graphql-response+json"


def required() -> dict[str, str | None]:
    """The scope that the printed schema names for each root field."""
    roots = [
        node
        for node in parse(SDL).definitions
        if isinstance(node, ObjectTypeDefinitionNode) and node.name.value in ("Query", "Mutation", "Subscription")
    ]
    found: dict[str, str | None] = {}
    for field in [field for root in roots for field in root.fields or ()]:
        scopes = [d.arguments[0].value.value.lower() for d in field.directives or () if d.name.value == "requires"]  # type: ignore[union-attr, index]
        found[field.name.value] = scopes[0] if scopes else None
    return found


def test_every_root_field_names_its_scope() -> None:
    assert [name for name, scope in required().items() if scope is None] == EXEMPT


def test_the_graph_knows_every_scope() -> None:
    definition: StrawberryEnumDefinition = GrantedScope.__strawberry_definition__  # type: ignore[attr-defined]
    assert [(value.name, value.value) for value in definition.values] == [(scope.name, scope) for scope in Scope]


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ({}, {"subject": None, "scopes": ["READ"]}),
        (bearer(sub="me", scope="publish"), {"subject": "me", "scopes": ["READ", "PUBLISH"]}),
        (bearer(scope="admin"), {"subject": None, "scopes": ["READ", "PUBLISH", "WATCH", "ADMIN"]}),
        ({"Authorization": "0" * 64}, {"subject": None, "scopes": ["READ"]}),
    ],
)
async def test_clients_learn_what_they_may_do(
    start_gateway: StartGateway, headers: dict[str, str], identity: dict[str, Any]
) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    answer = await running.graph("{ identity { subject scopes } }", headers)
    assert answer.json() == {"data": {"identity": identity}}


async def test_a_missing_scope_is_named(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    for headers, code, end in (
        ({}, "UNAUTHENTICATED", "and the request shows nothing that gives it"),
        ({"Authorization": signature(b"another body", SECRET)}, "UNAUTHENTICATED", "nothing that gives it"),
        (bearer(scope="read watch"), "FORBIDDEN", "which this token does not give"),
    ):
        answer = await running.graph(RECORD, headers)
        (error,) = answer.json()["errors"]
        assert (answer.status_code, answer.json()["data"], error["path"]) == (200, None, ["recordStats"])
        assert error["extensions"]["code"] == code
        assert error["message"].startswith("recordStats needs the scope publish, ")
        assert error["message"].endswith(end)
        assert "docs/identity.md" in error["extensions"]["hint"]


async def test_without_any_key_posting_is_off(start_gateway: StartGateway) -> None:
    running = await start_gateway(secret=None)
    (error,) = (await running.graph(RECORD)).json()["errors"]
    assert error["extensions"]["code"] == "POSTING_DISABLED"
    assert not (await running.ask("{ service { postingEnabled } }"))["service"]["postingEnabled"]


async def test_reading_can_be_closed(start_gateway: StartGateway) -> None:
    running = await start_gateway(anonymous_scopes="none", jwt_secret=TOKEN_SECRET)
    (error,) = (await running.graph("{ regions { code } }")).json()["errors"]
    assert error["message"].startswith("regions needs the scope read")
    assert (await running.graph("{ identity { scopes } }")).json() == {"data": {"identity": {"scopes": []}}}
    assert "errors" not in (await running.graph("{ regions { code } }", bearer(scope="read"))).json()


@pytest.mark.parametrize("accept", ["application/json", GRAPHQL_JSON])
async def test_a_wrong_token_is_an_error_of_the_whole_request(start_gateway: StartGateway, accept: str) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    for query in ("{ service { version } }", "{", RECORD):
        answer = await running.graph(query, {**bearer(exp=1), "Accept": accept})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
        (error,) = answer.json()["errors"]
        assert (error["message"], error["extensions"]["code"]) == ("the token has expired", "UNAUTHENTICATED")
        assert "data" not in answer.json()


async def test_a_token_records_results(start_gateway: StartGateway) -> None:
    running = await start_gateway(secret=None, jwt_secret=TOKEN_SECRET)
    payload = (await running.graph(RECORD, bearer(scope="publish"))).json()["data"]["recordStats"]
    assert (payload["errors"], len(payload["stats"]), payload["replayed"]) == ([], 1, False)


@pytest.mark.parametrize(("claims", "actor"), [({"sub": "me"}, "me"), ({}, "anonymous")])
async def test_the_audit_log_names_the_subject(start_gateway: StartGateway, claims: dict[str, str], actor: str) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    register = 'mutation { registerRegion(code: "OSL", name: "Oslo", jobType: AI) { errors { code } } }'
    assert "errors" not in (await running.graph(register, bearer(scope="admin", **claims))).json()
    log = (await running.graph("{ auditLog { nodes { actor } } }")).json()
    assert log["data"]["auditLog"]["nodes"] == [{"actor": actor}]


async def test_a_message_records_once_what_each_of_its_fields_says(
    running: Running, connection: asyncpg.Connection
) -> None:
    field = 'recordStats(results: [{ region: "FRA", orchestrator: "0x1" }]) { replayed stats { id } }'
    body = orjson.dumps({"query": f"mutation {{ a: {field} b: {field} }}"})
    headers = {"Content-Type": "application/json", **webhook(body, "msg_1")}
    first, second = [(await running.client.post("/graphql", content=body, headers=headers)).json() for _ in range(2)]
    assert [first["data"][name]["replayed"] for name in "ab"] == [False, False]
    assert [second["data"][name]["replayed"] for name in "ab"] == [True, True]
    assert [first["data"][name]["stats"] for name in "ab"] == [second["data"][name]["stats"] for name in "ab"]
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 2


async def test_a_wrong_message_is_refused_before_anything_is_executed(running: Running) -> None:
    body = orjson.dumps({"query": RECORD})
    headers = {"Content-Type": "application/json", **webhook(body, "msg_1", "other")}
    answer = await running.client.post("/graphql", content=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "UNAUTHENTICATED")
    assert "data" not in answer.json()
