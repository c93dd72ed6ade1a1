"""All that a gateway does through a pgbouncer in transaction mode, which lends every statement another connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from db.embedded import Logins
from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import Settings
from resolvers.errors import Unavailable
from tests.debian import Program, program_for_tests
from tests.feed_clients import ADA, IMPORT, Writer, open_feed
from tests.harness import SECRET, TOKEN_SECRET, Database, NewDatabase, Running, bearer, eventually, serving
from tests.legacy import V1_TABLES, legacy_database
from tests.pgbouncer import PGBOUNCER, POOL_SIZE, pooled
from tests.processes import Podium
from tests.subscribers import hears, open_socket

RESULT = {"region": "FRA", "orchestrator": "0x1", "success_rate": 1, "round_trip_time": 0.5}
COUNT = "{ stats { totalCount } }"
RECORD = """mutation ($key: String) { recordStats(idempotencyKey: $key, results: [
  { region: "FRA", orchestrator: "0x2", successRate: 1, roundTripTime: 0.5 }
  { region: "FRA", orchestrator: "0x3", successRate: 1, roundTripTime: 0.5, pipeline: "Text", model: "m" }
]) { stats { id } errors { code } } }"""
WITHDRAW = """mutation {
  withdrawStats(filter: { orchestrator: { in: ["0x1"] }, during: { last: "1h" } }, reason: "wrong") {
  withdrawn entry { id } errors { code } } }"""
RESTORE = 'mutation ($id: ID!) { restoreStats(withdrawal: $id, reason: "right") { restored errors { code } } }'
REGISTER = 'mutation { registerRegion(code: "OSL", name: "Oslo", jobType: AI) { errors { code } } }'
ASKED = (
    "/api/aggregated_stats",
    "/api/raw_stats?orchestrator=0x1",
    "/api/pipelines",
    "/api/top_ai_score?orchestrator=0x3",
    "/api/regions",
    "/export/stats",
)
QUERIES = (
    COUNT,
    "{ aggregates(groupBy: [ORCHESTRATOR]) { nodes { samples score roundTripTime { p95 } } } }",
    "{ orchestrators { nodes { address aggregates { score } } } }",
    "{ leaderboard(jobType: TRANSCODING, orderBy: SCORE) { rank } }",
    "{ auditLog { nodes { action } } }",
)
PREPARED = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'podium_writer' AND datname = $1"


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> Program:
    """pgbouncer, wherever it comes from."""
    return program_for_tests(PGBOUNCER, pytestconfig)


@pytest.fixture
async def through(program: Program, database: Database) -> AsyncIterator[Logins]:
    """The logins of the test's database through pgbouncer."""
    async with pooled(program, database.logins) as logins:
        yield logins


def gateway_of(database: Database, through: Logins, **given: Any) -> Gateway:
    given = {"postgres_direct": database.logins.owner, "jwt_secret": TOKEN_SECRET, **given}
    settings = Settings(_env_file=None, postgres=through.writer, postgres_read=through.reader, secret=SECRET, **given)
    return Gateway(settings, Urls(through.writer, through.reader))


@pytest.fixture
async def gateways(database: Database, through: Logins) -> AsyncIterator[tuple[Running, Running]]:
    """Two gateways behind it."""
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(serving(gateway_of(database, through))) for _ in range(2)]
        await eventually(lambda: here.gateway.versions.are_heard and there.gateway.versions.are_heard)
        yield here, there


async def test_results_are_posted_withdrawn_and_restored_through_it(gateways: tuple[Running, Running]) -> None:
    here, there = gateways
    assert (await here.post_stat(**RESULT)).status_code == 200
    recorded = [(await running.ask(RECORD, key="k"))["recordStats"] for running in gateways]
    assert recorded[0] == recorded[1]
    withdrawn = (await here.ask(WITHDRAW))["withdrawStats"]
    assert (withdrawn["withdrawn"], withdrawn["errors"]) == (1, [])
    assert (await here.ask(COUNT))["stats"]["totalCount"] == 2
    assert (await there.ask(RESTORE, id=withdrawn["entry"]["id"]))["restoreStats"] == {"restored": 1, "errors": []}
    assert (await there.ask(REGISTER))["registerRegion"]["errors"] == []
    assert (await there.ask(COUNT))["stats"]["totalCount"] == 3
    for path in ASKED:
        assert (await here.client.get(path)).status_code == 200
    for query in QUERIES:
        await here.ask(query)


