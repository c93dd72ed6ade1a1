"""The graph: what it answers, and that the old URLs answer the same."""

from collections import defaultdict
from typing import Any

import asyncpg
import orjson
import pytest

from tests.harness import Running

NODES = [f"0x{number:040x}" for number in range(1, 5)]
STATS = """query ($first: Int, $after: String, $last: Int, $before: String, $order: StatOrder! = RECORDED_AT_DESC) {
  stats(first: $first, after: $after, last: $last, before: $before, orderBy: $order) {
    totalCount nodes { id roundTripTime } edges { cursor }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


@pytest.fixture
async def filled(running: Running) -> Running:
    """Forty results of four nodes, of both kinds."""
    for number in range(40):
        result = {
            "region": ("FRA", "LAX", "MDW")[number % 3],
            "orchestrator": NODES[number % 4],
            "success_rate": (1, 1, 0.5, 0)[number % 4] if number % 5 else 1,
            "round_trip_time": 1 + number / 10,
            "errors": [{"error_code": "Timeout", "count": 1}] if number % 4 == 3 else [],
            "timestamp": 1726864722,
        }
        ai = {"pipeline": f"P{number % 2}", "model": f"m{number % 3}", "model_is_warm": number % 8 == 0}
        times = {"seg_duration": 2, "upload_time": 0.1 * number}
        answer = await running.post_stat(**result, **(times if number % 2 else ai))
        assert answer.text == "ok"
    return running


@pytest.mark.parametrize("job_type", ["transcoding", "ai"])
@pytest.mark.parametrize("region", [None, "fra"])
async def test_both_doors_answer_the_same_aggregates(filled: Running, job_type: str, region: str | None) -> None:
    query = """query ($filter: StatFilter) { aggregates(filter: $filter, first: 1000) { nodes {
      orchestrator { address } region { code } successRate roundTripScore score } } }"""
    wanted = {"jobType": job_type.upper(), **({"region": {"in": [region]}} if region else {})}
    nodes = (await filled.ask(query, filter=wanted))["aggregates"]["nodes"]
    graph: dict[str, dict[str, Any]] = defaultdict(dict)
    for node in nodes:
        names = {"success_rate": "successRate", "round_trip_score": "roundTripScore", "score": "score"}
        scores = {name: node[field] for name, field in names.items()}
        graph[node["orchestrator"]["address"]][node["region"]["code"]] = scores
    parameters = {"job_type": job_type, **({"region": region} if region else {})}
    rest = (await filled.client.get("/api/aggregated_stats", params=parameters)).json()
    legacy = ("total_score", "latency_score")
    plain = {o: {r: {k: v for k, v in s.items() if k not in legacy} for r, s in c.items()} for o, c in rest.items()}
    assert plain == graph
    assert plain


async def test_both_doors_answer_the_same_results(filled: Running) -> None:
    query = """query ($node: String!) { stats(filter: { orchestrator: { in: [$node] }, jobType: TRANSCODING }) { nodes {
      region { code } orchestrator { address } successRate roundTripTime segDuration uploadTime
      errors { errorCode count }
    } } }"""
    nodes = (await filled.ask(query, node=NODES[1].upper()))["stats"]["nodes"]
    graph: dict[str, list[Any]] = defaultdict(list)
    for node in nodes:
        graph[node["region"]["code"]].append(
            {
                "region": node["region"]["code"],
                "orchestrator": node["orchestrator"]["address"],
                "success_rate": node["successRate"],
                "round_trip_time": node["roundTripTime"],
                "seg_duration": node["segDuration"],
                "upload_time": node["uploadTime"],
                "errors": [{"error_code": e["errorCode"], "count": e["count"]} for e in node["errors"]],
                "timestamp": 1726864722,
            }
        )
    assert (await filled.client.get("/api/raw_stats", params={"orchestrator": NODES[1]})).json() == graph


async def test_both_doors_answer_the_same_pipelines_and_top_scores(filled: Running) -> None:
    data = await filled.ask("{ pipelines { id: name models regions { code } } }")
    graph = [{**p, "regions": [region["code"] for region in p["regions"]]} for p in data["pipelines"]]
    assert (await filled.client.get("/api/pipelines")).json() == {"pipelines": graph}
    query = """query ($o: String!) {
      topAiScore(orchestrator: $o) { value pipeline model region { code } orchestrator { address } } }"""
    top = (await filled.ask(query, o=NODES[0]))["topAiScore"]
    rest = (await filled.client.get("/api/top_ai_score", params={"orchestrator": NODES[0]})).json()
    assert rest == {**top, "region": top["region"]["code"], "orchestrator": top["orchestrator"]["address"]}
    assert (await filled.ask(query, o="0xunknown"))["topAiScore"] is None


@pytest.mark.parametrize("order", ["RECORDED_AT_DESC", "RECORDED_AT_ASC"])
@pytest.mark.parametrize("size", [1, 7, 40, 100])
async def test_pages_walk_the_whole_list_in_both_directions(filled: Running, order: str, size: int) -> None:
    whole = (await filled.ask(STATS, first=1000, order=order))["stats"]["nodes"]
    times = [node["roundTripTime"] for node in whole]
    assert times == sorted(times, reverse=order.endswith("DESC"))
    forwards, after, more = [], None, True
    while more:
        page = (await filled.ask(STATS, first=size, after=after, order=order))["stats"]
        forwards += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    backwards, before, more = [], None, True
    while more:
        page = (await filled.ask(STATS, last=size, before=before, order=order))["stats"]
        backwards = page["nodes"] + backwards
        before, more = page["pageInfo"]["startCursor"], page["pageInfo"]["hasPreviousPage"]
    assert forwards == backwards == whole
    assert page["totalCount"] == 40


async def test_a_page_stays_where_it_was_while_results_arrive(filled: Running) -> None:
    first = (await filled.ask(STATS, first=10))["stats"]
    rest_before = (await filled.ask(STATS, first=100, after=first["pageInfo"]["endCursor"]))["stats"]["nodes"]
    await filled.post_stat(region="FRA", orchestrator=NODES[0], success_rate=1, round_trip_time=99)
    rest_after = (await filled.ask(STATS, first=100, after=first["pageInfo"]["endCursor"]))["stats"]["nodes"]
    assert rest_after == rest_before
    assert len(rest_before) == 30


AGGREGATES = """query (
  $by: [Dimension!], $order: [AggregateOrder!], $first: Int, $after: String, $last: Int, $before: String
) {
  aggregates(groupBy: $by, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { samples score successRate pipeline model jobType orchestrator { address } region { code } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


@pytest.mark.parametrize(
    "order", [None, ["SCORE_DESC"], ["SAMPLES_ASC", "LAST_AT_DESC"], ["SUCCESS_RATE_DESC", "SCORE_ASC"]]
)
async def test_groups_are_paged_in_their_order(filled: Running, order: list[str] | None) -> None:
    by = ["ORCHESTRATOR", "REGION", "MODEL"]
    whole = (await filled.ask(AGGREGATES, by=by, order=order, first=1000))["aggregates"]
    paged, after, more = [], None, True
    while more:
        page = (await filled.ask(AGGREGATES, by=by, order=order, first=5, after=after))["aggregates"]
        paged += page["nodes"]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    last = (await filled.ask(AGGREGATES, by=by, order=order, last=5))["aggregates"]
    assert paged == whole["nodes"]
    assert last["nodes"] == whole["nodes"][-5:]
    assert (whole["totalCount"], len(paged), last["pageInfo"]["hasPreviousPage"]) == (len(paged), len(paged), True)
    if order == ["SCORE_DESC"]:
        scores = [node["score"] for node in paged]
        assert scores == sorted(scores, reverse=True)


async def test_a_group_of_several_cells_has_their_weighted_mean(filled: Running) -> None:
    cells = await filled.ask(AGGREGATES, by=["ORCHESTRATOR", "REGION", "JOB_TYPE", "PIPELINE", "MODEL"], first=1000)
    (total,) = (await filled.ask(AGGREGATES, by=[]))["aggregates"]["nodes"]
    nodes = cells["aggregates"]["nodes"]
    assert total["samples"] == sum(node["samples"] for node in nodes) == 40
    mean = sum(node["score"] * node["samples"] for node in nodes) / 40
    assert total["score"] == pytest.approx(mean, rel=1e-12)
    assert [total[name] for name in ("pipeline", "model", "jobType", "orchestrator", "region")] == [None] * 5


async def test_distributions_are_those_of_the_single_results(filled: Running) -> None:
    query = """{ aggregates(groupBy: []) { nodes {
      roundTripTime { mean min max p50 p95 p99 } uploadTime { min } transcodeTime { min } } } }"""
    (node,) = (await filled.ask(query))["aggregates"]["nodes"]
    expected = {"mean": 2.95, "min": 1, "max": 4.9, "p50": 2.95, "p95": 4.705, "p99": 4.861}
    assert node["roundTripTime"] == pytest.approx(expected)
    assert node["uploadTime"]["min"] == pytest.approx(0.1)
    assert node["transcodeTime"] is None


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 40),
        ({"jobType": "AI"}, 20),
        ({"orchestrator": {"in": [NODES[0], NODES[1].upper()]}}, 20),
        ({"orchestrator": {"in": []}}, 0),
        ({"region": {"in": ["lax"]}}, 13),
        ({"pipeline": {"in": ["P0"]}}, 20),
        ({"pipeline": {"in": ["P1"]}}, 0),
        ({"model": {"in": ["m0", "m2"]}}, 14),
        ({"successRate": {"min": 1}}, 24),
        ({"successRate": {"max": 0.5}}, 16),
        ({"roundTripTime": {"min": 2, "max": 2.5}}, 6),
        ({"errorCode": {"in": ["Timeout", "x"]}}, 10),
        ({"modelIsWarm": True}, 5),
        ({"modelIsWarm": False}, 35),
        ({"during": {"last": "1h"}}, 40),
        ({"during": {"since": "2020-01-01T00:00:00Z", "until": "2021-01-01T00:00:00Z"}}, 0),
        ({"jobType": "AI", "region": {"in": ["FRA"]}, "successRate": {"min": 0.9}}, 5),
    ],
)
async def test_filters_hold_together(filled: Running, wanted: dict[str, Any], count: int) -> None:
    query = "query ($f: StatFilter) { stats(filter: $f) { totalCount nodes { id } } }"
    stats = (await filled.ask(query, f=wanted))["stats"]
    assert (stats["totalCount"], len(stats["nodes"])) == (count, count)


