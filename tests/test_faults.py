"""What happens to a running gateway when its Postgres dies, stalls, refuses or changes, and when clients leave."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from signal import SIGKILL
from typing import Any

import asyncpg
import httpx
import orjson
import psutil
import pytest

from db.embedded import EmbeddedPostgres
from db.migrate import migrate
from db.statements import Statement
from gateway.app import Gateway
from gateway.parts import Urls
from gateway.settings import Settings
from resolvers.signing import signature
from tests.harness import SECRET, Database, Running, StartGateway, eventually, serving

RESULT = {"region": "FRA", "orchestrator": "0x1", "success_rate": 1, "round_trip_time": 0.5}
AI_RESULT = {**RESULT, "pipeline": "Text to image", "model": "m"}
SLEEP = Statement("sleep", ("seconds",), "SELECT pg_sleep($1)", {})
LOCK_RESULTS = "LOCK TABLE podium.results IN ACCESS EXCLUSIVE MODE"
PARTITIONS = (
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'podium.results'::regclass ORDER BY 1"
)
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = $1)"
)
READS = (
    "/api/aggregated_stats",
    "/api/raw_stats?orchestrator=0x1",
    "/api/pipelines",
    "/api/top_ai_score?orchestrator=0x1",
)
AGGREGATES = "{ aggregates { nodes { samples } } }"
NESTED = "{ orchestrators { nodes { aggregates { samples } } } }"


@dataclass
class Poster:
    """Posts results one after the other over several connections, each with a timestamp of its own."""

    url: str
    stored: list[int] = field(default_factory=list)
    refused: list[httpx.Response] = field(default_factory=list)
    acknowledged_at: list[float] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @asynccontextmanager
    async def posting(self, connections: int) -> AsyncIterator[None]:
        """Post inside the block; a failure of any connection is raised at its end."""
        web = httpx.AsyncClient(base_url=self.url, limits=httpx.Limits(max_connections=connections), timeout=30)
        async with web as client, asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(self._post_on(client))
            yield
            self._numbers = iter(())

    async def stored_since(self, moment: float, number: int = 1) -> None:
        """Return when so many results are acknowledged after a moment."""
        await eventually(lambda: sum(at > moment for at in self.acknowledged_at[-1000:]) >= number, within_s=20)

    async def _post_on(self, client: httpx.AsyncClient) -> None:
        while number := next(self._numbers, None):
            body = orjson.dumps({**RESULT, "orchestrator": f"0x{number % 50}", "timestamp": number})
            headers = {"Authorization": signature(body, SECRET)}
            answer = await client.post("/api/post_stats", content=body, headers=headers)
            if answer.status_code == 200:
                self.stored.append(number)
                self.acknowledged_at.append(time.monotonic())
            else:
                self.refused.append(answer)


class Events(list[tuple[str, float]]):
    def __call__(self, event: str, **_: Any) -> None:
        self.append((event, time.monotonic()))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self]


@asynccontextmanager
async def own_postgres(directory: Any, **given: Any) -> AsyncIterator[tuple[EmbeddedPostgres, Running]]:
    """A Postgres that a test may kill, and a gateway on it."""
    async with EmbeddedPostgres(directory, report=given.pop("report", lambda *_, **__: None)) as server:
        await migrate(server.logins.owner)
        settings = Settings(_env_file=None, postgres=server.logins.writer, secret=SECRET, **given)
        urls = Urls(server.logins.writer, server.logins.reader)
        async with serving(Gateway(settings, urls)) as running:
            yield server, running


@asynccontextmanager
async def locked(database: Database, sql: str = LOCK_RESULTS) -> AsyncIterator[asyncpg.Connection]:
    """Another connection that holds a lock inside the block."""
    other = await asyncpg.connect(database.logins.superuser)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(sql)
    try:
        yield other
    finally:
        await transaction.rollback()
        await other.close()


async def eventually_ok(ask: Callable[[], Awaitable[httpx.Response]], within_s: float = 5) -> None:
    """Ask until the answer is 200; until then nothing but clean refusals."""
    deadline = time.monotonic() + within_s
    while (answer := await ask()).status_code != 200:
        assert_refused(answer)
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def assert_refused(answer: httpx.Response) -> None:
    """A 503 that says when to try again, and that nobody may keep."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(answer.json()) == {"error"}


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


async def test_nothing_acknowledged_is_lost_when_postgres_is_killed(tmp_path: Any) -> None:
    events = Events()
    async with own_postgres(tmp_path, report=events) as (server, running):
        poster = Poster(running.url)
        async with poster.posting(connections=16):
            for kills in (1, 2, 3):
                await poster.stored_since(time.monotonic(), number=300)
                assert server.pid
                os.kill(server.pid, SIGKILL)
                await eventually(lambda: events.names.count("postgres_started") == kills + 1, within_s=20)  # noqa: B023
                accepts_at = events[-1][1]
                await poster.stored_since(accepts_at)
                assert next(at for at in poster.acknowledged_at if at > accepts_at) - accepts_at < 1
        connection = await asyncpg.connect(server.logins.superuser)
        rows = await connection.fetch("SELECT timestamp, count(*) FROM podium.results GROUP BY 1")
        await connection.close()
    found = {row["timestamp"]: row["count"] for row in rows}
    assert Counter(found[number] for number in poster.stored) == {1: len(poster.stored)}
    assert poster.refused
    for answer in poster.refused:
        assert_refused(answer)


