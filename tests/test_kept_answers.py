"""Answers that are kept and shared: never older than what is acknowledged, and never anybody else's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from random import Random

import asyncpg
import httpx

from tests.harness import TOKEN_SECRET, Database, Pair, Running, StartGateway, bearer, eventually, locked
from tests.subscribers import open_socket

RESULT = {"region": "FRA", "orchestrator": "0xaa", "success_rate": 1, "round_trip_time": 0.5}
COUNT = "{ stats { totalCount } }"
AGGREGATES = """{ aggregates(filter: { during: { since: "2026-01-01T00:00:00Z" } }) {
  nodes { samples region { name } } } }"""
RECORD = """mutation { recordStats(results: [
  { region: "FRA", orchestrator: "0xaa", successRate: 1, roundTripTime: 0.5 }]) { errors { code } } }"""
RENAME = """mutation ($name: String!) {
  renameRegion(code: "FRA", jobType: TRANSCODING, name: $name) { errors { code } } }"""
WITHDRAW = """mutation { withdrawStats(reason: "wrong", filter: {
  orchestrator: { in: ["0xaa"] }, during: { last: "1h" } }) { withdrawn } }"""
ROOT = bearer(sub="root", scope="admin")
LOG = "{ auditLog { totalCount } }"
LINES = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'podium versions' AND datname = $1"
END_LINES = LINES.replace("count(*)", "pg_terminate_backend(pid)")


def counts(running: Running) -> dict[str, int]:
    """How many answers came from where."""
    return dict(running.gateway.answers.counts)


async def results(running: Running) -> int:
    """How many results there are."""
    return int((await running.ask(COUNT))["stats"]["totalCount"])


async def in_flight(number: int) -> None:
    """Return when so many requests are being answered, by all gateways of this process."""

    def requests() -> int:
        return sum(getattr(task.get_coro(), "__name__", "") == "run_asgi" for task in asyncio.all_tasks())

    await eventually(lambda: requests() == number)


async def test_an_answer_is_repeated_without_touching_postgres(pair: Pair, database: Database) -> None:
    await pair.here.post_stat(**RESULT)
    await pair.all_is_heard()
    answer = await pair.here.ask(AGGREGATES)
    assert answer["aggregates"]["nodes"] == [{"samples": 1, "region": {"name": "Frankfurt"}}]
    async with locked(database), asyncio.timeout(1), open_socket(pair.here.url, init=False) as socket:
        await socket.init(**ROOT)
        assert await pair.here.ask(AGGREGATES) == answer
        await socket.subscribe(AGGREGATES)
        assert (await socket.next())["aggregates"]["nodes"] == answer["aggregates"]["nodes"]
    assert counts(pair.here) == {"kept": 2, "shared": 0, "computed": 1}


async def test_what_a_client_has_done_is_in_the_next_answer(pair: Pair) -> None:
    here = pair.here
    for number in range(1, 4):
        assert (await here.post_stat(**RESULT)).text == "ok"
        assert await results(here) == 2 * number - 1
        await here.ask(RECORD)
        assert await results(here) == 2 * number
        await here.ask(RENAME, name=f"Frankfurt {number}")
        (group,) = (await here.ask(AGGREGATES))["aggregates"]["nodes"]
        assert group == {"samples": 2 * number, "region": {"name": f"Frankfurt {number}"}}
    await here.ask(WITHDRAW)
    assert await results(here) == 0
    assert (await here.ask(LOG))["auditLog"]["totalCount"] == 4


async def test_what_another_gateway_does_is_seen(pair: Pair) -> None:
    for number in range(1, 4):
        assert await results(pair.there) == number - 1
        await pair.here.post_stat(**RESULT)
        await pair.here.ask(RENAME, name=f"Frankfurt {number}")
        await pair.all_is_heard()
        assert await results(pair.there) == number
        (group,) = (await pair.there.ask(AGGREGATES))["aggregates"]["nodes"]
        assert group == {"samples": number, "region": {"name": f"Frankfurt {number}"}}


@asynccontextmanager
async def no_lines(database: Database, gateways: Sequence[Running]) -> AsyncIterator[None]:
    """The lines of gateways that hear as the owner are away inside the block."""
    server = await asyncpg.connect(database.logins.superuser)
    versions = [running.gateway.versions for running in gateways]
    await server.execute("ALTER ROLE podium_owner NOLOGIN")
    try:
        await server.fetch(END_LINES, database.name)
        await eventually(lambda: not any(it.are_heard for it in versions))
        yield
    finally:
        await server.execute("ALTER ROLE podium_owner LOGIN")
        await server.close()
    await eventually(lambda: all(it.are_heard for it in versions))


async def test_without_the_line_no_answer_is_old(start_gateway: StartGateway, database: Database) -> None:
    here, there = [await start_gateway(postgres_direct=database.logins.owner) for _ in range(2)]
    await eventually(lambda: here.gateway.versions.are_heard and there.gateway.versions.are_heard)
    assert [await results(there), await results(there)] == [0, 0]
    async with no_lines(database, [here, there]):
        for number in range(1, 11):
            await here.post_stat(**RESULT)
            assert [await results(there), await results(here)] == [number, number]
        assert counts(there) == {"kept": 1, "shared": 0, "computed": 11}
    assert [await results(there), await results(there)] == [10, 10]
    assert counts(there) == {"kept": 2, "shared": 0, "computed": 12}


async def test_a_hundred_equal_questions_at_once_are_one(pair: Pair, database: Database) -> None:
    async with locked(database) as lock:
        asking = [asyncio.create_task(results(pair.here)) for _ in range(100)]
        await in_flight(100)
        await lock.until_someone_waits()
    assert await asyncio.gather(*asking) == [0] * 100
    assert counts(pair.here) == {"kept": 0, "shared": 99, "computed": 1}


async def test_when_the_client_leaves_who_asked_first_the_others_are_answered(pair: Pair, database: Database) -> None:
    async with locked(database) as lock, httpx.AsyncClient(base_url=pair.here.url) as leaving:
        first = asyncio.create_task(leaving.post("/graphql", json={"query": COUNT}, headers=ROOT))
        await lock.until_someone_waits()
        others = [asyncio.create_task(results(pair.here)) for _ in range(10)]
        await in_flight(11)
        first.cancel()
        await in_flight(10)
        await lock.until_someone_waits()
    assert await asyncio.gather(*others) == [0] * 10
    assert counts(pair.here) == {"kept": 0, "shared": 9, "computed": 2}


async def test_those_who_may_do_different_things_share_nothing(start_gateway: StartGateway) -> None:
    running = await start_gateway(jwt_secret=TOKEN_SECRET, anonymous_scopes=())
    await eventually(lambda: running.gateway.versions.are_heard)
    reader, publisher = bearer(sub="ann", scope="read"), bearer(sub="bob", scope="publish")
    for _ in range(2):
        read, *refused = await asyncio.gather(*(running.graph(COUNT, headers) for headers in (reader, publisher, {})))
        assert read.json() == {"data": {"stats": {"totalCount": 0}}}
        codes = [answer.json()["errors"][0]["extensions"]["code"] for answer in refused]
        assert codes == ["FORBIDDEN", "UNAUTHENTICATED"]
    assert counts(running) == {"kept": 1, "shared": 0, "computed": 5}


async def test_those_who_may_do_the_same_share_their_answers_whoever_they_are(pair: Pair) -> None:
    for name in ("ann", "bob"):
        answer = await pair.here.graph(COUNT, bearer(sub=name, scope="read"))
        assert answer.json() == {"data": {"stats": {"totalCount": 0}}}
    await pair.here.graph(COUNT)
    assert counts(pair.here) == {"kept": 2, "shared": 0, "computed": 1}


async def test_an_answer_that_says_who_asks_is_nobody_elses(pair: Pair, database: Database) -> None:
    query = "{ stats { totalCount } identity { subject } }"

    async def subject(name: str) -> str:
        answer = await pair.here.graph(query, bearer(sub=name, scope="read"))
        return str(answer.json()["data"]["identity"]["subject"])

    names = [f"reader {number}" for number in range(20)]
    assert [await subject(name) for name in names] == names
    async with locked(database):
        asking = [asyncio.create_task(subject(name)) for name in names]
        await in_flight(20)
    assert await asyncio.gather(*asking) == names
    assert counts(pair.here) == {"kept": 0, "shared": 0, "computed": 40}


async def test_equal_mutations_at_once_are_all_done(pair: Pair) -> None:
    await asyncio.gather(*(pair.here.ask(RECORD) for _ in range(20)))
    assert await results(pair.here) == 20


async def test_an_answer_with_errors_is_not_kept(start_gateway: StartGateway, database: Database) -> None:
    running = await start_gateway(db_timeout="0.2s")
    await eventually(lambda: running.gateway.versions.are_heard)
    async with locked(database):
        assert (await running.answer(COUNT))["errors"][0]["extensions"]["code"] == "TIMED_OUT"
    assert await results(running) == 0


async def test_a_window_that_ends_now_goes_on(pair: Pair) -> None:
    query = '{ stats(filter: { during: { last: "2s" } }) { totalCount } }'
    await pair.here.post_stat(**RESULT)
    await pair.all_is_heard()
    seen: list[int] = []
    async with asyncio.timeout(10):
        while 0 not in seen:
            seen.append((await pair.here.ask(query))["stats"]["totalCount"])
    assert seen[0] == 1
    assert counts(pair.here)["computed"] <= 6


async def test_documents_that_are_named_are_answered_from_what_is_kept(pair: Pair, database: Database) -> None:
    hash_ = sha256(COUNT.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hash_}}
    assert await results(pair.here) == 0
    for body in ({"query": COUNT, "extensions": extensions}, {"extensions": extensions}):
        async with locked(database), asyncio.timeout(1):
            answer = await pair.here.client.post("/graphql", json=body, headers=ROOT)
        assert answer.json() == {"data": {"stats": {"totalCount": 0}}}


async def test_equal_queries_of_a_batch_are_one(start_gateway: StartGateway) -> None:
    running = await start_gateway(max_batch=10)
    await eventually(lambda: running.gateway.versions.are_heard)
    answer = await running.client.post("/graphql", json=[{"query": COUNT}] * 5)
    assert answer.json() == [{"data": {"stats": {"totalCount": 0}}}] * 5
    assert counts(running) == {"kept": 0, "shared": 4, "computed": 1}


async def test_answers_to_different_questions_take_a_bounded_part_of_memory(start_gateway: StartGateway) -> None:
    running = await start_gateway(answer_cache_bytes=50_000)
    await eventually(lambda: running.gateway.versions.are_heard)
    query = "query ($n: Int) { stats(first: $n) { nodes { id } } }"
    for number in range(200):
        await running.ask(query, n=number)
    assert 0 < running.gateway.answers.used_bytes <= 50_000
    assert 10 < len(running.gateway.answers) < 100


async def test_nothing_is_kept_or_shared_where_that_is_off(
    start_gateway: StartGateway, database: Database, connection: asyncpg.Connection
) -> None:
    running = await start_gateway(answer_cache_bytes=0)
    async with locked(database):
        asking = [asyncio.create_task(results(running)) for _ in range(5)]
        await in_flight(5)
    assert await asyncio.gather(*asking) == [0] * 5
    assert counts(running) == {"kept": 0, "shared": 0, "computed": 5}
    assert not await connection.fetchval(LINES, database.name)


async def test_the_metrics_say_where_answers_came_from(pair: Pair) -> None:
    for _ in range(3):
        await results(pair.here)
    shown = (await pair.here.client.get("/metrics")).text
    assert 'podium_answers_total{source="kept"} 2.0' in shown
    assert 'podium_answers_total{source="computed"} 1.0' in shown
    assert "podium_answers_kept 1.0" in shown
    assert f"podium_answers_bytes {float(pair.here.gateway.answers.used_bytes)}" in shown


async def test_no_answer_is_older_than_an_acknowledged_write_of_its_client(pair: Pair, database: Database) -> None:
    """Clients write at one gateway and read there at once; whoever reads at the other one never sees time go back."""
    query = "query ($a: [String!]!) { stats(filter: { orchestrator: { in: $a } }) { totalCount } }"
    everything, is_over = "{ stats { totalCount } }", asyncio.Event()

    async def write(number: int) -> None:
        random, name = Random(number), f"0x{number}"
        for stored in range(1, 16):
            await pair.here.post_stat(**{**RESULT, "orchestrator": name})
            for _ in range(random.randrange(1, 4)):
                found = await pair.here.ask(query, a=[name])
                assert found["stats"]["totalCount"] == stored
            assert await results(pair.here) >= stored

    async def watch(running: Running) -> None:
        last = 0
        while not is_over.is_set():
            found = (await running.ask(everything))["stats"]["totalCount"]
            assert found >= last
            last = found

    async def disturb() -> None:
        while not is_over.is_set():
            await pair.connection.fetch(END_LINES, database.name)
            kept = counts(pair.there)["kept"]
            await eventually(lambda before=kept: is_over.is_set() or counts(pair.there)["kept"] > before + 5)

    async with asyncio.TaskGroup() as others:
        for running in (pair.here, pair.there, pair.there):
            others.create_task(watch(running))
        others.create_task(disturb())
        async with asyncio.TaskGroup() as writers:
            for number in range(8):
                writers.create_task(write(number))
        is_over.set()
    await pair.all_is_heard()
    assert [await results(pair.here), await results(pair.there)] == [120, 120]
    assert counts(pair.here)["kept"] > 0
    assert counts(pair.there)["kept"] > 0
