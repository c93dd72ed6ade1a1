"""Fills a podium database with made-up results: skewed as real ones are, and the same ones for the same seed."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from db.embedded import ignore
from db.pool import Database, Pool, PoolOptions
from db.statements import Statement, parse
from resolvers.catalog import Catalog
from resolvers.errors import from_driver
from resolvers.filters import FILTER_IDS, Window
from resolvers.listing import ORCHESTRATORS_BY_ADDRESS
from resolvers.recording import create_partitions
from resolvers.results import Result
from resolvers.rollups import rebuild

ORCHESTRATORS = 100
TRANSCODING_REGIONS = ("MDW", "FRA", "LON", "NYC", "LAX", "PRG", "SIN", "SAO", "SYD", "HND")
AI_REGIONS = ("MDW", "FRA", "LAX", "GLOBAL")
# Pipelines with their models, and the usual round trip of each in seconds.
MODELS = {
    "text-to-image": {"ByteDance/SDXL-Lightning": 2.1, "SG161222/RealVisXL_V4.0_Lightning": 3.4},
    "image-to-image": {"timbrooks/instruct-pix2pix": 4.2, "stabilityai/sdxl-turbo": 2.8},
    "image-to-video": {"stabilityai/stable-video-diffusion-img2vid-xt-1-1": 41.0, "ali-vilab/i2vgen-xl": 55.0},
    "audio-to-text": {"openai/whisper-large-v3": 6.5, "openai/whisper-medium": 3.9},
    "llm": {"meta-llama/Meta-Llama-3.1-8B-Instruct": 7.7, "mistralai/Mistral-7B-Instruct-v0.3": 6.9},
}
ERROR_CODES = ("Timeout", "OrchestratorBusy", "NoOrchestrators", "InsufficientCapacity", "InternalServerError")
AI_SHARE = 0.3
FAILURE_SHARE = 0.08
WARM_SHARE = 0.85
SEGMENTS = 30

PARTS = 2  # made at the same time, each by one process of Postgres
ROWS_AT_ONCE = 100_000
PATIENCE_S = 3600

_STATEMENTS = parse("bench", Path(__file__).with_name("results.sql").read_text())
DEFINE_UNIFORM, RESERVE_IDS, MAKE_RESULTS = (
    _STATEMENTS[f"bench.{name}"] for name in ("define_uniform", "reserve_ids", "make_results")
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Which results: how many, of which days, and the seed of everything random about them."""

    results: int
    until: datetime
    days: float = 30
    seed: int = 1

    @property
    def since(self) -> datetime:
        """When the first one was recorded."""
        return self.until - timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Place:
    """An orchestrator, region or model by its id, with what it multiplies a round trip by."""

    id: int
    factor: float


@dataclass(frozen=True, slots=True)
class World:
    """What results are about; the orchestrators from the busiest to the idlest."""

    orchestrators: list[Place]
    transcoding_regions: list[Place]
    ai_regions: list[Place]
    models: list[Place]


def addresses(seed: int) -> list[str]:
    """The orchestrators of a dataset, from the busiest to the idlest; the 19th has about 1 % of the results."""
    rng = Random(seed)
    return [f"0x{rng.getrandbits(160):040x}" for _ in range(ORCHESTRATORS)]