async def test_exhausted_pools_refuse_soon_and_recover(start_gateway: StartGateway) -> None:
    running = await start_gateway(db_pool_size=2)
    assert (await running.post_stat(**RESULT)).status_code == 200
    pools = (running.gateway.db.read, running.gateway.db.write)
    sleeping = [asyncio.create_task(pool.fetch(SLEEP, seconds=10)) for pool in pools for _ in range(2)]
    await eventually(lambda: all(pool.size == 2 and pool.idle == 0 for pool in pools))
    with within(2):
        life = await running.client.get("/livez")
        asked = [running.client.get(path) for path in (*READS, "/readyz")] + [running.post_stat(**RESULT)]
        refused, graph = await asyncio.gather(asyncio.gather(*asked), running.answer(AGGREGATES))
    assert life.text == "ok"
    for answer in refused:
        assert_refused(answer)
    assert graph["errors"][0]["extensions"]["code"] == "OVERLOADED"
    for task in sleeping:
        task.cancel()
    await asyncio.gather(*sleeping, return_exceptions=True)
    for path in (*READS, "/readyz"):
        await eventually_ok(lambda: running.client.get(path))  # noqa: B023
    await eventually_ok(lambda: running.post_stat(**RESULT))


async def test_a_statement_that_takes_too_long_is_no_empty_answer(
    start_gateway: StartGateway, database: Database
) -> None:
    running = await start_gateway(db_timeout="500ms")
    await running.post_stat(**RESULT)
    async with locked(database):
        with within(1.5):
            answers = await asyncio.gather(*(running.client.get(path) for path in READS), running.post_stat(**RESULT))
            graph = await running.answer(AGGREGATES)
    for answer in answers:
        assert_refused(answer)
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert graph["data"] is None
    assert [error["extensions"]["code"] for error in graph["errors"]] == ["TIMED_OUT"]
    for path in READS:
        assert (await running.client.get(path)).status_code == 200


async def test_a_database_that_turns_read_only_refuses_posts_until_it_is_over(tmp_path: Any) -> None:
    async with own_postgres(tmp_path) as (server, running), AsyncExitStack() as stack:
        admin = await asyncpg.connect(server.logins.superuser)
        stack.push_async_callback(admin.close)
        await admin.execute("SET default_transaction_read_only = off")
        assert (await running.post_stat(**RESULT)).status_code == 200
        await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await admin.execute("SELECT pg_reload_conf()")
        while (answer := await running.post_stat(**RESULT)).status_code == 200:
            await asyncio.sleep(0.01)
        stored = await admin.fetchval("SELECT count(*) FROM podium.results")
        for refused in (answer, await running.post_stat(**RESULT), await running.post_stat(**AI_RESULT)):
            assert_refused(refused)
        assert await admin.fetchval("SELECT count(*) FROM podium.results") == stored
        assert (await running.client.get("/api/aggregated_stats")).status_code == 200
        await admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await admin.execute("SELECT pg_reload_conf()")
        await eventually_ok(lambda: running.post_stat(**RESULT))


async def test_a_postgres_that_hangs_takes_readiness_and_nothing_else(tmp_path: Any) -> None:
    async with own_postgres(tmp_path) as (server, running):
        postmaster = psutil.Process(server.pid)
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.suspend()
        try:
            with within(3):
                readiness = await running.client.get("/readyz")
            life = await running.client.get("/livez")
        finally:
            for process in processes:
                process.resume()
        assert_refused(readiness)
        assert life.text == "ok"
        await eventually_ok(lambda: running.client.get("/readyz"))
        await eventually_ok(lambda: running.post_stat(**RESULT))


