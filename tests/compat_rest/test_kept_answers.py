"""Answers of the old URLs that are kept and shared: what is one question, how long, for whom, and what clients keep."""

import asyncio

import asyncpg
import httpx
import pytest

from tests.harness import TOKEN_SECRET, Database, Pair, Running, StartGateway, bearer, eventually, locked

NODE = "0x10742714f33f3d804e3fa489618b5c3ca12a6df7"
RESULT = {"region": "FRA", "orchestrator": NODE, "success_rate": 1, "round_trip_time": 1, "seg_duration": 2}
AI = {"region": "FRA", "orchestrator": NODE, "success_rate": 1, "round_trip_time": 1, "model": "m", "pipeline": "p"}
SINCE = "1767225600"
LASTING = [
    f"/api/aggregated_stats?since={SINCE}",
    f"/api/raw_stats?orchestrator={NODE}&since={SINCE}",
    f"/api/pipelines?since={SINCE}",
    "/api/regions",
]
OF_THE_PRESENT = [
    "/api/aggregated_stats",
    f"/api/raw_stats?orchestrator={NODE}",
    f"/api/top_ai_score?orchestrator={NODE}",
    "/api/pipelines",
]
PUBLIC = "public, max-age=30, stale-while-revalidate=15"


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway that hears of changes, with a result of each kind."""
    running = await start_gateway()
    for fields in (RESULT, AI):
        await running.post_stat(**fields)
    return await that_hears(running)


async def that_hears(running: Running) -> Running:
    """The same when it has heard of everything up to now."""
    versions = running.gateway.versions
    await eventually(lambda: versions.are_heard)
    await running.client.get("/api/regions")  # which reads them, and tells of those that it did not know
    return running


async def get(running: Running, path: str, **headers: str) -> httpx.Response:
    """An answer that must be one."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await running.client.get(path, headers=given)
    assert answer.status_code in (200, 304), answer.text
    return answer


def counts(running: Running) -> dict[str, int]:
    """How many answers came from where."""
    return dict(running.gateway.answers.counts)


async def computed(running: Running, *paths: str) -> int:
    """How many answers are computed for these paths, one after the other."""
    before = counts(running)["computed"]
    for path in paths:
        await get(running, path)
    return counts(running)["computed"] - before


@pytest.mark.parametrize("path", LASTING)
async def test_an_answer_is_repeated_without_touching_postgres(running: Running, database: Database, path: str) -> None:
    await get(running, path)
    first = await get(running, path)
    async with locked(database), asyncio.timeout(1):
        again = await get(running, path)
    assert again.json()
    assert (again.content, again.headers["ETag"]) == (first.content, first.headers["ETag"])


@pytest.mark.parametrize("path", OF_THE_PRESENT)
async def test_an_answer_about_the_default_window_is_a_second_old_at_most(running: Running, path: str) -> None:
    clock = asyncio.get_running_loop().time
    began, before = clock(), counts(running)["computed"]
    for _ in range(20):
        await get(running, path)
    assert 1 <= counts(running)["computed"] - before <= 2 + clock() - began


async def test_the_default_window_goes_on(start_gateway: StartGateway) -> None:
    running = await that_hears(await start_gateway(start_time_window="2s"))
    await running.post_stat(**RESULT)
    seen = []
    async with asyncio.timeout(10):
        while {} not in seen:
            seen.append((await get(running, "/api/aggregated_stats")).json())
    assert list(seen[0]) == [NODE]
    assert counts(running)["computed"] <= 8


async def test_one_question_is_one_however_it_is_written(running: Running) -> None:
    ways = [
        f"?orchestrator={NODE}&region=FRA&since={SINCE}",
        f"?since={SINCE}&region=fra&orchestrator={NODE.upper()}",
        f"?region=FRA&orchestrator={NODE}&since={SINCE}.0&region=LAX&pipeline=&other=1",
        f"?region=%46RA&job_type=transcoding&orchestrator={NODE}&since=1.7672256e9",
        f"?region=FRA&job_type=unknown&orchestrator={NODE}&since={SINCE}",
    ]
    for name in ("aggregated_stats", "raw_stats"):
        assert await computed(running, *(f"/api/{name}{way}" for way in ways)) == 1


