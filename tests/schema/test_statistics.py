"""Series, leaderboards, failures and coverage as the graph shows them."""

from typing import Any

import pytest

from tests.harness import Running

NODES = [f"0x{number:040x}" for number in range(1, 4)]
AI = {"pipeline": "Text to image", "model": "m"}


@pytest.fixture
async def filled(running: Running) -> Running:
    """Three nodes: a good one, one that fails half of the time, and one that was only ever tested for AI, in vain."""
    for number in range(8):
        good = {"success_rate": 1, "round_trip_time": 0.5, "seg_duration": 2, "upload_time": 0.1}
        bad = {"success_rate": 0, "errors": [{"error_code": "Timeout", "count": 2}]}
        await running.post_stat(region="FRA", orchestrator=NODES[0], **good)
        await running.post_stat(region="FRA", orchestrator=NODES[1], **(bad if number % 2 else good))
    await running.post_stat(region="LAX", orchestrator=NODES[2], success_rate=0, **AI)
    return running


async def test_a_series_has_flat_rows_for_a_panel(filled: Running) -> None:
    query = """{ series(bucket: HOUR, groupBy: [ORCHESTRATOR],
      filter: { jobType: TRANSCODING, during: { last: "6h" } }) {
      label orchestrator { address } region { code } points { at until label samples score successRate
        roundTripTime { mean p95 standardDeviation } uploadTime { max } downloadTime { max } } } }"""
    lines = (await filled.ask(query))["series"]
    assert [line["label"] for line in lines] == NODES[:2]
    assert [line["orchestrator"]["address"] for line in lines] == NODES[:2]
    for line in lines:
        points = line["points"]
        assert len(points) in (6, 7)
        assert [point["until"] for point in points[:-1]] == [point["at"] for point in points[1:]]
        assert all(point["at"].endswith(":00:00Z") for point in points)
        assert {point["label"] for point in points} == {line["label"]}
        assert sum(point["samples"] for point in points) == 8
        for point in points:
            is_empty = point["samples"] == 0
            assert (point["score"] is None) == (point["roundTripTime"] is None) == is_empty
            assert point["downloadTime"] is None
    newest = lines[0]["points"][-1] if lines[0]["points"][-1]["samples"] else lines[0]["points"][-2]
    assert newest["roundTripTime"] == {"mean": 0.5, "p95": 0.5, "standardDeviation": 0}
    assert newest["uploadTime"] == {"max": 0.1}


async def test_a_series_without_dimensions_is_one_line(running: Running) -> None:
    query = """{ series(filter: { during: { since: "2026-03-28T00:00:00Z", until: "2026-03-31T00:00:00Z" } },
      bucket: DAY, timeZone: "Europe/Berlin") { label points { at samples score } } }"""
    (line,) = (await running.ask(query))["series"]
    assert line["label"] == "all"
    assert [point["at"][:16] for point in line["points"]] == [
        "2026-03-27T23:00",
        "2026-03-28T23:00",
        "2026-03-29T22:00",
        "2026-03-30T22:00",
    ]
    assert {(point["samples"], point["score"]) for point in line["points"]} == {(0, None)}


async def test_a_leaderboard_ranks_its_orchestrators(filled: Running) -> None:
    query = """query ($order: LeaderboardOrder!, $first: Int) {
      leaderboard(jobType: TRANSCODING, region: "fra", orderBy: $order, first: $first) {
        rank score lowerBound samples successRate roundTripScore meanRoundTripTime rankChange scoreChange
        orchestrator { address } } }"""
    standings = (await filled.ask(query, order="SCORE"))["leaderboard"]
    assert [(s["rank"], s["orchestrator"]["address"], s["samples"]) for s in standings] == [
        (1, NODES[0], 8),
        (2, NODES[1], 8),
    ]
    assert all(s["lowerBound"] < s["score"] for s in standings)
    assert {(s["rankChange"], s["scoreChange"]) for s in standings} == {(None, None)}
    assert len((await filled.ask(query, order="LOWER_BOUND", first=1))["leaderboard"]) == 1
    empty = '{ leaderboard(jobType: AI, pipeline: "none", model: "none", during: { last: "1h" }) { rank } }'
    assert (await filled.ask(empty))["leaderboard"] == []


