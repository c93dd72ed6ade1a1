"""Runs of the prober: what is told of one, checked, and stored once."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from db.pool import Database, Row, Runner
from db.statements import STATEMENTS
from resolvers.errors import InvalidArgument, Unavailable
from resolvers.storable import check_int, check_text, encoded_json

ADD_RUN = STATEMENTS["probes.add_run"]
RUNS_BY_ID = STATEMENTS["probes.runs_by_id"]
FORGET_RUNS = STATEMENTS["probes.forget_runs"]

MAX_ID_LENGTH = 128
MAX_NAME_LENGTH = 256
MAX_DETAIL_LENGTH = 2000
MAX_RENDITIONS = 100
MAX_SECONDS = 1e9
MAX_BYTES = 2**53  # more is not exact in JSON
BATCH = 5000

_REASON = re.compile("[a-z][a-z0-9_]{0,63}")
_TEXTS = ("region", "ingest_region", "playback_region", "orchestrator")
_COUNTS = (
    "segments_expected",
    "segments_received",
    "segments_missed",
    "segments_corrupt",
    "gaps",
    "discontinuities",
)
_SPREADS = ("latency_s", "duration_s", "declared_duration_s")


class ProbeStatus(StrEnum):
    """How a run ended; an aborted one says nothing about the network."""

    SUCCESS = "success"
    FAILURE = "failure"
    ABORTED = "aborted"


class ProbeClock(StrEnum):
    """What told when the content of segments was sent, the best one first."""

    PICTURE = "picture"
    PROGRAM_DATE_TIME = "program_date_time"
    TIMESTAMPS = "timestamps"


class Spread(msgspec.Struct, frozen=True):
    """How values lie, in seconds."""

    count: int
    least: float
    median: float
    mean: float
    p95: float
    most: float


class RenditionRun(msgspec.Struct, frozen=True):
    """What was measured of one rendition; durations in seconds."""

    name: str
    segments_expected: int
    segments_received: int
    segments_missed: int
    segments_corrupt: int
    gaps: int
    discontinuities: int
    bytes: int
    download_s: float
    latency_s: Spread | None = None
    duration_s: Spread | None = None
    declared_duration_s: Spread | None = None


class ProbeRun(msgspec.Struct, frozen=True):
    """A run as the prober tells of it, under an id of the prober's; a failed one has a reason, and no other has."""

    id: str
    stream: str
    started_at: datetime
    ended_at: datetime
    wanted_s: float
    status: ProbeStatus
    region: str | None = None
    ingest_region: str | None = None
    playback_region: str | None = None
    orchestrator: str | None = None
    reason: str | None = None
    detail: str | None = None
    startup_s: float | None = None
    clock: ProbeClock | None = None
    expected_renditions: tuple[str, ...] = ()
    renditions: tuple[RenditionRun, ...] = ()


class Stored(NamedTuple):
    """A stored run, and whether it was there before."""

    row: Row
    is_replay: bool


async def store_run(db: Runner, run: ProbeRun) -> Stored:
    """Store a run, unless one with its id is there, which is answered then; InvalidArgument names a wrong field."""
    row = await db.fetchrow(ADD_RUN, **_columns(run))
    if row is not None:
        return Stored(row, is_replay=False)
    row = await db.fetchrow(RUNS_BY_ID, ids=[run.id])
    if row is None:  # old, and deleted just now
        raise Unavailable("the run has just been forgotten")
    return Stored(row, is_replay=True)


async def forget_runs(db: Database, age: timedelta, report: Any, now: datetime) -> None:
    """Delete runs that started longer ago than `age`."""
    gone, forgotten = BATCH, 0
    while gone == BATCH:
        gone = await db.write.fetchval(FORGET_RUNS, until=now - age, limit=BATCH)
        forgotten += gone
    if forgotten:
        report("probe_runs_forgotten", count=forgotten)


def renditions_of(row: Row) -> list[RenditionRun]:
    """What was measured of each rendition of a stored run."""
    return msgspec.convert(row.renditions, list[RenditionRun])


