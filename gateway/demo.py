"""A small demo set, so that a newcomer sees something: eight days of test results of seven made-up nodes."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from db.pool import Database
from resolvers.administration import Deed, withdraw_matching
from resolvers.catalog import Catalog
from resolvers.filters import StatFilter, Window
from resolvers.listing import count_results
from resolvers.recording import CheckedResult, store_results
from resolvers.results import JobError, Result

RESULTS = 4000
DAYS = 8
REGIONS = ("FRA", "LAX", "MDW", "NYC", "SIN", "LON")
AI_REGIONS = ("FRA", "LAX", "MDW")
MODELS = (
    ("Text to image", "stabilityai/sd-turbo"),
    ("Text to image", "bytedance/sdxl-lightning"),
    ("Image to image", "timbrooks/instruct-pix2pix"),
    ("Image to video", "stabilityai/svd-xt-1-1"),
)
SEGMENTS, RENDITIONS = 15, 30
TIMEOUT = JobError(error_code="Timeout", message="no answer within 30 s", count=1)
NO_SESSION = JobError(error_code="OrchestratorCapped", message="no session is free", count=1)
BROKEN = JobError(error_code="TranscodeFailed", message="the rendition cannot be decoded", count=2)
NO_MEMORY = JobError(error_code="OutOfMemory", message="the model does not fit", count=1)


class Node(NamedTuple):
    """How a node does: an ordinary round trip of 8 days ago, by how much it grows a day, and how often it fails."""

    pace_s: float
    growth_s: float
    failing: float


NODES = (
    Node(0.6, 0.0, 0.02),  # always the best
    Node(1.9, -0.15, 0.04),  # catches up
    Node(0.5, 0.07, 0.05),  # falls behind
    Node(1.3, 0.0, 0.08),  # was off for a day
    Node(1.5, 0.0, 0.1),  # is not tested everywhere lately
    Node(1.9, 0.0, 0.15),  # one model never works, and one place never tested its models
)
LUCKY = f"0x{len(NODES) + 1:040x}"  # has a single, fast result


async def fill_with_demo(db: Database, catalog: Catalog) -> int:
    """Store the demo set in a database without results; how many were stored."""
    if await count_results(db.write, StatFilter(is_withdrawn=None)):
        return 0
    random, now = Random(1), datetime.now(UTC)  # noqa: S311  made-up data, the same every time
    checked = [_lucky(now)]
    while len(checked) < RESULTS:
        result, age_s = _attempt(random)
        if result:
            checked.append(CheckedResult(result, recorded_at=now - timedelta(seconds=age_s)))
    checked.sort(key=lambda item: item.recorded_at or now)
    stored = await store_results(db, catalog, checked)
    # Of a day that no example of the documentation shows figures of.
    long_ago = Window(since=now - timedelta(days=6), until=now - timedelta(days=5))
    wrong = StatFilter(window=long_ago, regions=("NYC",), orchestrators=(_address(4),))
    await withdraw_matching(db.write, wrong, Deed("demo", "The tester in New York had a wrong clock."))
    return len(stored)


def _address(number: int) -> str:
    return f"0x{number + 1:040x}"


def _lucky(now: datetime) -> CheckedResult:
    result = Result(region="FRA", orchestrator=LUCKY, success_rate=1, round_trip_time=0.4, seg_duration=2.0)
    return CheckedResult(result, recorded_at=now - timedelta(hours=3))


def _attempt(random: Random) -> tuple[Result | None, float]:
    """A result and its age; None where a node was not tested."""
    # Nothing is close to the end of a day, so that the demo's first minutes all give the same answers.
    day, number = random.randrange(DAYS), random.randrange(len(NODES))
    age_s = day * 86_400 + random.uniform(0, 85_800)
    is_ai = random.random() < 0.35
    region = random.choice(AI_REGIONS if is_ai else REGIONS)
    if (
        (number == 3 and day == 2)
        or (number == 4 and region in ("SIN", "LON") and day < 2)
        or (number == 5 and region == "LAX" and is_ai)
    ):
        return None, age_s
    pace_s = NODES[number].pace_s + NODES[number].growth_s * (DAYS - age_s / 86_400)
    seconds = random.lognormvariate(0, 0.4) * pace_s
    return (_ai if is_ai else _transcoding)(random, number, region, seconds), age_s


def _transcoding(random: Random, number: int, region: str, round_trip_s: float) -> Result:
    errors: list[JobError | str] = (
        [random.choice((TIMEOUT, NO_SESSION, BROKEN))] if random.random() < NODES[number].failing else []
    )
    received = random.randrange(RENDITIONS) if BROKEN in errors else 0 if errors else RENDITIONS
    return Result(
        region=region,
        orchestrator=_address(number),
        success_rate=received / RENDITIONS,
        round_trip_time=round_trip_s if received else 0.0,
        errors=errors,
        seg_duration=2.0,
        segments_sent=SEGMENTS,
        segments_received=received,
        upload_time=0.1 * round_trip_s,
        download_time=0.08 * round_trip_s,
        transcode_time=0.6 * round_trip_s,
    )


def _ai(random: Random, number: int, region: str, round_trip_s: float) -> Result:
    pipeline, model = random.choice(MODELS)
    is_too_large = number == 5 and pipeline == "Image to video"
    errors: list[JobError | str] = (
        [NO_MEMORY] if is_too_large else [TIMEOUT] if random.random() < NODES[number].failing else []
    )
    is_warm = random.random() < 0.8
    return Result(
        region=region,
        orchestrator=_address(number),
        success_rate=0.0 if errors else 1.0,
        round_trip_time=0.0 if errors else round_trip_s * (4 if is_warm else 9),
        errors=errors,
        pipeline=pipeline,
        model=model,
        model_is_warm=is_warm,
    )
