"""What is measured: each case is an endless stream of requests, different ones unless their answers are kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, cycle
from random import Random
from time import time
from urllib.parse import urlencode

import orjson

from bench.generate import AI_REGIONS, AI_SHARE, MODELS, SEGMENTS, TRANSCODING_REGIONS
from bench.load import get_request, post_request
from resolvers.signing import signature

DAY_S = 86_400
PIPELINE = "text-to-image"
MODEL = "ByteDance/SDXL-Lightning"
AVERAGE_RANK = 19  # of 100 orchestrators by 1/rank, the one with 1 % of the results
BODIES = 1000
POSTS = "post_stats"
AGGREGATES = """{ aggregates(groupBy: [ORCHESTRATOR], orderBy: [SCORE_DESC], filter: { jobType: TRANSCODING })
  { totalCount nodes { orchestrator { address } score successRate roundTripScore samples } } }"""
STANDINGS = """query ($since: DateTime!) { leaderboard(jobType: TRANSCODING, during: { since: $since })
  { rank orchestrator { address } score lowerBound samples } }"""
SERIES = """query ($since: DateTime!) { series(bucket: DAY, groupBy: [REGION], filter: { jobType: TRANSCODING,
  during: { since: $since } }) { label points { at score successRate samples } } }"""


@dataclass(frozen=True, slots=True)
class Case:
    """A name, how its requests are made, how many connections they are sent on, and whether answers are kept."""

    name: str
    requests: Callable[[], Iterator[bytes]]
    connections: tuple[int, ...] = (1, 16)
    is_kept: bool = False


def cases(orchestrators: list[str], secret: str) -> list[Case]:
    """All cases, for a database with these orchestrators, from the busiest to the idlest."""
    average = orchestrators[AVERAGE_RANK - 1]

    def stats(days: float = 1, **parameters: str) -> Callable[[], Iterator[bytes]]:
        return lambda: _since("/api/aggregated_stats", days, parameters)

    return [
        Case("aggregated_stats 24 h", stats()),
        Case("aggregated_stats one region", stats(region="MDW")),
        Case("aggregated_stats one orchestrator", stats(orchestrator=average)),
        Case("aggregated_stats 7 days", stats(days=7)),
        Case("aggregated_stats 30 days", stats(days=30)),
        Case("aggregated_stats AI one model", stats(pipeline=PIPELINE, model=MODEL)),
        Case("raw_stats one orchestrator", lambda: _since("/api/raw_stats", 1, {"orchestrator": average})),
        Case("top_ai_score", lambda: _top_ai_scores(orchestrators)),
        Case("pipelines", lambda: _since("/api/pipelines", 1, {})),
        Case("regions", lambda: cycle([get_request("/api/regions")])),
        Case("graphql leaderboard 24 h", lambda: _asked_since(STANDINGS, 1)),
        Case("graphql leaderboard 30 days", lambda: _asked_since(STANDINGS, 30)),
        Case("graphql series 30 days", lambda: _asked_since(SERIES, 30)),
        Case(POSTS, lambda: _posts(orchestrators, secret), connections=(1, 32)),
        Case("aggregated_stats 24 h, kept", lambda: cycle([get_request("/api/aggregated_stats")]), is_kept=True),
        Case("graphql aggregates, kept", lambda: cycle([_asked(AGGREGATES)]), is_kept=True),
    ]


def _since(path: str, days: float, parameters: dict[str, str]) -> Iterator[bytes]:
    for since in _beginnings(days):
        yield get_request(f"{path}?{urlencode({'since': f'{since:.6f}', **parameters})}")


def _asked_since(document: str, days: float) -> Iterator[bytes]:
    for since in _beginnings(days):
        yield _asked(document, since=datetime.fromtimestamp(since, UTC))


def _beginnings(days: float) -> Iterator[float]:
    began = time() - days * DAY_S
    for number in count():
        # A second apart, within an hour; the fraction keeps them apart beyond that.
        yield began - number % 3600 - number * 1e-6


def _asked(document: str, **variables: object) -> bytes:
    return post_request("/graphql", orjson.dumps({"query": document, "variables": variables}))


def _top_ai_scores(orchestrators: list[str]) -> Iterator[bytes]:
    return cycle([get_request(f"/api/top_ai_score?orchestrator={address}") for address in orchestrators])


def _posts(orchestrators: list[str], secret: str) -> Iterator[bytes]:
    rng = Random(1)
    heads = cycle([_result(rng, orchestrators)[:-1] + b',"timestamp":' for _ in range(BODIES)])
    for number in count(int(time())):
        body = b"%b%d}" % (next(heads), number)
        yield post_request("/api/post_stats", body, signature(body, secret))


def _result(rng: Random, orchestrators: list[str]) -> bytes:
    about = {"orchestrator": rng.choice(orchestrators), "success_rate": 1, "errors": []}
    round_trip = {"round_trip_time": rng.lognormvariate(0, 0.4)}
    return orjson.dumps(about | round_trip | (_ai(rng) if rng.random() < AI_SHARE else _transcoding(rng)))


def _ai(rng: Random) -> dict[str, object]:
    pipeline, models = rng.choice(list(MODELS.items()))
    texts = {"input_parameters": '{"prompt": "a bear"}', "response_payload": f'{{"seed": {rng.getrandbits(31)}}}'}
    place = {"region": rng.choice(AI_REGIONS), "pipeline": pipeline, "model": rng.choice(list(models))}
    return {**place, "model_is_warm": True, **texts}


def _transcoding(rng: Random) -> dict[str, object]:
    times = {name: rng.random() for name in ("upload_time", "download_time", "transcode_time")}
    segments = {"segments_sent": SEGMENTS, "segments_received": SEGMENTS}
    return {"region": rng.choice(TRANSCODING_REGIONS), "seg_duration": 2, **times, **segments}
