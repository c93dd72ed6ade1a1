"""Fills a podium database with made-up results: skewed as real ones are, and the same ones for the same seed."""

import argparse
import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

import asyncpg

from db.pool import Database, Pool, PoolOptions
from resolvers.catalog import Catalog
from resolvers.errors import from_driver
from resolvers.filters import FILTER_IDS
from resolvers.listing import ORCHESTRATORS_BY_ADDRESS
from resolvers.recording import create_partitions
from resolvers.results import Result

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

COLUMNS = (
    *("recorded_at", "timestamp", "success_rate", "round_trip_time", "seg_duration", "upload_time", "download_time"),
    *("transcode_time", "orchestrator_id", "region_id", "model_id", "segments_sent", "segments_received"),
    *("model_is_warm", "errors", "payload"),
)
PAYLOAD = '{"input_parameters": "{\\"prompt\\": \\"a bear, take %d\\"}", "response_payload": "{\\"seed\\": %d}"}'


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


def records(dataset: Dataset, world: World) -> Iterator[tuple[Any, ...]]:
    """The results in the order of their times, as rows of `COLUMNS`."""
    rng = Random(dataset.seed)
    cumulated = list(accumulate(1 / rank for rank in range(1, len(world.orchestrators) + 1)))
    step = (dataset.until - dataset.since) / max(dataset.results, 1)
    for number in range(dataset.results):
        at = dataset.since + step * (number + rng.random())
        orchestrator = rng.choices(world.orchestrators, cum_weights=cumulated)[0]
        row = _ai_row if rng.random() < AI_SHARE else _transcoding_row
        yield at, int(at.timestamp()), *row(rng, world, orchestrator)


async def fill(url: str, dataset: Dataset) -> list[str]:
    """Store the results as the owner of the tables, and the addresses of their orchestrators, which it answers."""
    world = await _settle(url, dataset)
    connection = await asyncpg.connect(url)
    try:
        await connection.copy_records_to_table(
            "results", schema_name="podium", columns=COLUMNS, records=records(dataset, world)
        )
        await connection.execute("VACUUM (ANALYZE) podium.results")
        await connection.execute("VACUUM (ANALYZE) podium.orchestrators, podium.models, podium.pipelines")
    finally:
        await connection.close()
    return addresses(dataset.seed)


def _transcoding_row(rng: Random, world: World, orchestrator: Place) -> tuple[Any, ...]:
    region = rng.choice(world.transcoding_regions)
    received = SEGMENTS if rng.random() >= FAILURE_SHARE else rng.randrange(SEGMENTS)
    round_trip = rng.lognormvariate(-0.3, 0.35) * orchestrator.factor * region.factor
    times = (round_trip, 2.0, 0.18 * round_trip, 0.12 * round_trip, 0.6 * round_trip)
    errors = "[]" if received == SEGMENTS else _errors(rng, SEGMENTS - received)
    return received / SEGMENTS, *times, orchestrator.id, region.id, None, SEGMENTS, received, None, errors, None


def _ai_row(rng: Random, world: World, orchestrator: Place) -> tuple[Any, ...]:
    region, model, warm = rng.choice(world.ai_regions), rng.choice(world.models), rng.random() < WARM_SHARE
    success = rng.random() >= FAILURE_SHARE
    round_trip = rng.lognormvariate(0, 0.3) * orchestrator.factor * region.factor * model.factor * (1 if warm else 3)
    errors = "[]" if success else _errors(rng, 1)
    payload = PAYLOAD % (rng.randrange(1000), rng.getrandbits(31))
    places = (orchestrator.id, region.id, model.id)
    return float(success), round_trip, None, None, None, None, *places, None, None, warm, errors, payload


def _errors(rng: Random, count: int) -> str:
    return f'[{{"error_code": "{rng.choice(ERROR_CODES)}", "count": {count}}}]'


async def _settle(url: str, dataset: Dataset) -> World:
    pool = Pool(url, PoolOptions(size=1, timeout_s=60), from_driver)
    await pool.open()
    try:
        db = Database(pool, pool)
        await create_partitions(db, dataset.since, dataset.until)
        return await _world(db, dataset)
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
    parser.add_argument("url", help="connection URL of the owner of podium's tables")
    parser.add_argument("--results", type=int, default=200_000)
    parser.add_argument("--days", type=float, default=30, help="spread over the last DAYS")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    asyncio.run(fill(given.url, Dataset(given.results, datetime.now(UTC), given.days, given.seed)))
    print(f"{given.results:,} results of {ORCHESTRATORS} orchestrators")


if __name__ == "__main__":
    main()