async def test_different_questions_are_different(running: Running) -> None:
    node, other = f"orchestrator={NODE}", f"since={SINCE}"
    paths = [
        *(f"/api/{name}?{node}&{other}" for name in ("aggregated_stats", "raw_stats", "top_ai_score", "pipelines")),
        *(f"/api/aggregated_stats?{other}&{more}" for more in ("region=FRA", "region=LAX", "job_type=ai")),
        f"/api/aggregated_stats?{other}",
        f"/api/aggregated_stats?{other}.000001",
        f"/api/aggregated_stats?until={SINCE}",
        f"/api/aggregated_stats?since={SINCE}&until={SINCE}",
        f"/api/aggregated_stats?{other}&pipeline=p&model=m",
        f"/api/aggregated_stats?{other}&pipeline=P&model=m",
        f"/api/aggregated_stats?{other}&pipeline=p&model=M",
        f"/api/pipelines?{other}&region=FRA",
        "/api/aggregated_stats",
        "/api/pipelines",
    ]
    assert await computed(running, *paths) == len(paths)


async def test_what_a_client_has_posted_is_in_the_next_answer(pair: Pair) -> None:
    raw = f"/api/raw_stats?orchestrator={NODE}"
    for number in range(1, 6):
        await pair.here.post_stat(**RESULT)
        for _ in range(2):
            assert len((await get(pair.here, raw)).json()["FRA"]) == number
        await pair.all_is_heard()
        assert len((await get(pair.there, raw)).json()["FRA"]) == number


async def test_while_posts_come_in_all_who_read_see_what_was_acknowledged_before_they_asked(pair: Pair) -> None:
    raw, acknowledged = f"/api/raw_stats?orchestrator={NODE}&since={SINCE}", 0

    async def write() -> None:
        nonlocal acknowledged
        for _ in range(60):
            await pair.here.post_stat(**RESULT)
            acknowledged += 1

    async def read() -> None:
        while acknowledged < 60:
            least = acknowledged
            assert len((await get(pair.here, raw)).json().get("FRA", ())) >= least

    await asyncio.gather(write(), *(read() for _ in range(8)))
    assert counts(pair.here)["shared"] > 0


async def test_a_hundred_equal_questions_at_once_are_one(pair: Pair, database: Database) -> None:
    async with locked(database) as lock:
        asking = [asyncio.create_task(get(pair.here, LASTING[0])) for _ in range(100)]
        await lock.until_someone_waits()
    assert {answer.content for answer in await asyncio.gather(*asking)} == {b"{}"}
    assert counts(pair.here)["computed"] == 1


async def test_a_region_that_is_added_beside_is_shown_when_a_post_has_made_it_known(
    running: Running, connection: asyncpg.Connection
) -> None:
    await get(running, "/api/regions")
    await connection.execute("INSERT INTO podium.regions (code, job_type, name) VALUES ('NEW', 'transcoding', 'New')")
    await running.post_stat(**{**RESULT, "region": "NEW"})
    assert any(region["id"] == "NEW" for region in (await get(running, "/api/regions")).json()["regions"])


async def test_failures_are_not_kept(start_gateway: StartGateway, database: Database) -> None:
    running = await that_hears(await start_gateway(db_timeout="0.2s"))
    async with locked(database):
        failed = await running.client.get("/api/aggregated_stats")
    assert (failed.status_code, failed.headers["Cache-Control"]) == (503, "no-store")
    refused = await running.client.get("/api/aggregated_stats?since=yesterday", headers={"If-None-Match": "*"})
    assert refused.status_code == 400
    assert not {"etag"} & (set(failed.headers) | set(refused.headers))
    assert (await get(running, "/api/aggregated_stats")).json() == {}