async def test_everything_is_found_again_by_its_id(filled: Running) -> None:
    data = await filled.ask("{ regions { id } orchestrators { nodes { id } } stats(first: 3) { nodes { id } } }")
    ids = [region["id"] for region in data["regions"][:2]]
    ids += [node["id"] for name in ("orchestrators", "stats") for node in data[name]["nodes"]]
    for id_ in ids:
        query = (
            "query ($id: ID!) { node(id: $id) { id __typename ... on Stat { successRate } ... on Region { code } } }"
        )
        assert (await filled.ask(query, id=id_))["node"]["id"] == id_


@pytest.mark.parametrize("id_", ["", "x", "WyJTdGF0IiwxXQ", "WyJSZWdpb24iXQ", "W10", "e30"])
async def test_a_foreign_id_is_refused(running: Running, id_: str) -> None:
    (error,) = (await running.answer("query ($id: ID!) { node(id: $id) { id } }", id=id_))["errors"]
    assert error["extensions"] == {"code": "INVALID_ARGUMENT", "field": "id"}


async def test_an_object_that_is_gone_is_null(filled: Running, connection: asyncpg.Connection) -> None:
    id_ = (await filled.ask("{ stats(first: 1) { nodes { id } } }"))["stats"]["nodes"][0]["id"]
    await connection.execute("DELETE FROM podium.results")
    assert (await filled.ask("query ($id: ID!) { node(id: $id) { id } }", id=id_))["node"] is None


