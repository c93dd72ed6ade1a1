"""What the doors answer when a gateway has let go of old results."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import orjson
import pytest

from db.pool import Database as Pools
from db.pool import Pool, PoolOptions
from resolvers.catalog import Catalog
from resolvers.errors import from_driver
from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from resolvers.retention import drop_results
from tests.harness import Database, Pair, Running, StartGateway

GRAPHQL_DOCS = Path(__file__).parents[2] / "docs" / "graphql.md"
AGE = timedelta(days=1)
NODE = "0xa"
HOUR = timedelta(hours=1)
# Of a week that is over for more than a day, whatever the present time.
OLD = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) - timedelta(days=21)
TIMES = [OLD + n * HOUR / 4 for n in range(8)]
SINCE, UNTIL = OLD + HOUR / 3, OLD + HOUR + HOUR / 3
WIDENED = f"{OLD:%Y-%m-%dT%H:%M:%SZ}/{OLD + HOUR:%Y-%m-%dT%H}:59:59.999999Z"

ASKED = """query ($since: DateTime!, $until: DateTime!) {
  answeredWindow(during: {since: $since, until: $until}) { since until isWidened resultsSince }
  aggregates(filter: {during: {since: $since, until: $until}}, groupBy: [JOB_TYPE]) { nodes { jobType samples score } }
  series(filter: {during: {since: $since, until: $until}, jobType: AI}, bucket: MINUTE) { points { at samples } }
  leaderboard(jobType: AI, during: {since: $since, until: $until}) { rank samples }
  coverage(during: {since: $since, until: $until}) { cells { samples } }
  pipelines(during: {since: $since, until: $until}) { name }
  failures(filter: {during: {since: $since, until: $until}}, groupBy: [REGION]) { samples }
  stats(filter: {during: {since: $since, until: $until}}) { totalCount }
}"""


@pytest.fixture
async def running(database: Database, start_gateway: StartGateway, connection: asyncpg.Connection) -> Running:
    """A gateway with results of old that are gone."""
    pool = Pool(database.logins.writer, PoolOptions(size=1, timeout_s=10), from_driver)
    await pool.open()
    pools = Pools(write=pool, read=pool)
    results = [
        Result("FRA", NODE, 0.5, 2.0, seg_duration=2.0),
        Result("FRA", NODE, 1.0, 3.0, pipeline="P", model="m"),
    ]
    await store_results(
        pools, Catalog(pools, ttl_s=60), [CheckedResult(result, recorded_at=at) for result in results for at in TIMES]
    )
    await pool.close()
    running = await start_gateway(stats_retention_days=1)
    async with asyncio.timeout(10):  # the loop begins at once
        while await connection.fetchval("SELECT results_since IS NULL FROM podium.rollup_state"):
            assert running.gateway.leader
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 16
    await drop_results(running.gateway.db, AGE, running.gateway.metrics.report, datetime.now(UTC))
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 0
    return running


def unix(time: datetime) -> str:
    """As the old URLs take it."""
    return f"{time.timestamp():.0f}"


async def test_the_graph_goes_on_answering_and_says_for_which_window(running: Running) -> None:
    data = await running.ask(ASKED, since=SINCE.isoformat(), until=UNTIL.isoformat())
    window = data["answeredWindow"]
    assert (window["since"], window["until"], window["isWidened"]) == (*WIDENED.split("/"), True)
    assert window["resultsSince"] > WIDENED
    assert [(node["jobType"], node["samples"]) for node in data["aggregates"]["nodes"]] == [
        ("AI", 8),
        ("TRANSCODING", 8),
    ]
    assert data["aggregates"]["nodes"][0]["score"] == pytest.approx(0.65 + 0.35 * 0.8)
    (line,) = data["series"]
    filled = [(point["at"], point["samples"]) for point in line["points"] if point["samples"]]
    assert filled == [(f"{at:%Y-%m-%dT%H:%M:%SZ}", 4) for at in (OLD, OLD + HOUR)]
    assert data["leaderboard"] == [{"rank": 1, "samples": 8}]
    assert data["coverage"][0]["cells"]
    assert data["pipelines"] == [{"name": "P"}]
    assert data["failures"] == []
    assert data["stats"] == {"totalCount": 0}


async def test_a_window_of_the_time_that_is_kept_is_not_widened(running: Running) -> None:
    now = datetime.now(UTC)
    data = await running.ask(ASKED, since=(now - HOUR / 7).isoformat(), until=now.isoformat())
    assert data["answeredWindow"]["isWidened"] is False


@pytest.mark.parametrize("path", ["/api/aggregated_stats?", "/api/pipelines?"])
async def test_the_old_urls_say_when_a_window_is_widened(running: Running, path: str) -> None:
    asked = f"{path}since={unix(SINCE)}&until={unix(UNTIL)}"
    for _ in range(2):  # computed, and kept
        answer = await running.client.get(asked, headers={"Origin": "https://example.org"})
        assert answer.json()
        assert answer.headers["Podium-Window"] == WIDENED
        assert "Podium-Window" in answer.headers["Access-Control-Expose-Headers"]
    known = await running.client.get(asked, headers={"If-None-Match": answer.headers["ETag"]})
    assert (known.status_code, known.headers["Podium-Window"]) == (304, WIDENED)
    open_end = await running.client.get(f"{path}since={unix(SINCE)}")
    assert open_end.headers["Podium-Window"] == f"{WIDENED.partition('/')[0]}/.."
    for whole in (f"{path}since={unix(OLD)}", path):
        assert "Podium-Window" not in (await running.client.get(whole)).headers


async def test_the_best_ai_cell_of_a_default_window_that_reaches_back_is_widened(
    running: Running, start_gateway: StartGateway
) -> None:
    asked = f"/api/top_ai_score?orchestrator={NODE}"
    assert (await running.client.get(asked)).json() == {}
    beside = await start_gateway(start_time_window="56d")
    answer = await beside.client.get(asked)
    assert answer.json()["value"] == pytest.approx(0.65 + 0.35 * 0.8)
    assert answer.headers["Podium-Window"].endswith(":00:00Z/..")


async def test_single_results_are_gone_and_are_never_said_to_be_widened(running: Running) -> None:
    answer = await running.client.get(f"/api/raw_stats?orchestrator={NODE}&since={unix(SINCE)}")
    assert answer.json() == {}
    assert "Podium-Window" not in answer.headers


async def test_the_documented_answer_is_given(start_gateway: StartGateway, connection: asyncpg.Connection) -> None:
    example = r"```graphql\n(query AnsweredWindow .*?)```\n\n```json\n(.*?)```"
    ((query, printed),) = re.findall(example, GRAPHQL_DOCS.read_text(), re.DOTALL)
    answer = orjson.loads(printed)
    since = datetime.fromisoformat(answer["answeredWindow"]["resultsSince"])
    await connection.execute("UPDATE podium.rollup_state SET results_since = $1", since)
    assert await (await start_gateway()).ask(query) == answer


async def test_every_gateway_knows_at_once_that_a_week_has_expired(pair: Pair) -> None:
    old = [CheckedResult(Result("FRA", NODE, 1.0, 2.0), recorded_at=at) for at in TIMES]
    await store_results(pair.here.gateway.db, pair.here.gateway.catalog, old)
    await pair.all_is_heard()
    asked = f"/api/aggregated_stats?since={unix(SINCE)}&until={unix(UNTIL)}"
    gateways = (pair.here, pair.there)
    assert ["Podium-Window" in (await one.client.get(asked)).headers for one in gateways] == [False, False]
    expired = drop_results(pair.here.gateway.db, AGE, pair.here.gateway.metrics.report, datetime.now(UTC))
    assert await pair.changes(expired) == {"rollup_state"}
    assert [(await one.client.get(asked)).headers["Podium-Window"] for one in gateways] == [WIDENED, WIDENED]
