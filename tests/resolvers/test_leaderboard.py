"""Aggregates of stored results, against a plain computation over the same results."""

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from math import exp, log
from random import Random
from statistics import fmean, median

import pytest

from db.pool import Database, Pool, PoolOptions
from resolvers import leaderboard
from resolvers.aggregation import Dimension
from resolvers.catalog import Catalog
from resolvers.errors import from_driver
from resolvers.filters import StatFilter, Window
from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from tests import harness

NOW = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def random_results(seed: int, count: int) -> list[tuple[Result, datetime]]:
    """Results with ties, zero round trips, failures, absent times, over three weeks and all kinds of jobs."""
    random = Random(seed)
    results = []
    for _ in range(count):
        ai = random.random() < 0.5
        result = Result(
            region=random.choice(("FRA", "LAX")),
            orchestrator=f"0x{random.randrange(4)}",
            success_rate=random.choice((0, 0, 1, 1, 1, 0.5, 1.5)),
            round_trip_time=random.choice((0.0, 1.0, 2.0, random.uniform(0, 9))),
            seg_duration=random.choice((None, 0.0, 2.0)),
            upload_time=random.choice((None, random.random())),
            pipeline=f"P{random.randrange(2)}" if ai else "",
            model=f"m{random.randrange(2)}" if ai else "",
        )
        results.append((result, NOW - HOUR * random.uniform(0, 500)))
    return results


def plain_scores(results: list[Result], peers: list[Result]) -> tuple[float, float]:
    """Round trip score and score of one cell; `peers` are the results of its model, whoever the node."""
    success, trip = fmean(r.success_rate for r in results), fmean(r.round_trip_time for r in results)
    if results[0].job_type == "transcoding":
        duration = fmean(r.seg_duration or 0 for r in results)
        score = 1 - exp(-duration / trip) if trip else 0
        return score, success * score
    good = [r.round_trip_time for r in peers if r.round_trip_time and r.success_rate == 1]
    score = exp(log(0.8) * trip / median(good)) if good else 0
    return score, 0.65 * success + 0.35 * score if success else 0


def cell_of(result: Result) -> tuple[str, ...]:
    return result.orchestrator, result.region, result.job_type, result.pipeline, result.model


@pytest.fixture
async def db(database: harness.Database) -> AsyncIterator[Database]:
    """The writer's pool."""
    pool = Pool(database.logins.writer, PoolOptions(size=2, timeout_s=10), from_driver)
    await pool.open()
    yield Database(write=pool, read=pool)
    await pool.close()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("hours", [None, 100, 1])
async def test_every_grouping_equals_a_plain_computation(db: Database, seed: int, hours: int | None) -> None:
    stored = random_results(seed, 300)
    catalog = Catalog(db, ttl_s=60)
    checked = [CheckedResult(r, recorded_at=at) for r, at in stored]
    assert len(await store_results(db, catalog, checked)) == len(stored)
    since = NOW - HOUR * hours if hours else None
    wanted = [result for result, at in stored if since is None or at >= since]
    cells = defaultdict(list)
    for result in wanted:
        cells[cell_of(result)].append(result)
    scores = {}
    for cell, results in cells.items():
        scores[cell] = plain_scores(results, [r for r in wanted if cell_of(r)[2:] == cell[2:]])

    dimensions = list(Dimension)
    for group_by in [combo for size in range(6) for combo in combinations(dimensions, size)]:
        groups = await leaderboard.aggregates(db.read, StatFilter(Window(since)), group_by)
        expected = defaultdict(list)
        for cell in cells:
            key = tuple((cell[i] or None) if d in group_by else None for i, d in enumerate(dimensions))
            expected[key].append(cell)
        assert {tuple(group.key) for group in groups} == set(expected)
        for group in groups:
            members = expected[tuple(group.key)]
            singles = [result for cell in members for result in cells[cell]]
            weights = [len(cells[cell]) for cell in members]
            assert group.samples == len(singles)
            assert group.success_rate == pytest.approx(fmean(r.success_rate for r in singles), rel=1e-9)
            assert group.round_trip_time == pytest.approx(fmean(r.round_trip_time for r in singles), rel=1e-9)
            assert group.round_trip_score == pytest.approx(fmean((scores[c][0] for c in members), weights), rel=1e-9)
            assert group.score == pytest.approx(fmean((scores[c][1] for c in members), weights), rel=1e-9)


async def test_results_of_distant_years_go_into_their_own_partitions(db: Database) -> None:
    catalog = Catalog(db, ttl_s=60)
    times = [NOW - timedelta(days=days) for days in (0, 2000, 9000)]
    checked = [CheckedResult(Result(region="FRA", orchestrator="0x1"), recorded_at=time) for time in times]
    assert [key.recorded_at for key in await store_results(db, catalog, checked)] == times
