"""The old URLs: every deliberate difference from the original, and what the recorded answers do not show."""

import asyncio
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from resolvers.signing import signature
from tests.harness import SECRET, Running, StartGateway

NODE = "0x10742714f33f3d804e3fa489618b5c3ca12a6df7"
RESULT = {"region": "FRA", "orchestrator": NODE, "success_rate": 1, "round_trip_time": 1, "seg_duration": 2}
AI = {"region": "FRA", "orchestrator": NODE, "success_rate": 1, "round_trip_time": 1, "model": "m", "pipeline": "p"}
READS = ["aggregated_stats", "raw_stats", "top_ai_score", "pipelines", "regions"]


async def get(running: Running, path: str, **query: Any) -> Any:
    answer = await running.client.get(f"/api/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def post(running: Running, **fields: Any) -> None:
    answer = await running.post_stat(**fields)
    assert (answer.status_code, answer.text) == (200, "ok")


@pytest.mark.parametrize(
    "path", ["aggregated_stats", "raw_stats?orchestrator=0x1", "top_ai_score?orchestrator=0x1", "pipelines"]
)
async def test_a_query_that_takes_too_long_is_unavailable_and_not_cached(
    start_gateway: StartGateway, connection: asyncpg.Connection, path: str
) -> None:
    running = await start_gateway(db_timeout="0.2s")
    async with connection.transaction():
        await connection.execute("LOCK TABLE podium.results, podium.orchestrators")
        answer = await running.client.get(f"/api/{path}")
    assert answer.status_code == 503
    assert answer.json() == {"error": "the database took too long"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "GET", "HEAD"])
async def test_only_post_stores_a_result(running: Running, connection: asyncpg.Connection, method: str) -> None:
    body = orjson.dumps(RESULT)
    headers = {"Authorization": signature(body, SECRET)}
    answer = await running.client.request(method, "/api/post_stats", content=body, headers=headers)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, OPTIONS"
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 0


async def test_options_answers_the_preflight_and_nothing_else(running: Running, connection: asyncpg.Connection) -> None:
    body = orjson.dumps(RESULT)
    headers = {"Authorization": signature(body, SECRET)}
    plain = await running.client.request("OPTIONS", "/api/post_stats", content=body, headers=headers)
    asked = {"Origin": "https://explorer.example", "Access-Control-Request-Method": "POST"}
    preflight = await running.client.options(
        "/api/post_stats", headers={**asked, "Access-Control-Request-Headers": "authorization"}
    )
    assert plain.status_code == 204
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 0


