"""Runs of the prober: stored once, found by filters page by page, and what they have in common."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from math import inf, nan
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import msgspec
import pytest

from db.pool import Database
from gateway.probe_forms import stored_form
from prober import run as prober
from prober.run import Reason, Run, Status
from resolvers.buckets import Bucket
from resolvers.errors import InvalidArgument
from resolvers.filters import Window
from resolvers.page import PageRequest
from resolvers.probe_runs import (
    ProbeClock,
    ProbeRun,
    ProbeStatus,
    RenditionRun,
    Spread,
    forget_runs,
    renditions_of,
    store_run,
)
from resolvers.probe_series import MAX_POINTS, ProbeDimension, ProbeKey, groups, probe_failures, probe_series
from resolvers.probes import ProbeFilter, count_runs, latest_runs, run_cursor, runs_by_id, runs_page
from tests.db.plans import Explaining
from tests.probes import START, a_failed_run, a_rendition, a_run

EVERYTHING = ProbeFilter()
MINUTE = timedelta(minutes=1)
UTC = ZoneInfo("UTC")
DAY = Window(START, START + timedelta(days=1))


async def store(db: Database, *runs: Run) -> None:
    for run in runs:
        await store_run(db.write, stored_form(run))


def first(size: int, cursor: Sequence[Any] | None = None) -> PageRequest:
    return PageRequest(size, cursor, backwards=False)


async def ids(db: Database, wanted: ProbeFilter) -> list[str]:
    found = [row.id for row in (await runs_page(db.read, wanted, first(1000))).items]
    assert await count_runs(db.read, wanted) == len(found)
    return found


def test_what_a_run_can_be_is_what_the_prober_tells() -> None:
    assert list(ProbeStatus) == [str(status) for status in prober.Status]
    assert list(ProbeClock) == [str(clock) for clock in prober.Clock]
    for stored, told in ((ProbeRun, prober.Run), (RenditionRun, prober.RenditionRun), (Spread, prober.Spread)):
        assert set(stored.__struct_fields__) == set(told.__dataclass_fields__)


async def test_a_run_is_stored_with_what_its_renditions_have_together(db: Database) -> None:
    run = a_run(renditions=(a_rendition(latencies=(1.0, 2.0, 3.0), gaps=2), a_rendition("640x360", (4.0,), gaps=1)))
    stored = await store_run(db.write, stored_form(run))
    (row,) = await runs_by_id(db.read, [run.id])
    assert row is not None
    assert not stored.is_replay
    assert dict(row) == dict(stored.row)
    told = stored_form(run)
    assert {
        name: row[name] for name in told.__struct_fields__ if name not in ("renditions", "expected_renditions")
    } == {
        name: getattr(told, name)
        for name in told.__struct_fields__
        if name not in ("renditions", "expected_renditions")
    }
    assert renditions_of(row) == list(told.renditions)
    assert (row.segments_expected, row.segments_received) == (run.segments_expected, run.segments_received)
    assert (row.bytes, row.gaps, row.discontinuities) == (run.bytes, 3, 0)
    assert (row.latency_s, row.latency_most_s) == (pytest.approx(run.latency_s), 4.0)
    assert (row.segment_duration_s, row.segment_duration_most_s) == (2.25, 2.5)


async def test_a_run_is_stored_once_however_often_it_comes(db: Database) -> None:
    await store(db, a_run())
    again = await store_run(db.write, stored_form(a_run(detail="told again")))
    assert again.is_replay
    assert again.row.detail is None
    assert await ids(db, EVERYTHING) == ["run-1"]


async def test_a_run_that_measured_nothing_is_stored(db: Database) -> None:
    await store(db, a_run("a", status=Status.ABORTED, startup_s=None, clock=None, renditions=()), a_failed_run("b"))
    for row in (await runs_page(db.read, EVERYTHING, first(2))).items:
        assert (row.segments_expected, row.bytes, row.latency_s, row.latency_most_s) == (0, 0, None, None)
        assert renditions_of(row) == []


GOOD = stored_form(a_run())
GOOD_RENDITION = GOOD.renditions[0]
GOOD_SPREAD = GOOD_RENDITION.latency_s or Spread(1, 1, 1, 1, 1, 1)


def with_rendition(**changed: Any) -> dict[str, Any]:
    return {"renditions": (msgspec.structs.replace(GOOD_RENDITION, **changed),)}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"id": "\0"}, "id"),
        ({"stream": ""}, "stream"),
        ({"region": "x" * 257}, "region"),
        ({"playback_region": "\0"}, "playback_region"),
        ({"detail": "x" * 2001}, "detail"),
        ({"reason": "stalled"}, "reason"),
        ({"status": ProbeStatus.FAILURE}, "reason"),
        ({"status": ProbeStatus.FAILURE, "reason": "No code"}, "reason"),
        ({"wanted_s": -1.0}, "wanted_s"),
        ({"startup_s": inf}, "startup_s"),
        ({"expected_renditions": ("",)}, "expected_renditions"),
        ({"renditions": GOOD.renditions * 51}, "renditions"),
        (with_rendition(name=""), "renditions.0.name"),
        (with_rendition(gaps=-1), "renditions.0.gaps"),
        (with_rendition(segments_missed=2**31), "renditions.0.segments_missed"),
        (with_rendition(bytes=2**53 + 1), "renditions.0.bytes"),
        (with_rendition(download_s=nan), "renditions.0.download_s"),
        (with_rendition(latency_s=msgspec.structs.replace(GOOD_SPREAD, count=0)), "renditions.0.latency_s.count"),
        (with_rendition(duration_s=msgspec.structs.replace(GOOD_SPREAD, p95=inf)), "renditions.0.duration_s.p95"),
    ],
)
async def test_what_cannot_be_stored_names_its_field(db: Database, changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await store_run(db.write, msgspec.structs.replace(GOOD, **changed))
    assert refused.value.field == field
    assert refused.value.message.startswith(f"{field}: ")
    assert await ids(db, EVERYTHING) == []


async def test_what_the_prober_says_too_much_of_is_cut() -> None:
    run = stored_form(a_failed_run("a", renditions=(a_rendition(),) * 101))
    assert len(run.renditions) == 100
    assert stored_form(replace(a_failed_run("a"), detail="\0" + "x" * 3000)).detail == "\ufffd" + "x" * 1999


async def test_runs_are_filtered(db: Database) -> None:
    await store(
        db,
        a_run("a", stream="one", started_at=START, region=None),
        a_run("b", stream="two", started_at=START + MINUTE, ingest_region="par"),
        a_failed_run("c", stream="one", started_at=START + 2 * MINUTE, playback_region="nyc"),
        a_failed_run("d", Reason.STALLED, stream="two", started_at=START + 3 * MINUTE),
        a_run("e", stream="three", started_at=START + 4 * MINUTE, status=Status.ABORTED),
    )
    assert await ids(db, EVERYTHING) == ["e", "d", "c", "b", "a"]
    assert await ids(db, ProbeFilter(streams=("one",))) == ["c", "a"]
    assert await ids(db, ProbeFilter(streams=("one", "three"))) == ["e", "c", "a"]
    assert await ids(db, ProbeFilter(streams=())) == []
    assert await ids(db, ProbeFilter(regions=("FRA",))) == ["e", "d", "c", "b"]
    assert await ids(db, ProbeFilter(ingest_regions=("par",))) == ["b"]
    assert await ids(db, ProbeFilter(playback_regions=("nyc",))) == ["c"]
    assert await ids(db, ProbeFilter(statuses=("failure",))) == ["d", "c"]
    assert await ids(db, ProbeFilter(statuses=("failure", "aborted"))) == ["e", "d", "c"]
    assert await ids(db, ProbeFilter(reasons=("stalled",))) == ["d"]
    assert await ids(db, ProbeFilter(Window(START + MINUTE, START + 3 * MINUTE))) == ["d", "c", "b"]
    assert await ids(db, ProbeFilter(streams=("two",), statuses=("success",), window=DAY)) == ["b"]


async def test_pages_stay_as_they_are_while_more_come(db: Database) -> None:
    await store(db, *(a_run(f"{number:02}", started_at=START + number // 2 * MINUTE) for number in range(7)))
    page = await runs_page(db.read, EVERYTHING, first(3))
    assert ([row.id for row in page.items], page.has_next, page.has_previous) == (["06", "05", "04"], True, False)
    await store(db, a_run("late", started_at=START), a_run("new", started_at=START + 60 * MINUTE))
    after = await runs_page(db.read, EVERYTHING, first(3, run_cursor(page.items[-1])))
    assert [row.id for row in after.items] == ["03", "02", "late"]
    back = await runs_page(db.read, EVERYTHING, PageRequest(2, run_cursor(after.items[0]), backwards=True))
    assert ([row.id for row in back.items], back.has_previous) == (["05", "04"], True)
    assert "renditions" not in (await runs_page(db.read, EVERYTHING, first(1), ())).items[0]


@pytest.mark.parametrize("cursor", [(), (1,), (1, 2), ("1", "a"), (1, "\0"), (10**30, "a")])
async def test_foreign_cursors_are_refused(db: Database, cursor: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidArgument):
        await runs_page(db.read, EVERYTHING, first(1, cursor))


async def test_each_stream_has_its_latest_run(db: Database) -> None:
    assert await latest_runs(db.read) == []
    for minute, stream in enumerate(("b", "a", "c", "a", "b")):
        await store(db, a_run(f"run-{minute}", stream=stream, started_at=START + minute * MINUTE))
    assert [(row.stream, row.id) for row in await latest_runs(db.read)] == [
        ("a", "run-3"),
        ("b", "run-4"),
        ("c", "run-2"),
    ]


@pytest.fixture
async def mixed(db: Database) -> Database:
    """Runs of two streams: good ones, failed ones, and one that was aborted."""
    await store(
        db,
        a_run("a", stream="one", started_at=START, startup_s=2.0, renditions=(a_rendition(latencies=(1.0, 3.0)),)),
        a_run("b", stream="one", started_at=START + MINUTE, startup_s=4.0, renditions=(a_rendition(latencies=(6.0,)),)),
        a_failed_run("c", stream="one", started_at=START + 61 * MINUTE),
        a_run("d", stream="one", started_at=START + 62 * MINUTE, startup_s=99.0, status=Status.ABORTED),
        a_failed_run("e", Reason.STALLED, stream="two", started_at=START + 63 * MINUTE, region="LAX"),
        a_failed_run("f", Reason.STALLED, stream="two", started_at=START + 64 * MINUTE, region="LAX"),
    )
    return db


async def test_groups_count_runs_and_spread_their_times(mixed: Database) -> None:
    found = await groups(mixed.read, EVERYTHING, (ProbeDimension.STREAM,))
    assert set(found) == {ProbeKey("one"), ProbeKey("two")}
    one, two = found[ProbeKey("one")], found[ProbeKey("two")]
    assert (one.runs, one.failures, one.aborted, one.success_rate) == (3, 1, 1, pytest.approx(2 / 3))
    assert one.startup is not None
    assert (one.startup.mean, one.startup.min, one.startup.max, one.startup.p50) == (3.0, 2.0, 4.0, 3.0)
    assert one.latency is not None
    assert (one.latency.mean, one.latency.min, one.latency.max) == (4.0, 2.0, 6.0)
    assert (one.peak_latency_s, one.peak_segment_duration_s) == (6.0, 2.5)
    assert (two.runs, two.success_rate, two.startup, two.latency, two.peak_latency_s) == (2, 0.0, None, None, None)
    assert await groups(mixed.read, ProbeFilter(streams=("none",)), ()) == {}


async def test_renditions_have_latencies_of_their_own(db: Database) -> None:
    await store(db, a_run("a"), a_run("b", status=Status.ABORTED), a_failed_run("c"))
    found = await groups(db.read, EVERYTHING, (ProbeDimension.STREAM, ProbeDimension.RENDITION))
    assert {
        key.rendition: (it.runs, it.aborted, it.latency and it.latency.mean, it.peak_latency_s)
        for key, it in found.items()
    } == {
        "1280x720": (1, 1, 2.0, 3.0),
        "640x360": (1, 1, 4.0, 4.0),
    }


async def test_a_series_has_every_bucket(mixed: Database) -> None:
    wanted = ProbeFilter(Window(START, START + timedelta(hours=2)))
    (line,) = await probe_series(mixed.read, wanted, Bucket.HOUR, UTC, (), START)
    assert [(it.aggregate.runs, it.aggregate.failures) for it in line.points] == [(2, 0), (3, 3)]
    assert [it.aggregate.latency and it.aggregate.latency.mean for it in line.points] == [4.0, None]
    assert all(one.end == next_.start for one, next_ in pairwise(line.points))
    by_region = await probe_series(mixed.read, wanted, Bucket.HOUR, UTC, (ProbeDimension.REGION,), START)
    assert [(it.key.region, [point.aggregate.runs for point in it.points]) for it in by_region] == [
        ("FRA", [2, 1]),
        ("LAX", [0, 2]),
    ]


async def test_a_series_without_runs_is_one_line_or_none(db: Database) -> None:
    (line,) = await probe_series(db.read, ProbeFilter(DAY), Bucket.SIX_HOURS, UTC, (), START)
    assert [it.aggregate.success_rate for it in line.points] == [None] * 5
    assert await probe_series(db.read, ProbeFilter(DAY), Bucket.DAY, UTC, (ProbeDimension.STREAM,), START) == []


async def test_a_series_is_bounded(mixed: Database) -> None:
    with pytest.raises(InvalidArgument, match="needs since"):
        await probe_series(mixed.read, EVERYTHING, Bucket.HOUR, UTC, (), START)
    minutes = ProbeFilter(Window(START, START + (MAX_POINTS + 1) * MINUTE))
    with pytest.raises(InvalidArgument, match="FIVE_MINUTES would fit"):
        await probe_series(mixed.read, minutes, Bucket.MINUTE, UTC, (), START)
    less = ProbeFilter(Window(START, START + (MAX_POINTS - 10) * MINUTE))
    assert await probe_series(mixed.read, less, Bucket.MINUTE, UTC, (), START)
    with pytest.raises(InvalidArgument, match="2 groups make more"):
        await probe_series(mixed.read, less, Bucket.MINUTE, UTC, (ProbeDimension.STREAM,), START)


async def test_failures_are_counted_by_reason(mixed: Database) -> None:
    rows = await probe_failures(mixed.read, EVERYTHING, (), 10)
    assert [(row.reason, row.runs, row.first_at, row.last_at) for row in rows] == [
        ("stalled", 2, START + 63 * MINUTE, START + 64 * MINUTE),
        ("no_first_segment", 1, START + 61 * MINUTE, START + 61 * MINUTE),
    ]
    by_stream = await probe_failures(mixed.read, EVERYTHING, (ProbeDimension.STREAM,), 1)
    assert [(row.stream, row.reason, row.runs) for row in by_stream] == [("two", "stalled", 2)]
    assert await probe_failures(mixed.read, ProbeFilter(statuses=("success",)), (), 10) == []
    with pytest.raises(InvalidArgument):
        await probe_failures(mixed.read, EVERYTHING, (ProbeDimension.RENDITION,), 10)


async def test_old_runs_are_forgotten(mixed: Database) -> None:
    told: list[int] = []

    def report(event: str, count: int) -> None:
        assert event == "probe_runs_forgotten"
        told.append(count)

    for _ in range(2):
        await forget_runs(mixed, timedelta(hours=1), report, START + 122 * MINUTE)
    assert await ids(mixed, EVERYTHING) == ["f", "e", "d"]
    assert told == [3]


FILL = """
INSERT INTO podium.probe_runs (id, stream, started_at, ended_at, wanted_s, status, reason, expected_renditions,
  renditions, segments_expected, segments_received, segments_missed, segments_corrupt, gaps, discontinuities, bytes,
  download_s)
