"""Who may use the old URLs: tokens, webhooks that come again, and reads that are closed."""

import asyncio
import base64
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from resolvers.signing import signature
from tests.harness import SECRET, TOKEN_SECRET, Running, StartGateway, bearer, webhook

BODY = orjson.dumps({"region": "FRA", "orchestrator": "0x1", "success_rate": 1, "round_trip_time": 1})
OTHER_BODY = BODY.replace(b"0x1", b"0x2")
COUNT = "SELECT count(*) FROM podium.results"


async def post(running: Running, headers: dict[str, str], body: bytes = BODY) -> httpx.Response:
    return await running.client.post("/api/post_stats", content=body, headers=headers)


async def test_a_token_posts_where_it_has_the_scope(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    assert (await post(running, bearer(scope="publish"))).text == "ok"
    assert (await post(running, {"Authorization": signature(BODY, SECRET)})).text == "ok"
    lacking = await post(running, bearer(scope="read"))
    message = "post_stats needs the scope publish, which this token does not give"
    assert (lacking.status_code, lacking.json()) == (403, {"error": message})
    for headers in ({}, {"Authorization": "0" * 64}, {"Authorization": "Basic eDp5"}):
        refused = await post(running, headers)
        assert (refused.status_code, refused.json()) == (403, {"error": "request can not be authenticated"})


async def test_a_wrong_token_is_told_apart_from_a_missing_one(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    expired = await post(running, bearer(scope="publish", exp=1))
    assert (expired.status_code, expired.json()) == (401, {"error": "the token has expired"})
    assert expired.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_everybody_may_post_where_that_is_configured(start_gateway: StartGateway) -> None:
    running = await start_gateway(secret=None, anonymous_scopes="read,publish")
    assert (await post(running, {})).text == "ok"
    assert (await running.ask("{ service { postingEnabled } }"))["service"]["postingEnabled"]


async def test_a_message_that_comes_again_is_stored_once(running: Running, connection: asyncpg.Connection) -> None:
    headers = webhook(BODY, "msg_1")
    for _ in range(3):
        answer = await post(running, headers)
        assert (answer.status_code, answer.text) == (200, "ok")
    assert await connection.fetchval(COUNT) == 1
    assert (await post(running, webhook(BODY, "msg_2"))).text == "ok"
    assert await connection.fetchval(COUNT) == 2


async def test_another_result_with_the_same_id_is_a_conflict(running: Running, connection: asyncpg.Connection) -> None:
    await post(running, webhook(BODY, "msg_1"))
    answer = await post(running, webhook(OTHER_BODY, "msg_1"), OTHER_BODY)
    assert (answer.status_code, answer.json()) == (409, {"error": "webhook-id: it was used with other results"})
    assert await connection.fetchval(COUNT) == 1


async def test_two_gateways_that_get_a_message_at_once_store_it_once(
    start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    gateways = [await start_gateway(), await start_gateway()]
    headers = webhook(BODY, "msg_1")
    answers = await asyncio.gather(*(post(gateways[number % 2], headers) for number in range(30)))
    assert Counter((answer.status_code, answer.text) for answer in answers) == {(200, "ok"): 30}
    assert await connection.fetchval(COUNT) == 1


@pytest.mark.parametrize("seconds", [-600, -301, 302, 600])
async def test_a_message_of_another_time_is_refused(running: Running, seconds: int) -> None:
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    answer = await post(running, webhook(BODY, "msg_1", at=at))
    assert (answer.status_code, answer.json()["error"].partition(":")[0]) == (403, "webhook-timestamp")
    at = datetime.now(UTC) + timedelta(seconds=290 if seconds > 0 else -290)
    assert (await post(running, webhook(BODY, "msg_1", at=at))).text == "ok"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"webhook-id": "msg_2"}, "webhook-signature"),
        ({"webhook-id": ""}, "webhook-id"),
        ({"webhook-id": "msg.1"}, "webhook-id"),
        ({"webhook-id": "x" * 256}, "webhook-id"),
        ({"webhook-timestamp": ""}, "webhook-timestamp"),
        ({"webhook-timestamp": "now"}, "webhook-timestamp"),
        ({"webhook-timestamp": "1e9"}, "webhook-timestamp"),
        ({"webhook-timestamp": "nan"}, "webhook-timestamp"),
        ({"webhook-signature": ""}, "webhook-signature"),
        ({"webhook-signature": "v1,"}, "webhook-signature"),
        ({"webhook-signature": "v1,x,y v2 , v1"}, "webhook-signature"),
        ({"webhook-signature": "v1," + "A" * 43 + "="}, "webhook-signature"),
        ({"webhook-signature": "v1a," + "A" * 43 + "="}, "webhook-signature"),
        ({"webhook-signature": "v1," + "A" * 50_000}, "webhook-signature"),
    ],
)
async def test_a_wrong_message_is_refused_whatever_else_it_shows(
    running: Running, connection: asyncpg.Connection, wrong: dict[str, str], field: str
) -> None:
    headers = {"Authorization": signature(BODY, SECRET), **webhook(BODY, "msg_1"), **wrong}
    answer = await post(running, headers)
    assert (answer.status_code, answer.json()["error"].partition(":")[0]) == (403, field)
    assert await connection.fetchval(COUNT) == 0