@pytest.mark.parametrize("known", ["{}", "{strong}", '"other", {}', '"other", {strong}, W/"more"', "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_that_has_the_answer_is_told_so_without_touching_postgres(
    running: Running, database: Database, method: str, known: str
) -> None:
    for path in LASTING:
        tag = (await get(running, path)).headers["ETag"]
        asked = {"If-None-Match": known.format(tag, strong=tag.removeprefix("W/"))}
        async with locked(database), asyncio.timeout(1):
            answer = await running.client.request(method, path, headers=asked)
        assert (answer.status_code, answer.content) == (304, b"")
        told = [answer.headers[name] for name in ("ETag", "Cache-Control", "Access-Control-Allow-Origin")]
        assert told == [tag, PUBLIC, "*"]
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("path", OF_THE_PRESENT)
async def test_a_client_that_has_an_answer_of_before_gets_the_new_one(running: Running, path: str) -> None:
    tag = (await get(running, path)).headers["ETag"]
    await running.post_stat(**{**RESULT, "success_rate": 0.5})
    await running.post_stat(**{**AI, "region": "LAX", "success_rate": 2})
    answer = await get(running, path, If_None_Match=tag)
    assert answer.status_code == 200
    assert answer.headers["ETag"] != tag


async def test_a_compressed_answer_has_the_same_tag_and_is_compressed_once(running: Running) -> None:
    plain = await get(running, "/api/regions", Accept_Encoding="identity")
    number = len(running.gateway.answers)
    for coding in ("gzip", "br", "zstd", "gzip"):
        packed = await get(running, "/api/regions", Accept_Encoding=coding)
        assert packed.headers["Content-Encoding"] == coding
        assert packed.headers["ETag"] == plain.headers["ETag"]
        assert packed.headers["Vary"] == plain.headers["Vary"]
        assert packed.json() == plain.json()
        told = await get(running, "/api/regions", Accept_Encoding=coding, If_None_Match=packed.headers["ETag"])
        assert (told.status_code, told.content) == (304, b"")
    assert len(running.gateway.answers) == number + 3


async def test_a_page_of_another_origin_can_read_the_tag(running: Running) -> None:
    answer = await get(running, "/api/regions", Origin="https://explorer.example")
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]


async def test_private_answers_are_kept_for_all_who_may_read_and_for_nobody_else(
    start_gateway: StartGateway, database: Database
) -> None:
    private = {"legacy_reads_open": False, "anonymous_scopes": (), "jwt_secret": TOKEN_SECRET}
    running = await that_hears(await start_gateway(**private))
    ann, bob = (bearer(sub=name, scope="read") for name in ("ann", "bob"))
    tag = (await get(running, LASTING[0], **ann)).headers["ETag"]
    async with locked(database), asyncio.timeout(1):
        answer = await get(running, LASTING[0], **bob)
        told = await get(running, LASTING[0], **bob, If_None_Match=tag)
        refused = [
            await running.client.get(LASTING[0], headers={**shown, "If-None-Match": tag})
            for shown in ({}, bearer(sub="eve", scope="publish"))
        ]
    assert [answer.status_code, told.status_code] == [200, 304]
    for given in (answer, told):
        assert given.headers["Cache-Control"] == "private, no-store"
        assert "Authorization" in given.headers["Vary"]
    assert [refusal.status_code for refusal in refused] == [403, 403]
    assert all("ETag" not in refusal.headers for refusal in refused)


async def test_without_memory_everything_is_computed_and_clients_keep_it_all_the_same(
    start_gateway: StartGateway,
) -> None:
    running = await start_gateway(answer_cache_bytes=0)
    for path in (*LASTING, *OF_THE_PRESENT):
        first = await get(running, path, Accept_Encoding="gzip")
        again = await get(running, path, Accept_Encoding="gzip")
        assert (first.content, first.headers["ETag"]) == (again.content, again.headers["ETag"])
        assert (await get(running, path, If_None_Match=first.headers["ETag"])).status_code == 304
    assert counts(running) == {"kept": 0, "shared": 0, "computed": 3 * len((*LASTING, *OF_THE_PRESENT))}
    assert len(running.gateway.answers) == 0


async def test_both_doors_share_one_memory(start_gateway: StartGateway) -> None:
    running = await that_hears(await start_gateway(answer_cache_bytes=50_000))
    query = "query ($n: Int) { stats(first: $n) { nodes { id } } }"
    for number in range(100):
        await running.ask(query, n=number)
        await get(running, f"/api/pipelines?since={number}")
    assert 0 < running.gateway.answers.used_bytes <= 50_000
    assert 10 < len(running.gateway.answers) < 100
    assert await computed(running, "/api/pipelines?since=99") == 0