async def test_many_nodes_need_no_more_statements_than_one(filled: Running) -> None:
    query = """query ($n: Int) {
      orchestrators(first: $n) { nodes { aggregates(groupBy: []) { samples score roundTripTime { p95 } } } }
      stats(first: $n) { nodes { orchestrator { address } region { name } } }
    }"""
    asked: list[str] = []
    fetch = filled.gateway.db.read.fetch

    async def counted(statement: Any, **parameters: Any) -> Any:
        asked.append(statement.name)
        return await fetch(statement, **parameters)

    filled.gateway.db.read.fetch = counted  # type: ignore[method-assign]  # counts, and goes on as before
    await filled.ask(query, n=1)
    for_one, asked = asked, []
    data = await filled.ask(query, n=40)
    assert [node["aggregates"][0]["samples"] for node in data["orchestrators"]["nodes"]] == [10] * 4
    assert sorted(asked) == sorted(for_one)


async def test_results_are_recorded_together(running: Running) -> None:
    query = """mutation ($results: [StatInput!]!) { recordStats(results: $results) {
      stats { id roundTripTime reportedAt pipeline errors { errorCode message count } region { code jobType } }
      errors { index field code message } } }"""
    results = [
        {"region": "FRA", "orchestrator": "0xAB", "roundTripTime": 1.5, "reportedAt": "2024-09-20T20:38:42Z"},
        {
            "region": "LAX",
            "orchestrator": "0xcd",
            "pipeline": "P",
            "model": "m",
            "errors": [{"errorCode": "E", "count": 2}],
        },
    ]
    payload = (await running.ask(query, results=results))["recordStats"]
    assert payload["errors"] == []
    first, second = payload["stats"]
    assert (first["roundTripTime"], first["reportedAt"]) == (1.5, "2024-09-20T20:38:42Z")
    assert second["errors"] == [{"errorCode": "E", "message": None, "count": 2}]
    assert (second["pipeline"], second["region"]) == ("P", {"code": "LAX", "jobType": "AI"})
    assert (await running.ask('{ orchestrator(address: "0xAb") { address } }'))["orchestrator"]["address"] == "0xab"