async def fill(url: str, dataset: Dataset) -> list[str]:
    """Store the results as a superuser, their roll-ups, and the addresses of their orchestrators, which it answers."""
    async with _opened(url) as db, _connected(url) as connection:
        await create_partitions(db, dataset.since, dataset.until)
        world = await _world(db, dataset)
        first_id = await connection.fetchval(*_bound(RESERVE_IDS, number=dataset.results))
        given = _given(dataset, world) | {"first_id": first_id}
        edges = [dataset.results * part // PARTS for part in range(PARTS + 1)]
        await asyncio.gather(*(_make(url, range(*part), given) for part in pairwise(edges)))
        await connection.execute("VACUUM (ANALYZE) podium.results")
        await rebuild(db, Window(dataset.since, dataset.until), ignore)
        await connection.execute("VACUUM (ANALYZE) podium.hourly_rollups, podium.daily_rollups")
        await connection.execute("VACUUM (ANALYZE) podium.orchestrators, podium.models, podium.pipelines")
    return addresses(dataset.seed)


async def _make(url: str, numbers: range, given: dict[str, Any]) -> None:
    async with _connected(url) as connection:
        # Checks of foreign keys take twice as long as all the rest, and every id here is one that was looked up.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(DEFINE_UNIFORM.sql)
        for first in numbers[::ROWS_AT_ONCE]:
            last = min(first + ROWS_AT_ONCE, numbers.stop) - 1
            await connection.execute(*_bound(MAKE_RESULTS, first=first, last=last, **given))


def _given(dataset: Dataset, world: World) -> dict[str, Any]:
    cumulated = list(accumulate(1 / rank for rank in range(1, len(world.orchestrators) + 1)))
    return {
        "seed": dataset.seed,
        "since": dataset.since,
        "step_s": timedelta(days=dataset.days).total_seconds() / max(dataset.results, 1),
        "shares": [reached / cumulated[-1] for reached in cumulated[:-1]],
        **_places("orchestrators", "paces", world.orchestrators),
        **_places("regions", "region_factors", world.transcoding_regions),
        **_places("ai_regions", "ai_region_factors", world.ai_regions),
        **_places("models", "usual_s", world.models),
        "error_codes": ERROR_CODES,
        "ai_share": AI_SHARE,
        "failure_share": FAILURE_SHARE,
        "warm_share": WARM_SHARE,
        "segments": SEGMENTS,
    }


def _places(ids: str, factors: str, places: list[Place]) -> dict[str, list[float]]:
    return {ids: [place.id for place in places], factors: [place.factor for place in places]}


def _bound(statement: Statement, **given: Any) -> tuple[Any, ...]:
    sql, values = statement.bound(given)
    return sql, *values


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    pool = Pool(url, PoolOptions(size=1, timeout_s=PATIENCE_S), from_driver)
    await pool.open()
    try:
        yield Database(pool, pool)
    finally:
        await pool.close()


async def _world(db: Database, dataset: Dataset) -> World:
    catalog = Catalog(db, ttl_s=60)
    orchestrators = [Result(orchestrator=address) for address in addresses(dataset.seed)]
    models = {
        Result(orchestrator="0x", pipeline=pipeline, model=model): usual_s for pipeline, model, usual_s in _models()
    }
    await catalog.learn([*orchestrators, *models])
    nodes = await db.read.fetch(ORCHESTRATORS_BY_ADDRESS, addresses=[node.orchestrator for node in orchestrators])
    ids = {node.address: node.id for node in nodes}
    rng = Random(dataset.seed)
    return World(
        [Place(ids[node.orchestrator], rng.uniform(0.6, 2)) for node in orchestrators],
        [Place(await _region_id(catalog, code, "transcoding"), rng.uniform(0.8, 1.5)) for code in TRANSCODING_REGIONS],
        [Place(await _region_id(catalog, code, "ai"), rng.uniform(0.8, 1.5)) for code in AI_REGIONS],
        [Place(await _model_id(db, model), usual_s) for model, usual_s in models.items()],
    )


async def _region_id(catalog: Catalog, code: str, job_type: str) -> int:
    return int((await catalog.region(code, job_type)).id)


async def _model_id(db: Database, result: Result) -> int:
    names = {"orchestrators": None, "regions": None, "pipelines": [result.pipeline], "models": [result.model]}
    return int((await db.read.fetchrow(FILTER_IDS, **names)).model_ids[0])


def _models() -> Iterator[tuple[str, str, float]]:
    for pipeline, models in MODELS.items():
        for model, usual_s in models.items():
            yield pipeline, model, usual_s


def main() -> None:
    """Fill the database of a connection URL."""
    parser = argparse.ArgumentParser(prog="python -m bench.generate", description=__doc__)
    parser.add_argument("url", help="connection URL of a superuser in a podium database")
    parser.add_argument("--results", type=int, default=200_000)
    parser.add_argument("--days", type=float, default=30, help="spread over the last DAYS")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    asyncio.run(fill(given.url, Dataset(given.results, datetime.now(UTC), given.days, given.seed)))
    print(f"{given.results:,} results of {ORCHESTRATORS} orchestrators")


if __name__ == "__main__":
    main()
