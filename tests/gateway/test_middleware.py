"""What every request passes."""

from tests.harness import Running, StartGateway


async def test_a_request_id_is_given_or_honoured(running: Running) -> None:
    given = await running.client.get("/livez", headers={"X-Request-Id": "abc-123"})
    made = await running.client.get("/livez")
    strange = await running.client.get("/livez", headers={"X-Request-Id": "a b\tc" + "x" * 200})
    assert given.headers["x-request-id"] == "abc-123"
    assert len(made.headers["x-request-id"]) == len(strange.headers["x-request-id"]) == 16
    assert made.headers["x-request-id"] != strange.headers["x-request-id"]


async def test_requests_are_counted_by_route_and_status(running: Running) -> None:
    await running.client.get("/api/regions")
    await running.client.get("/api/nothing/at/all")
    await running.client.get("/elsewhere")
    await running.client.request("PROPFIND", "/api/regions")
    await running.post_stat(region="NOWHERE")
    await running.post_stat(region="FRA", orchestrator="0x1")
    metrics = (await running.client.get("/metrics")).text
    for line in (
        'podium_http_requests_total{method="GET",route="/api/regions",status="200"} 1.0',
        'podium_http_requests_total{method="GET",route="/api/{path:path}",status="404"} 1.0',
        'podium_http_requests_total{method="GET",route="other",status="404"} 1.0',
        'podium_http_requests_total{method="other",route="/api/regions",status="405"} 1.0',
        'podium_results_refused_total{reason="INVALID_REGION"} 1.0',
        "podium_results_stored_total 1.0",
        "podium_results_waiting 0.0",
    ):
        assert line in metrics
    assert 'podium_http_request_duration_seconds_bucket{le="0.001",route="/api/regions"}' in metrics
    assert 'podium_write_pool_connections{state="idle"}' in metrics


async def test_health_is_told(running: Running) -> None:
    assert (await running.client.get("/livez")).text == "ok"
    assert (await running.client.get("/readyz")).text == "ok"
    running.gateway.draining = True
    draining = await running.client.get("/readyz")
    assert (draining.status_code, draining.json()) == (503, {"error": "this server is stopping"})
    assert (await running.client.get("/livez")).status_code == 200


async def test_browsers_of_other_origins_may_ask(running: Running) -> None:
    answer = await running.client.get("/livez", headers={"Origin": "https://explorer.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_origins_may_be_named(start_gateway: StartGateway) -> None:
    running = await start_gateway(cors_origins="https://a.example, https://b.example")
    named = await running.client.get("/livez", headers={"Origin": "https://b.example"})
    other = await running.client.get("/livez", headers={"Origin": "https://c.example"})
    assert named.headers["access-control-allow-origin"] == "https://b.example"
    assert "access-control-allow-origin" not in other.headers


async def test_a_mistake_of_ours_is_masked(running: Running) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://user:secret@host")

    running.gateway.db.read.fetch = broken  # type: ignore[method-assign]
    rest = await running.client.get("/api/aggregated_stats")
    graph = await running.answer("{ aggregates { totalCount } }")
    assert (rest.status_code, rest.json()) == (500, {"error": "internal error"})
    assert graph["errors"][0]["message"] == "internal error"
    assert graph["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "secret" not in rest.text + str(graph)
    assert "podium_internal_errors_total 2.0" in (await running.client.get("/metrics")).text