async def test_one_wrong_result_stores_none_and_is_named(running: Running) -> None:
    query = """mutation ($results: [StatInput!]!) { recordStats(results: $results) {
      stats { id } errors { index field code message } } }"""
    results = [
        {"region": "FRA", "orchestrator": "0xab"},
        {"region": "NOWHERE", "orchestrator": "0xab"},
        {"region": "FRA", "orchestrator": "0xab", "roundTripTime": -1},
    ]
    payload = (await running.ask(query, results=results))["recordStats"]
    assert payload["stats"] == []
    assert [(e["index"], e["field"], e["code"]) for e in payload["errors"]] == [
        (1, "region", "INVALID_REGION"),
        (2, "roundTripTime", "INVALID_ARGUMENT"),
    ]
    assert (await running.ask("{ stats { totalCount } }"))["stats"]["totalCount"] == 0


async def test_recording_needs_the_signature_of_the_body(running: Running) -> None:
    query = 'mutation { recordStats(results: [{ region: "FRA", orchestrator: "0x1" }]) { stats { id } } }'
    body = orjson.dumps({"query": query})
    headers = {"Content-Type": "application/json", "Authorization": "0" * 64}
    answer = (await running.client.post("/graphql", content=body, headers=headers)).json()
    assert answer["data"] is None
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_too_many_results_at_once_are_refused(running: Running) -> None:
    query = "mutation ($results: [StatInput!]!) { recordStats(results: $results) { stats { id } } }"
    answer = await running.answer(query, results=[{"region": "FRA", "orchestrator": "0x1"}] * 1001)
    assert answer["errors"][0]["message"] == "results: at most 1000 at once, not 1001"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("{ stats(first: 1001) { totalCount } }", "first"),
        ('{ stats(after: "x") { nodes { id } } }', "after"),
        ('{ stats(after: "W10") { nodes { id } } }', "after"),
        ('{ stats(after: "WzksOTk5OTk5OTk5OTk5OTk5OTk5OTk5XQ") { nodes { id } } }', "after"),
        ('{ aggregates(after: "WzFd", orderBy: [SCORE_DESC]) { nodes { score } } }', "after"),
        ('{ orchestrators(after: "WzFd") { nodes { id } } }', "after"),
        ('{ pipelines(during: { last: "1h", since: "2020-01-01T00:00:00Z" }) { name } }', "during"),
    ],
)
async def test_a_question_that_cannot_be_answered_names_its_field(filled: Running, query: str, field: str) -> None:
    (error,) = (await filled.answer(query))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_ARGUMENT", field)


async def test_the_service_tells_what_it_is(running: Running) -> None:
    service = (await running.ask("{ service { version defaultWindow postingEnabled limits { maxPage maxResults } } }"))[
        "service"
    ]
    assert service["defaultWindow"] == "1d"
    assert service["postingEnabled"]
    assert service["limits"] == {"maxPage": 1000, "maxResults": 1000}
