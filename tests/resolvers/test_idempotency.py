"""Posts that arrive more than once are stored once, whatever breaks."""

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from resolvers.idempotency import MAX_KEY_LENGTH
from tests.harness import TOKEN_SECRET, Database, Running, StartGateway, bearer, eventually

RECORD = """mutation ($results: [StatInput!]!, $key: String) { recordStats(results: $results, idempotencyKey: $key) {
  replayed stats { id orchestrator { address } } errors { code index field message } } }"""
RESULTS = [
    {"region": "FRA", "orchestrator": "0xA", "successRate": 1, "roundTripTime": 1},
    {"region": "LAX", "orchestrator": "0xb", "successRate": 1, "pipeline": "P", "model": "m"},
]
COUNT = "SELECT count(*) FROM podium.results"
PARTITIONS = "SELECT inhrelid::regclass AS name FROM pg_inherits WHERE inhparent = 'podium.results'::regclass"
KEYS = "SELECT count(*) FROM podium.idempotency_keys"


@pytest.fixture
async def gateways(start_gateway: StartGateway) -> list[Running]:
    """Two gateways on one database, which take tokens."""
    return [await start_gateway(jwt_secret=TOKEN_SECRET) for _ in range(2)]


async def record(running: Running, key: str | None, results: Any = RESULTS, sub: str = "me") -> Any:
    answer = await running.graph(RECORD, bearer(sub=sub, scope="publish"), results=results, key=key)
    data = answer.json()["data"]
    return data and data["recordStats"]


async def test_the_same_post_answers_what_was_stored(gateways: list[Running], connection: asyncpg.Connection) -> None:
    first = await record(gateways[0], "k")
    again = await record(gateways[1], "k")
    assert (first["replayed"], again["replayed"]) == (False, True)
    assert first["stats"] == again["stats"]
    assert [stat["orchestrator"]["address"] for stat in first["stats"]] == ["0xa", "0xb"]
    assert await connection.fetchval(COUNT) == 2
    assert not (await record(gateways[0], None))["replayed"]
    assert await connection.fetchval(COUNT) == 4


async def test_twenty_at_once_are_stored_once(gateways: list[Running], connection: asyncpg.Connection) -> None:
    answers = await asyncio.gather(*(record(gateways[number % 2], "k") for number in range(20)))
    assert Counter(answer["replayed"] for answer in answers) == {False: 1, True: 19}
    assert len({str(answer["stats"]) for answer in answers}) == 1
    assert await connection.fetchval(COUNT) == 2


@pytest.mark.parametrize(
    "other", [RESULTS[:1], [*RESULTS, RESULTS[0]], RESULTS[::-1], [{**RESULTS[0], "roundTripTime": 2}, RESULTS[1]]]
)
async def test_other_results_with_the_key_are_a_conflict(
    gateways: list[Running], connection: asyncpg.Connection, other: Any
) -> None:
    await record(gateways[0], "k")
    conflict = await record(gateways[1], "k", other)
    assert (conflict["stats"], conflict["replayed"]) == ([], False)
    assert conflict["errors"] == [
        {
            "code": "IDEMPOTENCY_CONFLICT",
            "index": None,
            "field": "idempotencyKey",
            "message": "idempotencyKey: it was used with other results",
        }
    ]
    assert await connection.fetchval(COUNT) == 2


async def test_keys_of_others_do_not_meet(
    gateways: list[Running], start_gateway: StartGateway, connection: asyncpg.Connection
) -> None:
    for sub in ("me", "you"):
        assert not (await record(gateways[0], "k", sub=sub))["replayed"]
    signed = await (await start_gateway()).ask(RECORD, results=RESULTS[:1], key="k")
    assert (signed["recordStats"]["replayed"], signed["recordStats"]["errors"]) == (False, [])
    assert await connection.fetchval(COUNT) == 5


async def test_a_result_that_is_refused_uses_up_no_key(gateways: list[Running], connection: asyncpg.Connection) -> None:
    for wrong in ({"region": "NOWHERE"}, {"roundTripTime": -1}, {"orchestrator": "x" * 57}):
        refused = await record(gateways[0], "k", [RESULTS[0], {**RESULTS[1], **wrong}])
        assert refused["errors"]
        assert refused["stats"] == []
    assert (await connection.fetchval(COUNT), await connection.fetchval(KEYS)) == (0, 0)
    assert not (await record(gateways[0], "k"))["replayed"]


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY_LENGTH + 1), "a\0b"])
async def test_a_key_that_cannot_be_is_told(gateways: list[Running], key: str) -> None:
    (error,) = (await record(gateways[0], key))["errors"]
    assert (error["code"], error["index"], error["field"]) == ("INVALID_ARGUMENT", None, "idempotencyKey")


async def test_long_keys_of_any_letters_are_kept(gateways: list[Running]) -> None:
    key = "".join(chr(0x1F300 + number) for number in range(MAX_KEY_LENGTH))
    assert [(await record(gateways[0], key, sub="é" * 200))["replayed"] for _ in range(2)] == [False, True]


WAITING = """SELECT l.pid FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE datname = current_database()
  AND NOT l.granted AND l.relation = 'podium.results'::regclass AND l.mode = 'RowExclusiveLock'"""


async def test_what_breaks_between_key_and_results_leaves_neither(
    gateways: list[Running], connection: asyncpg.Connection, database: Database
) -> None:
    watching = await asyncpg.connect(database.logins.superuser)
    async with connection.transaction():
        await connection.execute("LOCK TABLE podium.results IN ACCESS EXCLUSIVE MODE")
        posts = [asyncio.create_task(record(gateway, "k")) for gateway in gateways]
        async with asyncio.timeout(5):
            while not (pid := await watching.fetchval(WAITING)):  # with the key in its transaction
                await asyncio.sleep(0.01)
        await watching.execute("SELECT pg_terminate_backend($1)", pid)
        await eventually(lambda: any(post.done() for post in posts))
    await watching.close()
    stored = [await post for post in posts]
    assert sorted(answer is not None for answer in stored) == [False, True]
    assert (await connection.fetchval(COUNT), await connection.fetchval(KEYS)) == (2, 1)
    assert [(await record(gateway, "k"))["replayed"] for gateway in gateways] == [True, True]


async def test_partitions_that_are_gone_are_made_again(gateways: list[Running], connection: asyncpg.Connection) -> None:
    for partition in await connection.fetch(PARTITIONS):
        await connection.execute(f"DROP TABLE {partition['name']}")
    assert (await record(gateways[0], "k"))["errors"] == []
    assert (await connection.fetchval(COUNT), await connection.fetchval(KEYS)) == (2, 1)


async def test_names_that_are_gone_are_added_again(gateways: list[Running], connection: asyncpg.Connection) -> None:
    await record(gateways[0], None)
    await connection.execute("TRUNCATE podium.orchestrators, podium.models, podium.pipelines CASCADE")
    assert (await record(gateways[0], "k"))["errors"] == []
    assert (await connection.fetchval(COUNT), await connection.fetchval(KEYS)) == (2, 1)
