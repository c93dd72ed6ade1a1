"""Made-up results: the same ones for the same seed, and such as the API answers about."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx

from bench.generate import AI_REGIONS, MODELS, TRANSCODING_REGIONS, Dataset, fill
from db.pool import Pool, PoolOptions
from resolvers.errors import from_driver
from resolvers.filters import Window
from resolvers.rollups import check
from tests.harness import Database, NewDatabase, StartGateway

UNTIL = datetime.now(UTC).replace(microsecond=0)
DATASET = Dataset(results=2000, until=UNTIL, days=30, seed=7)
SINCE = f"since={DATASET.since.timestamp()}"
OWNERS = "SELECT address FROM podium.results JOIN podium.orchestrators AS o ON o.id = orchestrator_id"
SHARES = """
SELECT avg((model_id IS NOT NULL)::integer), avg((success_rate < 1)::integer),
  count(*) FILTER (WHERE (success_rate < 1) <> (errors <> '[]'))
FROM podium.results
"""

# What foreign keys would refuse: they are not checked while results are made.
ORPHANS = """
SELECT count(*) FROM podium.results AS r
WHERE NOT EXISTS (SELECT FROM podium.orchestrators WHERE id = orchestrator_id)
  OR NOT EXISTS (SELECT FROM podium.regions WHERE id = region_id AND (job_type = 'ai') = (model_id IS NOT NULL))
  OR model_id IS NOT NULL AND NOT EXISTS (SELECT FROM podium.models WHERE id = model_id)
"""


async def test_a_seed_always_makes_the_same_results(new_database: NewDatabase) -> None:
    first = await made(new_database, DATASET)
    assert len(first) == DATASET.results
    assert first == await made(new_database, DATASET)
    assert first != await made(new_database, Dataset(2000, UNTIL, days=30, seed=8))


async def test_results_are_spread_over_the_days(database: Database, connection: asyncpg.Connection) -> None:
    await fill(database.logins.superuser, DATASET)
    times = [row[0] for row in await connection.fetch("SELECT recorded_at FROM podium.results ORDER BY id")]
    assert times == sorted(times)
    assert DATASET.since <= times[0] < DATASET.since + timedelta(hours=1)
    assert UNTIL - timedelta(hours=1) < times[-1] <= UNTIL


async def test_results_are_skewed_as_real_ones_are(database: Database, connection: asyncpg.Connection) -> None:
    busiest = await fill(database.logins.superuser, DATASET)
    numbers = Counter(row[0] for row in await connection.fetch(OWNERS))
    assert 0.15 < numbers[busiest[0]] / DATASET.results < 0.25
    assert numbers[busiest[0]] > numbers[busiest[9]] > numbers[busiest[60]]
    shares = await connection.fetchrow(SHARES)
    assert shares
    assert 0.25 < shares[0] < 0.35
    assert 0.05 < shares[1] < 0.11
    assert shares[2] == 0
    assert await connection.fetchval(ORPHANS) == 0


async def test_a_second_dataset_is_added_with_ids_of_its_own(
    database: Database, connection: asyncpg.Connection
) -> None:
    for seed in (7, 8):
        await fill(database.logins.superuser, Dataset(100, UNTIL, days=2, seed=seed))
    assert await connection.fetchval("SELECT array_agg(id ORDER BY id) FROM podium.results") == list(range(1, 201))
    assert await connection.fetchval("SELECT nextval('podium.results_id_seq')") == 201


async def test_the_api_answers_about_them(
    database: Database, connection: asyncpg.Connection, start_gateway: StartGateway
) -> None:
    orchestrators = await fill(database.logins.superuser, DATASET)
    client = (await start_gateway()).client
    stats = (await client.get(f"/api/aggregated_stats?{SINCE}")).json()
    assert set(stats) <= set(orchestrators)
    assert {region for regions in stats.values() for region in regions} == set(TRANSCODING_REGIONS)
    numbers = Counter(row[0] for row in await connection.fetch(OWNERS))
    assert await number_of_raw_stats(client, orchestrators[0]) == numbers[orchestrators[0]]
    pipelines = (await client.get(f"/api/pipelines?{SINCE}")).json()["pipelines"]
    assert {pipeline["id"]: pipeline["models"] for pipeline in pipelines} == {
        name: sorted(models) for name, models in MODELS.items()
    }
    assert all(pipeline["regions"] == sorted(AI_REGIONS) for pipeline in pipelines)


async def test_roll_ups_are_what_the_results_come_to(database: Database) -> None:
    await fill(database.logins.superuser, DATASET)
    pool = Pool(database.logins.reader, PoolOptions(size=1, timeout_s=60), from_driver)
    await pool.open()
    try:
        checked = [day async for day in check(pool, Window())]
    finally:
        await pool.close()
    assert len(checked) == DATASET.days + 1
    assert not any(day.wrong_cells for day in checked)


async def made(new_database: NewDatabase, dataset: Dataset) -> list[str]:
    """The rows that a dataset makes in a new database."""
    database = await new_database()
    await fill(database.logins.superuser, dataset)
    connection = await asyncpg.connect(database.logins.superuser)
    try:
        return [row[0] for row in await connection.fetch("SELECT r::text FROM podium.results AS r ORDER BY id")]
    finally:
        await connection.close()


async def number_of_raw_stats(client: httpx.AsyncClient, orchestrator: str) -> int:
    """How many results raw_stats shows, of both kinds of jobs."""
    path = f"/api/raw_stats?{SINCE}&orchestrator={orchestrator}&job_type="
    answers = [(await client.get(path + job_type)).json() for job_type in ("transcoding", "ai")]
    return sum(len(results) for answer in answers for results in answer.values())
