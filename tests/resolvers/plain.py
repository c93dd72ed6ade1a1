"""The same answers in plain Python: random results, and what resolvers must say of them."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import exp, floor, log
from statistics import fmean, median, pstdev
from typing import Any, NamedTuple

from hypothesis import strategies as st

from resolvers.aggregation import Dimension
from resolvers.filters import StatFilter, Window
from resolvers.results import JobError, Result

NOW = datetime(2026, 3, 4, tzinfo=UTC)
ADDRESSES = ("0xa", "0xb", "0xc")
MODELS = (("", ""), ("P", "m"), ("P", "n"), ("Q", "m"))
TIMES = ("round_trip_time", "upload_time", "download_time", "transcode_time")


class Recorded(NamedTuple):
    """A result and when it was recorded."""

    result: Result
    at: datetime


# Few different values, so that there are ties, zeros and equal groups; some minutes, so that edges of buckets are hit.
seconds = st.sampled_from((0.0, 0.5, 1.0, 2.0)) | st.floats(0.001, 1e6)
times = st.integers(0, 3 * 24 * 60).map(lambda m: NOW - timedelta(minutes=m)) | st.integers(0, 3 * 86_400 * 10**6).map(
    lambda us: NOW - timedelta(microseconds=us)
)
errors = st.none() | st.lists(
    st.builds(JobError, error_code=st.sampled_from((None, "", "A", "B")), count=st.integers(0, 3)), max_size=3
)


def _result(model: tuple[str, str], **fields: Any) -> Result:
    return Result(pipeline=model[0], model=model[1], **fields)


results = st.builds(
    _result,
    model=st.sampled_from(MODELS),
    region=st.sampled_from(("FRA", "LAX")),
    orchestrator=st.sampled_from(ADDRESSES),
    success_rate=st.sampled_from((0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.5)),
    round_trip_time=seconds,
    seg_duration=st.none() | seconds,
    upload_time=st.none() | seconds,
    transcode_time=st.none() | seconds,
    model_is_warm=st.none() | st.booleans(),
    errors=errors,
)
records = st.lists(st.builds(Recorded, results, times), max_size=40)


def _subset(values: Sequence[str]) -> st.SearchStrategy[tuple[str, ...] | None]:
    return st.none() | st.lists(st.sampled_from(values), max_size=2).map(tuple)


windows = st.builds(
    lambda since, until: Window(None if since is None else min(since, until), until), st.none() | times, times
)
limits = st.none() | st.sampled_from((0.0, 0.5, 1.0, 2.0))
filters = st.builds(
    StatFilter,
    window=st.just(Window()) | windows,
    job_type=st.sampled_from((None, "ai", "transcoding")),
    orchestrators=_subset(("0xA", "0xb", "0xmissing")),
    regions=_subset(("fra", "LAX", "MISSING")),
    pipelines=_subset(("P", "Q", "p")),
    models=_subset(("m", "n")),
    min_success_rate=limits,
    max_round_trip_time=limits,
    error_codes=_subset(("A", "B", "missing")),
    model_is_warm=st.none() | st.booleans(),
)


def matches(record: Recorded, wanted: StatFilter) -> bool:
    """Whether a result is asked for."""
    result, window = record.result, wanted.window
    codes = [error.error_code or "" for error in result.errors or () if isinstance(error, JobError)]

    def is_among(value: str, allowed: tuple[str, ...] | None, fold: Callable[[str], str] = str) -> bool:
        return allowed is None or value in {fold(name) for name in allowed}

    return all(
        (
            window.since is None or record.at >= window.since,
            window.until is None or record.at <= window.until,
            wanted.job_type is None or result.job_type == wanted.job_type,
            is_among(result.orchestrator, wanted.orchestrators, str.lower),
            is_among(result.region, wanted.regions, str.upper),
            is_among(result.pipeline, wanted.pipelines),
            is_among(result.model, wanted.models),
            wanted.min_success_rate is None or result.success_rate >= wanted.min_success_rate,
            wanted.max_round_trip_time is None or result.round_trip_time <= wanted.max_round_trip_time,
            wanted.error_codes is None or bool(set(codes) & set(wanted.error_codes)),
            wanted.model_is_warm is None or bool(result.model_is_warm) == wanted.model_is_warm,
        )
    )


def key(result: Result, group_by: Iterable[Dimension]) -> tuple[str | None, ...]:
    """The group of a result."""
    return tuple((getattr(result, d) or None) if d in group_by else None for d in Dimension)


def percentile(values: Iterable[float], share: float) -> float:
    """Interpolated between the two nearest values."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def distribution(values: Sequence[float]) -> list[float]:
    """Mean, smallest, largest, standard deviation, p50, p95, p99."""
    percentiles = [percentile(values, share) for share in (0.5, 0.95, 0.99)]
    return [fmean(values), min(values), max(values), pstdev(values), *percentiles]


def groups(
    records: Sequence[Recorded],
    peers: Sequence[Recorded],
    group_by: Sequence[Dimension],
    bucket: Callable[[datetime], Hashable] = lambda at: None,
) -> dict[Any, dict[str, Any]]:
    """What is known of each bucket and group; `peers` are the results whose median AI results count against."""
    cells: dict[Any, list[Recorded]] = defaultdict(list)
    for record in records:
        cells[bucket(record.at), key(record.result, Dimension)].append(record)
    members: dict[Any, list[list[Recorded]]] = defaultdict(list)
    for (number, _), cell in cells.items():
        members[number, key(cell[0].result, group_by)].append(cell)
    return {group: _group(found, peers) for group, found in members.items()}


def _group(cells: list[list[Recorded]], peers: Sequence[Recorded]) -> dict[str, Any]:
    scores, weights = [_scores(cell, peers) for cell in cells], [len(cell) for cell in cells]
    singles = [record for cell in cells for record in cell]
    return {
        "samples": len(singles),
        "success_rate": fmean(record.result.success_rate for record in singles),
        "round_trip_time": fmean(record.result.round_trip_time for record in singles),
        "round_trip_score": fmean((score for score, _ in scores), weights),
        "score": fmean((score for _, score in scores), weights),
        "first_at": min(record.at for record in singles),
        "last_at": max(record.at for record in singles),
    }


def _scores(cell: list[Recorded], peers: Sequence[Recorded]) -> tuple[float, float]:
    """Round trip score and score of one cell."""
    one = cell[0].result
    success = fmean(record.result.success_rate for record in cell)
    trip = fmean(record.result.round_trip_time for record in cell)
    if one.job_type == "transcoding":
        duration = fmean(record.result.seg_duration or 0 for record in cell)
        score = 1 - exp(-duration / trip) if trip else 0.0
        return score, success * score
    good = [
        record.result.round_trip_time
        for record in peers
        if (record.result.pipeline, record.result.model) == (one.pipeline, one.model)
        and record.result.round_trip_time
        and record.result.success_rate == 1
    ]
    score = exp(log(0.8) * trip / median(good)) if good else 0.0
    return score, 0.65 * success + 0.35 * score if success else 0.0