async def test_a_body_that_is_no_text_fits_no_signature(running: Running) -> None:
    answer = await post(running, webhook(BODY, "msg_1"), b"\xff" + BODY)
    assert (answer.status_code, answer.json()["error"].partition(":")[0]) == (403, "webhook-signature")


async def test_one_signature_of_several_is_enough(running: Running) -> None:
    headers = webhook(BODY, "msg_1")
    others = f"v1a,xyz v1,{'A' * 43}= v1,"
    headers["webhook-signature"] = f"{others} {headers['webhook-signature']}"
    assert (await post(running, headers)).text == "ok"


async def test_both_live_keys_sign_messages(start_gateway: StartGateway) -> None:
    running = await start_gateway(secret="new", secret_previous=SECRET)
    for secret, status in (("new", 200), (SECRET, 200), ("older", 403)):
        assert (await post(running, webhook(BODY, f"msg_{secret}", secret))).status_code == status


@pytest.mark.parametrize("prefix", ["", "whsec_"])
async def test_a_secret_in_base64_is_decoded_as_the_libraries_do(start_gateway: StartGateway, prefix: str) -> None:
    key = "a key of 24 bytes, 24 by"
    running = await start_gateway(secret=prefix + base64.b64encode(key.encode()).decode())
    assert (await post(running, webhook(BODY, "msg_1", key))).text == "ok"
    assert (await post(running, webhook(BODY, "msg_2", running.gateway.settings.secret or ""))).text == "ok"


async def test_a_result_that_is_refused_uses_up_no_id(running: Running, connection: asyncpg.Connection) -> None:
    wrong = BODY.replace(b"FRA", b"NOWHERE")
    assert (await post(running, webhook(wrong, "msg_1"), wrong)).status_code == 400
    assert await connection.fetchval("SELECT count(*) FROM podium.idempotency_keys") == 0
    assert (await post(running, webhook(BODY, "msg_1"))).text == "ok"


READS: list[Any] = ["aggregated_stats", "raw_stats?orchestrator=0x1", "top_ai_score?orchestrator=0x1", "regions"]


@pytest.mark.parametrize("path", [*READS, "pipelines"])
async def test_reads_can_be_closed(start_gateway: StartGateway, path: str) -> None:
    closed = await start_gateway(legacy_reads_open=False, anonymous_scopes="none", jwt_secret=TOKEN_SECRET)
    refused = await closed.client.get(f"/api/{path}")
    assert refused.status_code == 403
    assert refused.json()["error"].startswith(f"{path.partition('?')[0]} needs the scope read")
    wrong = await closed.client.get(f"/api/{path}", headers=bearer(exp=1))
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    answer = await closed.client.get(f"/api/{path}", headers=bearer(scope="read"))
    assert answer.status_code == 200
    assert {r.headers["cache-control"] for r in (refused, wrong, answer)} == {"private, no-store"}
    assert (await post(closed, bearer(scope="publish"))).text == "ok"


async def test_an_export_needs_the_scope_that_the_graph_needs(start_gateway: StartGateway) -> None:
    closed = await start_gateway(anonymous_scopes="none", jwt_secret=TOKEN_SECRET)
    refused = await closed.client.get("/export/stats")
    assert (refused.status_code, refused.json()["code"]) == (403, "UNAUTHENTICATED")
    assert refused.json()["error"].startswith("export needs the scope read")
    wrong = await closed.client.get("/export/stats", headers=bearer(exp=1))
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert (await closed.client.get("/export/stats", headers=bearer(scope="read"))).status_code == 200


async def test_reads_stay_open_unless_configured(start_gateway: StartGateway) -> None:
    private_graph = await start_gateway(anonymous_scopes="none")
    assert (await private_graph.client.get("/api/regions", headers={"Authorization": "Bearer x"})).status_code == 200
    open_to_readers = await start_gateway(legacy_reads_open=False)
    assert (await open_to_readers.client.get("/api/regions")).status_code == 200