SELECT n::text, 'stream ' || n % 20, t, t, 60, CASE WHEN n % 500 = 0 THEN 'failure' ELSE 'success' END,
  CASE WHEN n % 500 = 0 THEN 'stalled' END, '{}', '[]', 0, 0, 0, 0, 0, 0, 0, 0
FROM generate_series(1, 20000) AS n,
  LATERAL (SELECT timestamptz '2026-11-22 09:00Z' + n * interval '1 minute') AS at (t);
ANALYZE podium.probe_runs;
"""


async def test_questions_read_what_they_answer(db: Database, connection: asyncpg.Connection) -> None:
    await connection.execute(FILL)
    questions: list[tuple[ProbeFilter, str]] = [
        (EVERYTHING, "probe_runs_started_at"),
        (ProbeFilter(streams=("stream 7",)), "probe_runs_stream"),
        (ProbeFilter(statuses=("failure",)), "probe_runs_status"),
        (ProbeFilter(Window(START, START + timedelta(days=3))), "probe_runs_started_at"),
    ]
    for wanted, index in questions:
        explaining = Explaining(db.read)
        assert len((await runs_page(explaining, wanted, first(10))).items) == 10
        assert {scan.index for scan in explaining.scans} == {index}
        assert sum(scan.rows for scan in explaining.scans) == 11


async def test_the_latest_runs_cost_as_many_steps_as_there_are_streams(
    db: Database, connection: asyncpg.Connection
) -> None:
    await connection.execute(FILL)
    explaining = Explaining(db.read)
    assert len(await latest_runs(explaining)) == 20
    assert {scan.index for scan in explaining.of("probe_runs")} == {"probe_runs_stream"}
    assert sum(scan.rows for scan in explaining.of("probe_runs")) <= 2 * 20


async def test_a_window_reads_its_runs_alone(db: Database, connection: asyncpg.Connection) -> None:
    await connection.execute(FILL)
    explaining = Explaining(db.read)
    wanted = ProbeFilter(Window(START, START + timedelta(hours=10)))
    assert await groups(explaining, wanted, (ProbeDimension.STREAM,))
    assert {scan.index for scan in explaining.of("probe_runs")} == {"probe_runs_started_at"}
    assert sum(scan.rows for scan in explaining.of("probe_runs")) == 600