async def test_a_missing_partition_is_made_when_a_result_needs_it(
    running: Running, connection: asyncpg.Connection
) -> None:
    made = [row["name"] for row in await connection.fetch(PARTITIONS)]
    assert len(made) >= 3
    for name in made:
        await connection.execute(f"DROP TABLE {name}")
    answers = await asyncio.gather(*(running.post_stat(**RESULT) for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert [row["name"] for row in await connection.fetch(PARTITIONS)] == made[:1]
    assert await connection.fetchval("SELECT count(*) FROM podium.results") == 20


async def test_gateways_that_make_the_same_partitions_at_once_all_succeed(database: Database) -> None:
    async with AsyncExitStack() as stack:
        writers = [await asyncpg.connect(database.logins.writer) for _ in range(4)]
        for writer in writers:
            stack.push_async_callback(writer.close)
        make = "SELECT podium.create_results_partitions('2001-01-01Z', '2001-01-31Z')"
        assert sorted(await asyncio.gather(*(writer.fetchval(make) for writer in writers))) == [0, 0, 0, 5]


async def test_posts_go_on_when_names_and_results_are_gone(running: Running, connection: asyncpg.Connection) -> None:
    for orchestrator in ("0xa", "0xb"):
        assert (await running.post_stat(**{**AI_RESULT, "orchestrator": orchestrator})).status_code == 200
    await connection.execute("TRUNCATE podium.orchestrators, podium.pipelines RESTART IDENTITY CASCADE")
    posted = ["0xb", "0xa", "0xnew"]
    answers = [await running.post_stat(**{**AI_RESULT, "orchestrator": orchestrator}) for orchestrator in posted]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert await orchestrators_of_results(connection) == posted


async def test_an_id_that_means_another_node_after_a_restore_is_not_used(
    running: Running, connection: asyncpg.Connection
) -> None:
    assert (await running.post_stat(**{**RESULT, "orchestrator": "0xforgotten"})).status_code == 200
    await connection.execute("TRUNCATE podium.orchestrators RESTART IDENTITY CASCADE")
    posted = ["0xnew", "0xforgotten", "0xother"]
    for together in (posted[:1], posted[1:]):
        posts = (running.post_stat(**{**RESULT, "orchestrator": orchestrator}) for orchestrator in together)
        assert {answer.status_code for answer in await asyncio.gather(*posts)} == {200}
    assert sorted(await orchestrators_of_results(connection)) == sorted(posted)


async def test_posts_go_on_when_regions_have_other_ids(running: Running, connection: asyncpg.Connection) -> None:
    assert (await running.post_stat(**RESULT)).status_code == 200
    await connection.execute("TRUNCATE podium.results, podium.hourly_rollups, podium.daily_rollups")
    await connection.execute("UPDATE podium.regions SET id = id + 1000")
    answers = await asyncio.gather(*(running.post_stat(**{**RESULT, "orchestrator": f"0x{n}"}) for n in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert (await running.client.get("/api/raw_stats?orchestrator=0x4")).json().keys() == {"FRA"}


async def orchestrators_of_results(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT address FROM podium.results AS r JOIN podium.orchestrators AS o ON o.id = orchestrator_id ORDER BY r.id"
    )
    return [row["address"] for row in rows]


@pytest.mark.parametrize("query", [None, AGGREGATES, NESTED], ids=["rest", "graph", "graph with loaders"])
async def test_the_query_of_a_client_that_left_ends(running: Running, database: Database, query: str | None) -> None:
    await running.post_stat(**RESULT)
    request = b"GET /api/aggregated_stats HTTP/1.1\r\nHost: podium\r\n\r\n"
    if query:
        body = orjson.dumps({"query": query})
        headers = f"Host: podium\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        request = f"POST /graphql HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body
    async with locked(database) as other:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(running.url).port)
        writer.write(request)
        await waiting_is(other, database, 1)
        writer.close()
        await writer.wait_closed()
        with within(1):
            await waiting_is(other, database, 0)
        assert reader.at_eof()
    assert (await running.client.get("/api/aggregated_stats")).json()
    await eventually(lambda: running.gateway.db.read.idle == running.gateway.db.read.size)


async def test_clients_that_leave_while_they_post_take_nobody_along(running: Running, database: Database) -> None:
    async with locked(database) as other:
        posts = [asyncio.create_task(running.post_stat(**{**RESULT, "timestamp": n})) for n in range(20)]
        await waiting_is(other, database, 1)
        for leaving in posts[::2]:
            leaving.cancel()
        await asyncio.gather(*posts[::2], return_exceptions=True)
    assert [answer.status_code for answer in await asyncio.gather(*posts[1::2])] == [200] * 10


async def test_clients_that_leave_in_the_middle_of_a_body_are_no_mistake_of_ours(running: Running) -> None:
    for path in (b"/graphql", b"/api/post_stats"):
        head = b"POST %b HTTP/1.1\r\nHost: podium\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n"
        for size in (1, 80_000):
            _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(running.url).port)
            writer.write(head % path + b" " * size)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    registry = running.gateway.metrics.registry
    counted = ("podium_http_requests_total", {"route": "/graphql", "method": "POST", "status": "499"})
    await eventually(lambda: registry.get_sample_value(*counted) == 2)
    assert registry.get_sample_value("podium_internal_errors_total") == 0


async def waiting_is(connection: asyncpg.Connection, database: Database, number: int) -> None:
    """Return when so many statements wait for a lock in this database."""
    async with asyncio.timeout(5):
        while await connection.fetchval(WAITING, database.name) != number:
            await asyncio.sleep(0.01)