async def test_failures_tell_why(filled: Running) -> None:
    query = """{ failures { orchestrator { address } samples failures share lastAt region { code }
      codes { errorCode results count share lastAt } } }"""
    groups = (await filled.ask(query))["failures"]
    assert [(g["orchestrator"]["address"], g["samples"], g["failures"], g["share"]) for g in groups] == [
        (NODES[1], 8, 4, 0.5),
        (NODES[2], 1, 1, 1.0),
    ]
    assert [(c["errorCode"], c["results"], c["count"], c["share"]) for c in groups[0]["codes"]] == [
        ("Timeout", 4, 8, 1.0)
    ]
    assert [(c["errorCode"], c["results"], c["count"]) for c in groups[1]["codes"]] == [(None, 1, 1)]
    by_region = await filled.ask("{ failures(groupBy: [REGION, JOB_TYPE]) { region { code } jobType failures } }")
    assert [(g["region"]["code"], g["jobType"], g["failures"]) for g in by_region["failures"]] == [
        ("FRA", "TRANSCODING", 4),
        ("LAX", "AI", 1),
    ]


async def test_counts_of_errors_stay_numbers_however_large(running: Running) -> None:
    for _ in range(2):
        await running.post_stat(
            region="FRA", orchestrator="0x1", success_rate=0, errors=[{"error_code": "E", "count": 2**31 - 1}]
        )
    (group,) = (await running.ask("{ failures { codes { results count } } }"))["failures"]
    assert group["codes"] == [{"results": 2, "count": 2**31 - 1}]


async def test_the_aggregates_of_a_node_obey_their_whole_filter(filled: Running) -> None:
    query = """query ($named: [String!]!) { orchestrators { nodes { address
      aggregates(filter: { orchestrator: { in: $named } }, groupBy: []) { samples roundTripTime { mean } } } } }"""
    nodes = (await filled.ask(query, named=[NODES[1].upper()]))["orchestrators"]["nodes"]
    assert [[group["samples"] for group in node["aggregates"]] for node in nodes] == [[], [8], []]


async def test_a_list_in_a_filter_has_a_bound(running: Running) -> None:
    query = "query ($named: [String!]!) { stats(filter: { orchestrator: { in: $named } }) { totalCount } }"
    assert (await running.ask(query, named=["0x1"] * 1000))["stats"]["totalCount"] == 0
    (error,) = (await running.answer(query, named=["0x1"] * 1001))["errors"]
    assert error["extensions"] == {"code": "INVALID_ARGUMENT", "field": "orchestrator"}


async def test_coverage_says_why_a_node_is_not_scored(filled: Running) -> None:
    query = """query ($address: String) { coverage(orchestrator: $address) { address orchestrator { address }
      cells { status samples lastAt jobType pipeline model region { code } } missing { status } } }"""
    (one,) = (await filled.ask(query, address=NODES[2].upper().replace("X", "x")))["coverage"]
    cells = {(c["region"]["code"], c["jobType"], c["pipeline"], c["status"], c["samples"]) for c in one["cells"]}
    assert cells == {("FRA", "TRANSCODING", None, "NEVER", 0), ("LAX", "AI", "Text to image", "FAILING", 1)}
    assert len(one["missing"]) == 2
    (unknown,) = (await filled.ask(query, address="0xunknown"))["coverage"]
    assert (unknown["address"], unknown["orchestrator"]) == ("0xunknown", None)
    assert {cell["status"] for cell in unknown["cells"]} == {"NEVER"}
    everybody = (await filled.ask(query))["coverage"]
    assert [found["address"] for found in everybody] == NODES
    assert everybody[0]["cells"][0]["status"] == "SCORED"


async def test_groups_may_have_bounds(filled: Running) -> None:
    query = """query ($having: AggregateHaving) {
      aggregates(groupBy: [ORCHESTRATOR], having: $having) { totalCount nodes { orchestrator { address } } } }"""
    for having, addresses in (
        ({"samples": {"min": 2}}, NODES[:2]),
        ({"successRate": {"max": 0.5}}, NODES[1:]),
        ({"samples": {"min": 2}, "roundTripTime": {"max": 0.3}, "score": {"min": 0.1}}, NODES[1:2]),
        ({"roundTripScore": {"min": 2}}, []),
    ):
        groups = (await filled.ask(query, having=having))["aggregates"]
        assert [node["orchestrator"]["address"] for node in groups["nodes"]] == addresses
        assert groups["totalCount"] == len(addresses)