async def test_subscribers_hear_past_it_and_answers_are_kept_until_others_write(
    gateways: tuple[Running, Running],
) -> None:
    here, there = gateways
    async with open_socket(there.url) as socket:
        await socket.subscribe("subscription { statRecorded { orchestrator { address } } }")
        await hears(there)
        counts = there.gateway.answers.counts
        assert [(await there.ask(COUNT))["stats"]["totalCount"] for _ in range(2)] == [0, 0]
        assert counts["kept"] == 1
        moment = there.gateway.versions.moment
        assert (await here.post_stat(**RESULT)).status_code == 200
        assert (await socket.next())["statRecorded"]["orchestrator"]["address"] == "0x1"
        await eventually(lambda: not there.gateway.versions.are_unchanged(("results",), moment))
        assert (await there.ask(COUNT))["stats"]["totalCount"] == 1


async def test_what_nodes_say_is_told_past_it(gateways: tuple[Running, Running], database: Database) -> None:
    here, there = gateways
    session = {"application_name": "podium telemetry 9"}
    writer = Writer(await asyncpg.connect(database.logins.owner, server_settings=session), 9 << 32)
    try:
        async with open_feed(here.url) as socket, open_feed(there.url, "/") as node:
            await socket.subscribe()
            await eventually(lambda: here.gateway.live_logs.feed.ready == 1)
            await node.send(msg="system.connected", ts="2026-01-01T00:00:00Z", network_id=ADA)
            await node.send(msg=IMPORT, ts="2026-01-01T00:00:00Z", n=100)
            assert await socket.numbers() == [100]
            async with writer.connection.transaction():
                await writer.say()
                looked = asyncio.get_running_loop().time()
                await eventually(lambda: asyncio.get_running_loop().time() > looked + 1.5)  # longer than between looks
            assert await socket.numbers() == [1]
    finally:
        await writer.connection.close()


async def test_one_of_the_gateways_behind_it_leads(gateways: tuple[Running, Running]) -> None:
    leaders = [running.gateway.leader for running in gateways]
    await eventually(lambda: [leader.leads for leader in leaders].count(True) == 1)


async def test_200_requests_at_once_share_its_connections(
    gateways: tuple[Running, Running], database: Database, connection: asyncpg.Connection
) -> None:
    here = gateways[0]
    asked = []
    for number in range(200):
        match number % 4:
            case 0:
                asked.append(here.post_stat(**{**RESULT, "orchestrator": f"0x{number}"}))
            case 1:
                asked.append(here.client.get(ASKED[number % len(ASKED)]))
            case 2:
                asked.append(here.graph(QUERIES[number % len(QUERIES)]))
            case _:
                headers = bearer(sub="poster", scope="publish")
                asked.append(here.graph(RECORD, headers, key=f"k{number % 40}"))
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    failed = [a.text for a in answers if a.url.path == "/graphql" and "errors" in a.json() and a.json()["errors"]]
    assert not failed
    keys = len({number % 40 for number in range(200) if number % 4 == 3})
    assert (await here.ask(COUNT))["stats"]["totalCount"] == 50 + 2 * keys
    assert await connection.fetchval(PREPARED, database.name) <= POOL_SIZE


async def test_migrations_and_imports_go_past_it(program: Program, new_database: NewDatabase, tmp_path: Path) -> None:
    empty = await new_database(template="template0")
    async with pooled(program, empty.logins) as through, legacy_database(new_database) as v1:
        await v1.connection.execute(V1_TABLES)
        await v1.event()
        settings = {"POSTGRES": through.superuser, "POSTGRES_DIRECT": empty.logins.superuser}
        for command in (("migrate", "up"), ("import", "leaderboard", v1.url)):
            podium = await Podium(tmp_path, *command, **settings).start()
            assert await podium.end(within_s=20) == 0, podium.lines
        assert "events                  1              1" in podium.printed


async def test_without_the_direct_line_the_gateway_says_that_it_cannot_connect(
    database: Database, through: Logins
) -> None:
    gateway = gateway_of(database, through, postgres_direct=None)
    with pytest.raises(Unavailable):
        await gateway.open()
