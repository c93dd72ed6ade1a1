"""Runs of the prober in the graph: told, listed, grouped, and found again by their ids."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from gateway.probe_forms import input_of, stored_form
from gateway.retention import retention_steps
from prober.run import Reason, Run, Status
from tests.harness import SECRET, TOKEN_SECRET, Pair, Running, StartGateway, bearer, webhook
from tests.probes import START, a_failed_run, a_rendition, a_run

RUN = """id runId stream region ingestRegion playbackRegion orchestrator startedAt endedAt wantedDuration status reason
  detail startupTime clock expectedRenditions segmentsExpected segmentsReceived segmentsMissed segmentsCorrupt gaps
  discontinuities bytes downloadTime latency peakLatency segmentDuration peakSegmentDuration
  renditions { name segmentsExpected segmentsReceived segmentsMissed segmentsCorrupt gaps discontinuities bytes
    downloadTime latency { ...S } segmentDuration { ...S } declaredSegmentDuration { ...S } }"""
SPREAD = "fragment S on ProbeSpread { count min p50 mean p95 max }"
RECORD = f"""mutation ($input: RecordProbeRunInput!) {{ recordProbeRun(input: $input) {{
  probeRun {{ {RUN} }} replayed errors {{ code field message }}
}} }} {SPREAD}"""
PAGE = """query ($filter: ProbeFilter, $first: Int, $after: String, $last: Int, $before: String) {
  probeRuns(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { runId } edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor }
  }
}"""
HOUR = timedelta(hours=1)


async def told(running: Running, run: Run) -> dict[str, Any]:
    """The payload when this run is recorded."""
    payload: dict[str, Any] = (await running.ask(RECORD, input=dict(input_of(stored_form(run)))))["recordProbeRun"]
    return payload


async def run_ids(running: Running, **arguments: Any) -> list[str]:
    return [node["runId"] for node in (await running.ask(PAGE, **arguments))["probeRuns"]["nodes"]]


@pytest.fixture
async def filled(running: Running) -> Running:
    """A gateway with runs of two streams within the last hour."""
    now = datetime.now(UTC)
    minutes = [now - timedelta(minutes=minute) for minute in range(5)]
    for run in (
        a_run("a", stream="one", started_at=minutes[4], startup_s=2.0),
        a_run("b", stream="one", started_at=minutes[3], startup_s=4.0, renditions=(a_rendition(latencies=(6.0,)),)),
        a_failed_run("c", stream="one", started_at=minutes[2]),
        a_run("d", stream="two", started_at=minutes[1], region="LAX", status=Status.ABORTED),
        a_failed_run("e", Reason.STALLED, stream="two", started_at=minutes[0], region="LAX"),
    ):
        assert (await told(running, run))["errors"] == []
    return running


async def test_a_run_is_recorded_and_found_again(running: Running) -> None:
    run = a_run()
    payload = await told(running, run)
    assert (payload["errors"], payload["replayed"]) == ([], False)
    recorded = payload["probeRun"]
    given = dict(input_of(stored_form(run)))
    expected = {**given, "expectedRenditions": list(run.expected_renditions)}
    expected |= {"startedAt": "2026-11-22T09:00:00Z", "endedAt": "2026-11-22T09:02:00Z"}
    assert {name: recorded[name] for name in expected} == expected
    assert {name: recorded[name] for name in recorded if name not in expected} == {
        "id": recorded["id"],
        "segmentsExpected": 20,
        "segmentsReceived": 20,
        **dict.fromkeys(("segmentsMissed", "segmentsCorrupt", "gaps", "discontinuities"), 0),
        "bytes": 6_000_000_000,
        "downloadTime": 3.0,
        "latency": 2.5,
        "peakLatency": 4.0,
        "segmentDuration": 2.25,
        "peakSegmentDuration": 2.5,
    }
    found = await running.ask(
        f"""query ($id: ID!) {{
          probeRun(runId: "run-1") {{ {RUN} }} node(id: $id) {{ ... on ProbeRun {{ {RUN} }} }}
          probeRuns(first: 50) {{ nodes {{ {RUN} }} edges {{ node {{ {RUN} }} }} }}
        }} {SPREAD}""",
        id=recorded["id"],
    )
    assert found["probeRun"] == found["node"] == recorded
    assert found["probeRuns"] == {"nodes": [recorded], "edges": [{"node": recorded}]}


async def test_what_is_not_there_is_null(running: Running) -> None:
    assert await running.ask('{ a: probeRun(runId: "x") { runId } b: probeRun(runId: "\\u0000") { runId } }') == {
        "a": None,
        "b": None,
    }


async def test_a_run_is_recorded_once(running: Running) -> None:
    first = await told(running, a_run())
    again = await told(running, a_run(detail="told again"))
    assert again == {**first, "replayed": True}
    assert await run_ids(running) == ["run-1"]


async def test_a_run_of_little_is_recorded(running: Running) -> None:
    record = """mutation { recordProbeRun(input: {
      runId: "x", stream: "s", startedAt: "2026-11-22T09:00:00Z", endedAt: "2026-11-22T09:00:01Z", wantedDuration: 60
      status: SUCCESS, renditions: [{ name: "640x360", segmentsExpected: 2, segmentsReceived: 1, bytes: 1e3 }]
    }) { probeRun { region bytes startupTime latency renditions { bytes latency { max } } } errors { message } } }"""
    assert await running.ask(record) == {
        "recordProbeRun": {
            "probeRun": {
                "region": None,
                "bytes": 1000,
                "startupTime": None,
                "latency": None,
                "renditions": [{"bytes": 1000, "latency": None}],
            },
            "errors": [],
        }
    }


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"runId": ""}, "runId"),
    ({"stream": "\0"}, "stream"),
    ({"reason": "stalled"}, "reason"),
    ({"status": "FAILURE"}, "reason"),
    ({"wantedDuration": -1}, "wantedDuration"),
    ({"expectedRenditions": ["x"] * 101}, "expectedRenditions"),
    ({"renditions": [{"name": "x", "segmentsExpected": -1, "segmentsReceived": 0}]}, "renditions.0.segmentsExpected"),
    ({"renditions": [{"name": "x", "segmentsExpected": 0, "segmentsReceived": 0, "bytes": 0.5}]}, "renditions.0.bytes"),
    (
        {
            "renditions": [
                {
                    "name": "x",
                    "segmentsExpected": 0,
                    "segmentsReceived": 0,
                    "segmentDuration": dict.fromkeys(("count", "min", "p50", "mean", "p95"), 1) | {"max": 1e300},
                }
            ]
        },
        "renditions.0.segmentDuration.max",
    ),
]


async def test_what_cannot_be_recorded_says_why(running: Running) -> None:
    for changed, field in REFUSED:
        given = {**input_of(stored_form(a_run())), **changed}
        payload = (await running.ask(RECORD, input=given))["recordProbeRun"]
        assert payload["probeRun"] is None
        assert [(it["code"], it["field"]) for it in payload["errors"]] == [("INVALID_ARGUMENT", f"input.{field}")]
        assert payload["errors"][0]["message"].startswith(f"input.{field}: ")
    assert await run_ids(running) == []


async def test_recording_needs_the_scope_to_publish(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    given = dict(input_of(stored_form(a_run())))
    for headers, code in (({}, "UNAUTHENTICATED"), (bearer(scope="read"), "FORBIDDEN")):
        (error,) = (await running.graph(RECORD, headers, input=given)).json()["errors"]
        assert error["extensions"]["code"] == code
    answer = (await running.graph(RECORD, bearer(scope="publish"), input=given)).json()
    assert answer["data"]["recordProbeRun"]["probeRun"]["runId"] == "run-1"


async def test_a_signed_message_tells_of_a_run_once(running: Running) -> None:
    body = orjson.dumps({"query": RECORD, "variables": {"input": input_of(stored_form(a_run()))}})
    headers = {"Content-Type": "application/json", **webhook(body, "message", SECRET)}
    for is_replay in (False, True):
        answer = (await running.client.post("/graphql", content=body, headers=headers)).json()
        assert answer["data"]["recordProbeRun"]["replayed"] is is_replay


async def test_runs_are_filtered_and_paged(filled: Running) -> None:
    assert await run_ids(filled) == ["e", "d", "c", "b", "a"]
    assert await run_ids(filled, filter={"stream": {"in": ["one"]}}) == ["c", "b", "a"]
    assert await run_ids(filled, filter={"region": {"in": ["LAX"]}, "status": ["FAILURE", "ABORTED"]}) == ["e", "d"]
    assert await run_ids(filled, filter={"reason": {"in": ["no_first_segment"]}}) == ["c"]
    assert await run_ids(filled, filter={"ingestRegion": {"in": ["x"]}}) == []
    assert await run_ids(filled, filter={"playbackRegion": {"in": ["lax"]}, "status": ["SUCCESS"]}) == ["b", "a"]
    assert await run_ids(filled, filter={"during": {"until": START.isoformat()}}) == []
    page = (await filled.ask(PAGE, first=2, filter={"status": ["SUCCESS", "FAILURE"]}))["probeRuns"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (4, True)
    await told(filled, a_run("later", started_at=datetime.now(UTC) + HOUR))
    end = page["pageInfo"]["endCursor"]
    assert await run_ids(filled, first=1, after=end, filter={"status": ["SUCCESS", "FAILURE"]}) == ["b"]
    assert await run_ids(filled, last=2, before=end) == ["e", "d"]


@pytest.mark.parametrize("cursor", ["x", "WzFd", "WzEsMV0"])
async def test_foreign_cursors_are_refused(running: Running, cursor: str) -> None:
    (error,) = (await running.answer(PAGE, first=1, after=cursor))["errors"]
    assert error["extensions"]["code"] == "INVALID_ARGUMENT"


async def test_streams_have_their_last_run_and_what_is_measured(filled: Running) -> None:
    query = """query ($during: TimeRange) { probeStreams(during: $during) {
      name lastRun { runId renditions { name } } runs failures aborted successRate
      startupTime { mean max } latency { mean min max p50 p95 p99 standardDeviation } peakLatency peakSegmentDuration
    } }"""
    one, two = (await filled.ask(query))["probeStreams"]
    assert one == {
        "name": "one",
        "lastRun": {"runId": "c", "renditions": []},
        "runs": 3,
        "failures": 1,
        "aborted": 0,
        "successRate": pytest.approx(2 / 3),
        "startupTime": {"mean": 3.0, "max": 4.0},
        "latency": {
            "mean": 4.25,
            "min": 2.5,
            "max": 6.0,
            "p50": 4.25,
            "p95": pytest.approx(5.825),
            "p99": pytest.approx(5.965),
            "standardDeviation": 1.75,
        },
        "peakLatency": 6.0,
        "peakSegmentDuration": 2.5,
    }
    assert (two["name"], two["lastRun"]["runId"], two["runs"], two["aborted"], two["successRate"]) == (
        *("two", "e", 1, 1),
        0.0,
    )
    before = (await filled.ask(query, during={"until": START.isoformat()}))["probeStreams"]
    assert [(it["lastRun"]["runId"], it["runs"], it["successRate"], it["latency"]) for it in before] == [
        ("c", 0, None, None),
        ("e", 0, None, None),
    ]


async def test_series_are_over_time_by_group(filled: Running) -> None:
    query = """query ($groupBy: [ProbeDimension!]) {
      probeSeries(bucket: HOUR, filter: { during: { last: "3h" } }, groupBy: $groupBy) {
        label stream region ingestRegion playbackRegion rendition
        points { label at until runs failures successRate latency { mean } peakLatency startupTime { p50 } }
      }
    }"""
    (everything,) = (await filled.ask(query, groupBy=[]))["probeSeries"]
    assert everything["label"] == "all"
    assert len(everything["points"]) == 4
    assert sum(point["runs"] for point in everything["points"]) == 4
    lines = (await filled.ask(query, groupBy=["STREAM", "RENDITION"]))["probeSeries"]
    assert [(line["label"], line["stream"], line["rendition"], line["region"]) for line in lines] == [
        ("one · 1280x720", "one", "1280x720", None),
        ("one · 640x360", "one", "640x360", None),
        ("two · 1280x720", "two", "1280x720", None),
        ("two · 640x360", "two", "640x360", None),
    ]
    assert max(point["peakLatency"] or 0 for point in lines[0]["points"]) == 6.0
    (error,) = (await filled.answer('{ probeSeries(bucket: MINUTE, filter: { during: { last: "8d" } }) { label } }'))[
        "errors"
    ]
    assert error["extensions"]["code"] == "INVALID_ARGUMENT"


async def test_failures_are_by_reason(filled: Running) -> None:
    answer = await filled.ask("""{
      all: probeFailures { reason runs stream }
      some: probeFailures(groupBy: [STREAM, REGION], filter: { stream: { in: ["two"] } }) { reason runs stream region }
      first: probeFailures(first: 1) { reason firstAt lastAt }
      none: probeFailures(filter: { status: [SUCCESS] }) { reason }
    }""")
    assert answer["all"] == [
        {"reason": "no_first_segment", "runs": 1, "stream": None},
        {"reason": "stalled", "runs": 1, "stream": None},
    ]
    assert answer["some"] == [{"reason": "stalled", "runs": 1, "stream": "two", "region": "LAX"}]
    assert [it["reason"] for it in answer["first"]] == ["no_first_segment"]
    assert answer["none"] == []
    (error,) = (await filled.answer("{ probeFailures(groupBy: [RENDITION]) { reason } }"))["errors"]
    assert error["extensions"]["code"] == "INVALID_ARGUMENT"


async def test_a_recorded_run_makes_answers_old_everywhere(pair: Pair) -> None:
    question = '{ probeRuns { totalCount } probeStreams(during: { since: "2026-01-01T00:00:00Z" }) { name } }'
    for running in pair[:2]:
        assert (await running.ask(question))["probeRuns"]["totalCount"] == 0
    assert await pair.changes(told(pair.here, a_run())) == {"probe_runs"}
    for running in pair[:2]:
        assert await running.ask(question) == {"probeRuns": {"totalCount": 1}, "probeStreams": [{"name": "fra-to-lax"}]}


async def test_old_runs_are_let_go_of(running: Running) -> None:
    now = datetime.now(UTC)
    for run in (a_run("old", started_at=now - timedelta(days=8)), a_run("new", started_at=now)):
        assert (await told(running, run))["errors"] == []
    settings = running.gateway.settings.model_copy(update={"probe_retention_days": 7})
    (step,) = retention_steps(settings, running.gateway.db, running.gateway.metrics.report)
    await step(now)
    assert await run_ids(running) == ["new"]
