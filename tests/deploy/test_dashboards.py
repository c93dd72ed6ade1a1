"""The dashboards: they ask for what there is, of datasources that are provisioned."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from tests.deploy.monitoring import DASHBOARDS, GRAFANA, expressions_of, metrics_in, panels_of, targets_of
from tests.harness import StartGateway

PROVISIONED = yaml.safe_load((GRAFANA / "provisioning/datasources/podium.yaml").read_text())["datasources"]
DATASOURCES = {source["uid"]: source["type"] for source in PROVISIONED}
OF_THE_ORIGINAL = {
    "Active Test Sessions": "stream_monitor_active_tests",
    "Successful Tests": 'increase(stream_monitor_total_tests{status="success"',
    "Failed Tests": 'increase(stream_monitor_total_tests{status="failure"',
    "Peak Segment Duration": "stream_monitor_segment_duration_seconds",
    "Peak Startup Latency by Region": "by (region) (max_over_time(stream_monitor_test_startup_seconds",
    "Peak Segment Latency By Variant": "by (variant) (max_over_time(stream_monitor_latency_seconds",
    "Active Sessions by Region": "by (region) (stream_monitor_active_tests",
}
RECORD_RUN = """mutation { recordProbeRun(input: {runId: "a", stream: "demo", startedAt: "%s", endedAt: "%s",
  wantedDuration: 60, status: FAILURE, reason: "stalled"}) { replayed } }"""
every_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


def _datasources(part: Any) -> list[dict[str, str]]:
    if isinstance(part, list):
        return [found for each in part for found in _datasources(each)]
    if not isinstance(part, dict):
        return []
    own = [part["datasource"]] if "datasource" in part else []
    return own + [found for each in part.values() for found in _datasources(each)]


def _cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    assert at["x"] + at["w"] <= 24
    return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}


def _of_the_graph() -> list[dict[str, Any]]:
    """The questions that are no expressions."""
    asked = [target for dashboard in DASHBOARDS.values() for target in targets_of(dashboard)]
    return [target for target in asked if "url_options" in target]


def _picked(answer: Any, selector: str) -> Any:
    for step in selector.split("."):
        if answer is None or answer == []:
            return None
        answer = answer[int(step)] if step.isdigit() else answer[step]
    return answer


def test_dashboards_are_three_with_names_of_their_own() -> None:
    assert list(DASHBOARDS) == ["gateway", "leaderboard", "streams"]
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == 3


@every_dashboard
def test_panels_have_places_of_their_own(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in _cells(panel)]
    assert len(set(cells)) == len(cells)


@every_dashboard
def test_what_is_asked_is_provisioned(name: str) -> None:
    asked = _datasources(DASHBOARDS[name])
    assert asked
    assert all(DATASOURCES[source["uid"]] == source["type"] for source in asked)


@every_dashboard
def test_variables_of_expressions_are_there(name: str) -> None:
    known = {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]}
    for target in targets_of(DASHBOARDS[name]):
        asked = target.get("expr") or target["url_options"]["body_graphql_query"]
        assert set(re.findall(r"\$\{?(\w+)", asked)) <= known | {"__rate_interval", "__range", "__from", "__to"}


def test_the_panels_of_the_original_are_there() -> None:
    panels = {panel["title"]: panel["targets"][0].get("expr", "") for panel in panels_of(DASHBOARDS["streams"])}
    assert all(query in panels[title] for title, query in OF_THE_ORIGINAL.items())


async def test_gateways_have_the_metrics_that_are_asked_of_them(metrics_of_gateways: set[str]) -> None:
    for expression in expressions_of(DASHBOARDS["gateway"]):
        assert metrics_in(expression) <= {"up", *metrics_of_gateways}, expression


def test_probers_have_the_metrics_that_are_asked_of_them(metrics_of_probers: set[str]) -> None:
    for expression in expressions_of(DASHBOARDS["streams"]):
        assert metrics_in(expression) <= {"up", *metrics_of_probers}, expression


@pytest.mark.parametrize("job", ["TRANSCODING", "AI"])
async def test_the_graph_answers_what_it_is_asked(start_gateway: StartGateway, job: str) -> None:
    running = await start_gateway(env="production")
    await running.post_stat(region="FRA", orchestrator="0xa", success_rate=1, round_trip_time=1, seg_duration=2)
    await running.post_stat(
        region="FRA",
        orchestrator="0xb",
        success_rate=0,
        round_trip_time=2,
        seg_duration=2,
        errors=[{"error_code": "OrchestratorBusy", "count": 1}],
    )
    await running.post_stat(
        region="FRA", orchestrator="0xa", success_rate=1, round_trip_time=1, model="m", pipeline="p", model_is_warm=True
    )
    now, hour = datetime.now(UTC), timedelta(hours=1)
    await running.ask(RECORD_RUN % (f"{now - hour / 60:%FT%TZ}", f"{now:%FT%TZ}"))
    filled = {"$job": job, "$bucket": "HOUR", "${__from:date:iso}": f"{now - hour:%FT%TZ}"}
    filled["${__to:date:iso}"] = f"{now + hour:%FT%TZ}"
    for target in _of_the_graph():
        question = target["url_options"]["body_graphql_query"]
        for variable, value in filled.items():
            question = question.replace(variable, value)
        rows = _picked(await running.answer(question), target["root_selector"])
        assert rows or (job == "AI" and "failures" in question), question
        for row in rows:
            for column in target["columns"]:
                _picked(row, column["selector"])


def test_the_graph_is_asked_where_it_answers() -> None:
    for target in _of_the_graph():
        assert target["url"] == "/graphql"
        assert target["url_options"]["method"] == "POST"