@pytest.mark.parametrize("by", [["REGION", "ORCHESTRATOR"], ["ORCHESTRATOR", "REGION"], ["JOB_TYPE", "ORCHESTRATOR"]])
async def test_groups_follow_the_dimension_that_is_grouped_by_first(filled: Running, by: list[str]) -> None:
    await filled.post_stat(region="LAX", orchestrator=NODES[0], success_rate=1)
    query = """query ($by: [Dimension!]) { aggregates(groupBy: $by) { nodes {
      REGION: region { code } ORCHESTRATOR: orchestrator { address } JOB_TYPE: jobType } } }"""
    nodes = (await filled.ask(query, by=by))["aggregates"]["nodes"]
    keys = [[str(node[dimension]) for dimension in by] for node in nodes]
    assert len(keys) > 2
    assert keys == sorted(keys, key=lambda key: [part.lower() for part in key])


async def test_orchestrators_are_found_by_what_they_were_tested_for(filled: Running) -> None:
    query = """query ($filter: OrchestratorFilter) { orchestrators(filter: $filter, orderBy: ADDRESS_DESC, last: 5) {
      totalCount nodes { address } } }"""
    for wanted, addresses in (
        ({"tested": {"jobType": "AI"}}, NODES[2:]),
        ({"tested": {"region": {"in": ["fra"]}, "successRate": {"max": 0}}}, NODES[1:2]),
        ({"addressContains": "00003", "firstSeen": {"last": "1h"}}, NODES[2:]),
        ({"address": {"in": NODES[:2]}}, NODES[1::-1]),
    ):
        found = (await filled.ask(query, filter=wanted))["orchestrators"]
        assert [node["address"] for node in found["nodes"]] == addresses
        assert found["totalCount"] == len(addresses)


@pytest.mark.parametrize(
    "order", ["ROUND_TRIP_TIME_DESC", "ROUND_TRIP_TIME_ASC", "SUCCESS_RATE_DESC", "SUCCESS_RATE_ASC"]
)
async def test_single_results_are_ordered_by_value(filled: Running, order: str) -> None:
    query = """query ($order: StatOrder!, $after: String) { stats(orderBy: $order, first: 5, after: $after) {
      nodes { id roundTripTime successRate } pageInfo { hasNextPage endCursor } } }"""
    walked: list[dict[str, Any]] = []
    after, more = None, True
    while more:
        page = (await filled.ask(query, order=order, after=after))["stats"]
        walked, after, more = walked + page["nodes"], page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    name = "roundTripTime" if order.startswith("ROUND") else "successRate"
    values = [node[name] for node in walked]
    assert values == sorted(values, reverse=order.endswith("DESC"))
    assert len({node["id"] for node in walked}) == 17


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ('{ series(bucket: HOUR, timeZone: "Mars") { label } }', "timeZone"),
        ('{ series(bucket: MINUTE, filter: { during: { last: "30d" } }) { label } }', "bucket"),
        ('{ aggregates(after: "WyJzY29yZS0gcmVnaW9uIiwwLjUsIkZSQSJd") { totalCount } }', "after"),
        ('{ series(bucket: DAY, filter: { during: { until: "2026-01-01T00:00:00Z" } }) { label } }', "during"),
        ("{ leaderboard(jobType: AI, first: 1001) { rank } }", "first"),
        ("{ failures(first: -1) { share } }", "first"),
        ("{ coverage(first: 1001) { address } }", "first"),
        ('{ stats(orderBy: SUCCESS_RATE_ASC, after: "WzEsMV0") { totalCount } }', "after"),
        (
            '{ orchestrators(filter: { firstSeen: { last: "1h", until: "2026-01-01T00:00:00Z" } }) { totalCount } }',
            "firstSeen",
        ),
    ],
)
async def test_a_question_that_cannot_be_answered_names_its_field(running: Running, query: str, field: str) -> None:
    (error,) = (await running.answer(query))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_ARGUMENT", field)