def check_run(run: ProbeRun) -> None:
    """Raise InvalidArgument, naming the field, for what the types allow and a run must not have."""
    _check_length("id", run.id, MAX_ID_LENGTH)
    _check_length("stream", run.stream, MAX_NAME_LENGTH)
    for field in _TEXTS:
        _check_length(field, getattr(run, field), MAX_NAME_LENGTH, least=0)
    _check_length("detail", run.detail, MAX_DETAIL_LENGTH, least=0)
    if (run.reason is not None) != (run.status is ProbeStatus.FAILURE):
        raise InvalidArgument("reason: a run that failed has one, and no other has", field="reason")
    if run.reason is not None and not _REASON.fullmatch(run.reason):
        raise InvalidArgument("reason: a code like no_first_segment, of 64 characters at most", field="reason")
    _check_seconds("wanted_s", run.wanted_s, least=0)
    _check_seconds("startup_s", run.startup_s, least=0)
    _check_number_of("expected_renditions", run.expected_renditions)
    _check_number_of("renditions", run.renditions)
    for name in run.expected_renditions:
        _check_length("expected_renditions", name, MAX_NAME_LENGTH)
    for index, rendition in enumerate(run.renditions):
        _check_rendition(f"renditions.{index}", rendition)


def _check_rendition(field: str, rendition: RenditionRun) -> None:
    _check_length(f"{field}.name", rendition.name, MAX_NAME_LENGTH)
    for name in _COUNTS:
        check_int(f"{field}.{name}", getattr(rendition, name))
    if not 0 <= rendition.bytes <= MAX_BYTES:
        raise InvalidArgument(f"{field}.bytes: a whole number from 0 to {MAX_BYTES}", field=f"{field}.bytes")
    _check_seconds(f"{field}.download_s", rendition.download_s, least=0)
    for name in _SPREADS:
        if spread := getattr(rendition, name):
            _check_spread(f"{field}.{name}", spread)


def _check_spread(field: str, spread: Spread) -> None:
    check_int(f"{field}.count", spread.count, 1)
    for name in ("least", "median", "mean", "p95", "most"):
        # A clock that is wrong makes a segment come before it was sent.
        _check_seconds(f"{field}.{name}", getattr(spread, name), least=-MAX_SECONDS)


def _check_length(field: str, text: str | None, limit: int, least: int = 1) -> None:
    if text is not None and not least <= len(text) <= limit:
        raise InvalidArgument(f"{field}: {least} to {limit} characters, not {len(text)}", field=field)
    check_text(field, text)


def _check_seconds(field: str, seconds: float | None, least: float) -> None:
    if seconds is not None and not (isfinite(seconds) and least <= seconds <= MAX_SECONDS):
        raise InvalidArgument(f"{field}: a number from {least:g} to {MAX_SECONDS:g}, not {seconds}", field=field)


def _check_number_of(field: str, items: tuple[Any, ...]) -> None:
    if len(items) > MAX_RENDITIONS:
        raise InvalidArgument(f"{field}: at most {MAX_RENDITIONS}, not {len(items)}", field=field)


def _columns(run: ProbeRun) -> dict[str, Any]:
    check_run(run)
    renditions = run.renditions
    return {
        **{name: getattr(run, name) for name in ADD_RUN.parameters if hasattr(run, name)},
        "renditions": encoded_json("renditions", msgspec.to_builtins(renditions)),
        **{name: sum(getattr(it, name) for it in renditions) for name in (*_COUNTS, "bytes", "download_s")},
        "latency_s": _mean(it.latency_s for it in renditions),
        "latency_most_s": _most(it.latency_s for it in renditions),
        "segment_duration_s": _mean(it.duration_s for it in renditions),
        "segment_duration_most_s": _most(it.duration_s for it in renditions),
    }


def _mean(spreads: Iterable[Spread | None]) -> float | None:
    """The mean of all values of all spreads."""
    known = list(_known(spreads))
    return sum(it.mean * it.count for it in known) / sum(it.count for it in known) if known else None


def _most(spreads: Iterable[Spread | None]) -> float | None:
    return max((it.most for it in _known(spreads)), default=None)


def _known(spreads: Iterable[Spread | None]) -> Iterator[Spread]:
    return (it for it in spreads if it is not None)
