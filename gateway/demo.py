"""A small demo set, so that a newcomer sees something: a day of test results of six made-up nodes."""

from datetime import UTC, datetime, timedelta
from random import Random

from db.pool import Database
from resolvers.catalog import Catalog
from resolvers.filters import StatFilter
from resolvers.listing import count_results
from resolvers.recording import CheckedResult, store_results
from resolvers.results import JobError, Result

RESULTS = 2000
REGIONS = ("FRA", "LAX", "MDW", "NYC", "SIN", "LON")
AI_REGIONS = ("FRA", "LAX", "MDW")
MODELS = (
    ("Text to image", "stabilityai/sd-turbo"),
    ("Text to image", "bytedance/sdxl-lightning"),
    ("Image to image", "timbrooks/instruct-pix2pix"),
    ("Image to video", "stabilityai/svd-xt-1-1"),
)


async def fill_with_demo(db: Database, catalog: Catalog) -> int:
    """Store the demo set in a database without results; how many were stored."""
    if await count_results(db.write, StatFilter(is_withdrawn=None)):
        return 0
    random, now = Random(1), datetime.now(UTC)  # noqa: S311  made-up data, the same every time
    results = [_result(random) for _ in range(RESULTS)]
    times = sorted(now - timedelta(seconds=random.uniform(0, 86_000)) for _ in results)
    checked = [CheckedResult(result, recorded_at=time) for result, time in zip(results, times, strict=True)]
    return len(await store_results(db, catalog, checked))


def _result(random: Random) -> Result:
    node = random.randrange(6)
    failed = random.random() < 0.02 * (node + 1)
    pace = 0.6 + 0.25 * node
    is_ai = random.random() < 0.3
    pipeline, model = random.choice(MODELS) if is_ai else ("", "")
    return Result(
        region=random.choice(AI_REGIONS if is_ai else REGIONS),
        orchestrator=f"0x{node + 1:040x}",
        success_rate=0.0 if failed else 1.0,
        round_trip_time=0.0 if failed else random.lognormvariate(0, 0.4) * pace * (4 if is_ai else 1),
        errors=[JobError(error_code="Timeout", count=1)] if failed else [],
        seg_duration=None if is_ai else 2.0,
        segments_sent=None if is_ai else 15,
        segments_received=None if is_ai else (0 if failed else 30),
        upload_time=None if is_ai else 0.1 * pace,
        download_time=None if is_ai else 0.08 * pace,
        transcode_time=None if is_ai else 0.4 * pace,
        pipeline=pipeline,
        model=model,
        model_is_warm=random.random() < 0.8 if is_ai else None,
    )
