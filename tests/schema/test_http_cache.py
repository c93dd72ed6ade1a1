"""What a GET tells caches: entity tags, and what they may keep, for whom and for how long."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.harness import TOKEN_SECRET, Database, Running, StartGateway, bearer, eventually, locked

GRAPHQL_JSON = "application/graphql-response+json"
REGIONS = "{ regions { id code name } }"
COUNT = "{ stats { totalCount } }"
RESULT = {"region": "FRA", "orchestrator": "0xaa", "success_rate": 1, "round_trip_time": 0.5}


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway that hears of changes, and takes tokens."""
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    await eventually(lambda: running.gateway.versions.are_heard)
    return running


async def get(running: Running, query: str, method: str = "GET", **headers: str) -> httpx.Response:
    """The response to a query in a URL."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await running.client.request(method, "/graphql", params={"query": query}, headers=given)


async def test_an_answer_has_a_tag_and_is_kept_only_to_be_asked_for_again(running: Running) -> None:
    answer = await get(running, REGIONS)
    assert answer.headers["ETag"].startswith('W/"')
    assert answer.headers["Cache-Control"] == "public, no-cache"
    assert {"Accept", "Authorization", "Accept-Encoding"} <= set(answer.headers["Vary"].split(", "))
    head = await get(running, REGIONS, method="HEAD")
    assert [head.headers[name] for name in ("ETag", "Cache-Control")] == [answer.headers["ETag"], "public, no-cache"]


async def test_equal_answers_have_equal_tags(start_gateway: StartGateway) -> None:
    gateways = [await start_gateway() for _ in range(2)]
    tags = {
        (await get(running, query, Accept=accept)).headers["ETag"]
        for running in gateways
        for query in (REGIONS, f" {REGIONS}")
        for accept in ("application/json", GRAPHQL_JSON)
    }
    assert len(tags) == 1
    assert (await get(gateways[0], COUNT)).headers["ETag"] not in tags


@pytest.mark.parametrize("known", ["{}", "{strong}", '"other", {}', '"other", {strong}, W/"more"', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_that_has_the_answer_is_told_so_without_touching_postgres(
    running: Running, database: Database, method: str, known: str
) -> None:
    tag = (await get(running, COUNT)).headers["ETag"]
    known = known.format(tag, strong=tag.removeprefix("W/"))
    async with locked(database), asyncio.timeout(1):
        answer = await get(running, COUNT, method=method, If_None_Match=known)
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == tag
    assert answer.headers["Cache-Control"] == "public, no-cache"
    assert {"Accept", "Authorization", "Accept-Encoding"} <= set(answer.headers["Vary"].split(", "))
    assert "Content-Type" not in answer.headers


async def test_a_client_that_has_an_answer_of_before_gets_the_new_one(running: Running) -> None:
    tag = (await get(running, COUNT)).headers["ETag"]
    await running.post_stat(**RESULT)
    answer = await get(running, COUNT, If_None_Match=tag)
    assert (answer.status_code, answer.json()) == (200, {"data": {"stats": {"totalCount": 1}}})
    assert answer.headers["ETag"] != tag


async def test_an_answer_that_is_computed_again_and_the_same_is_not_sent_again(start_gateway: StartGateway) -> None:
    running = await start_gateway(answer_cache_bytes=0)
    tag = (await get(running, REGIONS)).headers["ETag"]
    assert (await get(running, REGIONS, If_None_Match=tag)).status_code == 304


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("{ stats(first: 5000) { totalCount } }", 200),
        ("{ missing }", 400),
        ("{", 400),
        ("query ($n: Int!) { stats(first: $n) { totalCount } }", 400),
        ("{ identity { subject scopes } }", 200),
        ("mutation { recordStats(results: []) { errors { code } } }", 405),
    ],
)
async def test_no_cache_may_keep_errors_or_who_asks(running: Running, query: str, status: int) -> None:
    answer = await get(running, query, Accept=GRAPHQL_JSON, If_None_Match="*")
    assert answer.status_code == status
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers


async def test_what_is_posted_is_not_for_caches(running: Running) -> None:
    answer = await running.client.post("/graphql", json={"query": REGIONS}, headers={"If-None-Match": "*"})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert "ETag" not in answer.headers


@pytest.mark.parametrize("headers", [bearer(sub="ann", scope="read"), {"Authorization": "whatever"}])
async def test_an_answer_to_one_who_shows_something_is_for_no_other_cache(
    running: Running, headers: dict[str, Any]
) -> None:
    answer = await get(running, REGIONS, **headers)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "private, no-cache")
    again = await get(running, REGIONS, **headers, If_None_Match=answer.headers["ETag"])
    assert (again.status_code, again.headers["Cache-Control"]) == (304, "private, no-cache")


async def test_caches_may_use_answers_for_as_long_as_is_configured(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET, answer_max_age="1m")
    assert (await get(running, REGIONS)).headers["Cache-Control"] == "public, max-age=60"
    personal = await get(running, REGIONS, **bearer(sub="ann", scope="read"))
    assert personal.headers["Cache-Control"] == "private, max-age=60"
    assert (await get(running, "{ missing }")).headers["Cache-Control"] == "no-store"


async def test_a_compressed_answer_has_the_same_weak_tag(running: Running) -> None:
    plain, packed = [await get(running, REGIONS, Accept_Encoding=coding) for coding in ("identity", "gzip")]
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["ETag"] == plain.headers["ETag"]
    assert packed.json() == plain.json()


async def test_a_page_of_another_origin_can_read_the_tag(running: Running) -> None:
    answer = await get(running, REGIONS, Origin="https://explorer.example")
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