@pytest.mark.parametrize("path", READS)
async def test_reads_are_not_writable(running: Running, path: str) -> None:
    answer = await running.client.post(f"/api/{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_orchestrators_are_found_in_any_case(running: Running) -> None:
    await post(running, **{**AI, "orchestrator": "0xABcdEF"})
    for address in ("0xabcdef", "0XABCDEF", "0xABcdEF"):
        assert (await get(running, "top_ai_score", orchestrator=address))["orchestrator"] == "0xabcdef"
        assert list(await get(running, "aggregated_stats", job_type="ai", orchestrator=address)) == ["0xabcdef"]
        assert (await get(running, "raw_stats", job_type="ai", orchestrator=address))["FRA"]


async def test_an_ai_result_for_a_transcoding_region_is_refused(running: Running) -> None:
    answer = await running.post_stat(**{**AI, "region": "NYC"})
    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid region: NYC is not known for ai jobs"}


async def test_top_ai_score_needs_an_orchestrator(running: Running) -> None:
    answer = await running.client.get("/api/top_ai_score")
    assert (answer.status_code, answer.json()) == (400, {"error": "orchestrator is a required parameter"})


async def test_only_failures_score_zero(running: Running) -> None:
    await post(running, **{**AI, "success_rate": 0, "round_trip_time": 0})
    scores = (await get(running, "aggregated_stats", pipeline="p", model="m"))[NODE]["FRA"]
    assert scores == {"success_rate": 0, "round_trip_score": 0, "score": 0}


async def test_negative_values_are_refused_by_name(running: Running) -> None:
    answer = await running.post_stat(**{**RESULT, "round_trip_time": -1})
    assert answer.status_code == 400
    assert "round_trip_time" in answer.json()["error"]


async def test_a_pipeline_without_a_model_is_a_transcoding_result(running: Running) -> None:
    await post(running, **RESULT, pipeline="Text to image")
    assert (await get(running, "pipelines"))["pipelines"] == []
    assert (await get(running, "raw_stats", orchestrator=NODE))["FRA"][0]["pipeline"] == "Text to image"


@pytest.mark.parametrize(
    ("field", "value"), [("orchestrator", "0" * 57), ("orchestrator", "a\0"), ("orchestrator", "")]
)
async def test_an_impossible_orchestrator_is_refused_once(running: Running, field: str, value: str) -> None:
    answer = await running.post_stat(**{**RESULT, field: value})
    assert answer.status_code == 400
    assert field in answer.json()["error"]


async def test_a_success_rate_above_one_is_stored(running: Running) -> None:
    await post(running, **{**RESULT, "success_rate": 1.25})
    assert (await get(running, "raw_stats", orchestrator=NODE))["FRA"][0]["success_rate"] == 1.25


async def test_a_large_body_is_refused_before_it_is_read(running: Running) -> None:
    declared = await running.client.post("/api/post_stats", content=b"x" * (1 << 20) + b"x")

    async def chunks() -> Any:
        for _ in range(17):
            yield b"x" * (1 << 16)

    chunked = await running.client.post("/api/post_stats", content=chunks())
    assert declared.status_code == chunked.status_code == 413
    assert declared.json() == {"error": "the body is larger than 1048576 bytes"}


async def test_models_in_one_cell_are_scored_each_against_its_own_median(running: Running) -> None:
    for model, times in {"fast": (1, 2, 3), "slow": (100,)}.items():
        for time in times:
            await post(running, **{**AI, "model": model, "round_trip_time": time})
    scores = (await get(running, "aggregated_stats", job_type="ai"))[NODE]["FRA"]
    assert scores["round_trip_score"] == pytest.approx(0.8, rel=1e-9)
    assert scores["score"] == pytest.approx(0.65 + 0.35 * 0.8, rel=1e-9)


async def test_a_median_follows_the_region_and_not_the_orchestrator(running: Running) -> None:
    await post(running, **{**AI, "round_trip_time": 2})
    await post(running, **{**AI, "round_trip_time": 4, "orchestrator": "0x2"})
    await post(running, **{**AI, "round_trip_time": 9, "region": "LAX"})
    in_fra = await get(running, "aggregated_stats", pipeline="p", model="m", orchestrator=NODE, region="FRA")
    everywhere = await get(running, "aggregated_stats", pipeline="p", model="m", orchestrator=NODE)
    assert in_fra[NODE]["FRA"]["round_trip_score"] == pytest.approx(0.8 ** (2 / 3))
    assert everywhere[NODE]["FRA"]["round_trip_score"] == pytest.approx(0.8 ** (2 / 4))


async def test_error_texts_are_valid_json(running: Running) -> None:
    answer = await running.client.get("/api/pipelines", params={"since": '"quoted"\n'})
    assert answer.status_code == 400
    assert '"quoted"' in answer.json()["error"]


async def test_until_alone_means_everything_before(running: Running, connection: asyncpg.Connection) -> None:
    await post(running, **RESULT)
    await connection.execute("SELECT podium.create_results_partitions('2024-01-01Z', '2024-01-02Z')")
    await connection.execute("UPDATE podium.results SET recorded_at = '2024-01-01Z'")
    assert await get(running, "raw_stats", orchestrator=NODE) == {}
    assert await get(running, "raw_stats", orchestrator=NODE, until="1704067200")
    assert await get(running, "raw_stats", orchestrator=NODE, until="1704067199.999999") == {}
    assert await get(running, "raw_stats", orchestrator=NODE, since="1704067200", until="1.7040672e9")


async def test_errors_may_be_plain_strings(running: Running) -> None:
    await post(running, **RESULT, errors=["Timeout"])
    assert (await get(running, "raw_stats", orchestrator=NODE))["FRA"][0]["errors"] == [
        {"error_code": "Timeout", "count": 1}
    ]


async def test_without_a_secret_posts_are_refused_and_reads_work(start_gateway: StartGateway) -> None:
    running = await start_gateway(secret=None)
    answer = await running.post_stat(**RESULT)
    assert (answer.status_code, answer.json()["error"]) == (403, "posting is disabled: this server has no SECRET")
    assert await get(running, "aggregated_stats") == {}


async def test_the_previous_key_still_signs(start_gateway: StartGateway) -> None:
    running = await start_gateway(secret="new", secret_previous=SECRET)
    await post(running, **RESULT)


async def test_transcoding_scores_have_both_sets_of_names(running: Running) -> None:
    await post(running, **RESULT)
    await post(running, **AI)
    scores = (await get(running, "aggregated_stats"))[NODE]["FRA"]
    assert scores["total_score"] == scores["score"]
    assert scores["latency_score"] == scores["round_trip_score"]
    assert "total_score" not in (await get(running, "aggregated_stats", pipeline="p", model="m"))[NODE]["FRA"]


async def test_raw_stats_of_a_pipeline_has_all_its_models(running: Running) -> None:
    await post(running, **AI)
    await post(running, **{**AI, "model": "other"})
    found = await get(running, "raw_stats", orchestrator=NODE, pipeline="p")
    assert [result["model"] for result in found["FRA"]] == ["other", "m"]


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize(
    "value", ["nan", "inf", "1e300", "-1e300", "0x10", "1_0", " 1 2", "\u0661", "1e", "9224318016000"]
)
async def test_a_time_that_is_none_is_refused_by_name(running: Running, name: str, value: str) -> None:
    answer = await running.client.get("/api/aggregated_stats", params={name: value})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{name}:")
    assert answer.headers["cache-control"] == "public, max-age=30, stale-while-revalidate=15"


@pytest.mark.parametrize("value", ["1e12", "-210866803200", "9224318015999", "+5", ".5", "5.", "1E3"])
async def test_every_time_that_postgres_can_hold_is_one(running: Running, value: str) -> None:
    await get(running, "aggregated_stats", since=value)
    await get(running, "aggregated_stats", until=value)


async def test_the_first_of_repeated_parameters_counts(running: Running) -> None:
    await post(running, **RESULT)
    answer = await running.client.get(f"/api/raw_stats?orchestrator={NODE}&orchestrator=0x2&region=&region=LON")
    assert list(answer.json()) == ["FRA"]


async def test_a_region_added_beside_is_known_at_once_for_posts(
    running: Running, connection: asyncpg.Connection
) -> None:
    await get(running, "regions")
    await connection.execute("INSERT INTO podium.regions (code, job_type, name) VALUES ('NEW', 'transcoding', 'New')")
    await post(running, **{**RESULT, "region": "NEW"})
    assert any(region["id"] == "NEW" for region in (await get(running, "regions"))["regions"])


async def test_simultaneous_posts_are_all_stored_once(running: Running, connection: asyncpg.Connection) -> None:
    posts = [
        running.post_stat(**{**RESULT, "timestamp": number, "orchestrator": f"0x{number % 7}"}) for number in range(300)
    ]
    assert {answer.text for answer in await asyncio.gather(*posts)} == {"ok"}
    stored = await connection.fetch("SELECT timestamp FROM podium.results")
    assert sorted(row["timestamp"] for row in stored) == list(range(300))


async def test_a_post_is_stored_as_it_came(running: Running) -> None:
    sent = {
        **AI,
        "errors": [{"error_code": "Slow", "message": "very", "count": 2}],
        "timestamp": 1726864722,
        "seg_duration": 2.08,
        "segments_sent": 15,
        "segments_received": 30,
        "upload_time": 0.1,
        "download_time": 0.2,
        "transcode_time": 0.3,
        "model_is_warm": True,
        "input_parameters": '{"width": 512}',
        "response_payload": '{"images":[]}\n',
    }
    await post(running, **sent)
    assert await get(running, "raw_stats", orchestrator=NODE, job_type="ai") == {"FRA": [sent]}


async def test_a_path_of_another_case_or_end_is_not_found(running: Running) -> None:
    for path in ("/api/", "/api/REGIONS", "/api/regions/", "/api/regions/x"):
        answer = await running.client.get(path)
        assert (answer.status_code, answer.text.strip()) == (404, "404 page not found")


async def test_answers_are_compressed_when_the_client_takes_it(running: Running) -> None:
    for encoding in ("gzip", "br", "zstd"):
        async with running.client.stream("GET", "/api/regions", headers={"Accept-Encoding": encoding}) as answer:
            assert answer.headers["content-encoding"] == encoding
    plain: httpx.Response = await running.client.get("/api/regions", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
