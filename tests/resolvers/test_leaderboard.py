"""Aggregates of stored results, against a plain computation over the same results."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from db.pool import Database
from resolvers import leaderboard
from resolvers.aggregation import (
    AggregateField,
    AggregateOrder,
    Bound,
    Dimension,
    GroupOrder,
    aggregate_cursor,
    aggregates_page,
    having,
)
from resolvers.catalog import Catalog
from resolvers.filters import StatFilter
from resolvers.page import PageRequest
from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from tests.resolvers.conftest import EXAMPLES, Record
from tests.resolvers.plain import (
    NOW,
    TIMES,
    Recorded,
    distribution,
    filters,
    groups,
    key,
    matches,
    records,
)

groupings = st.lists(st.sampled_from(Dimension), unique=True).map(tuple)
EVERYTHING = StatFilter()


@EXAMPLES
@example(found=[], wanted=EVERYTHING, group_by=())
@given(found=records, wanted=filters, group_by=groupings)
async def test_every_grouping_equals_a_plain_computation(
    db: Database, record: Record, found: list[Recorded], wanted: StatFilter, group_by: tuple[Dimension, ...]
) -> None:
    await record(found)
    peers = [one for one in found if matches(one, replace(wanted, orchestrators=None))]
    expected = groups([one for one in found if matches(one, wanted)], peers, group_by)
    answer = await leaderboard.aggregates(db.read, wanted, group_by)
    assert {(None, tuple(group.key)) for group in answer} == set(expected)
    for group in answer:
        for name, value in expected[None, tuple(group.key)].items():
            expected_value = pytest.approx(value, rel=1e-9, abs=1e-280) if isinstance(value, float) else value
            assert getattr(group, name) == expected_value, name


@EXAMPLES
@given(found=records, wanted=filters, group_by=groupings)
async def test_distributions_equal_a_plain_computation(
    db: Database, record: Record, found: list[Recorded], wanted: StatFilter, group_by: tuple[Dimension, ...]
) -> None:
    await record(found)
    expected: dict[object, list[Result]] = defaultdict(list)
    for one in found:
        if matches(one, wanted):
            expected[key(one.result, group_by)].append(one.result)
    answer = await leaderboard.distributions(db.read, wanted, group_by)
    assert {tuple(group) for _, group in answer} == set(expected)
    for (_, group), times in answer.items():
        for name in TIMES:
            values = [value for result in expected[tuple(group)] if (value := getattr(result, name)) is not None]
            plain = None if not values else pytest.approx(distribution(values), rel=1e-9, abs=1e-6)
            assert (times[name] and list(times[name])) == plain, name


@EXAMPLES
@given(
    found=records,
    fields=st.lists(st.sampled_from(AggregateField), max_size=3, unique=True),
    descending=st.booleans(),
    size=st.integers(1, 5),
    backwards=st.booleans(),
)
async def test_groups_are_paged_in_their_order(
    db: Database,
    record: Record,
    found: list[Recorded],
    fields: list[AggregateField],
    descending: bool,
    size: int,
    backwards: bool,
) -> None:
    await record(found)
    whole = await leaderboard.aggregates(db.read, EVERYTHING, tuple(Dimension))
    order = GroupOrder([AggregateOrder(field, descending) for field in fields], tuple(Dimension))
    walked, cursor, more = [], None, True
    while more:
        page = aggregates_page(whole, order, PageRequest(size, cursor, backwards))
        walked = page.items + walked if backwards else walked + page.items
        more = page.has_previous if backwards else page.has_next
        if page.items:
            cursor = aggregate_cursor(page.items[0 if backwards else -1], order)
    ordered: Sequence[object] = whole
    for field in reversed(fields):
        ordered = sorted(ordered, key=lambda group, field=field: getattr(group, field), reverse=descending)
    assert walked == list(ordered)


@EXAMPLES
@given(found=records, lowest=st.integers(0, 4), highest=st.floats(0, 1))
async def test_only_groups_within_all_bounds_are_left(
    db: Database, record: Record, found: list[Recorded], lowest: int, highest: float
) -> None:
    await record(found)
    whole = await leaderboard.aggregates(db.read, EVERYTHING, (Dimension.ORCHESTRATOR, Dimension.MODEL))
    bounds = [Bound(AggregateField.SAMPLES, lowest, None), Bound(AggregateField.SCORE, None, highest)]
    assert having(whole, bounds) == [group for group in whole if group.samples >= lowest and group.score <= highest]


@pytest.mark.parametrize("extreme", [1e100, 1e-100])
async def test_absurd_numbers_break_nobodys_scores(db: Database, record: Record, extreme: float) -> None:
    absurd = [
        Recorded(Result("FRA", "0xa", *numbers, seg_duration=extreme if fields else 0.0, **fields), NOW)
        for numbers in ((extreme, extreme), (1e-100, 1e100), (1e100, 1e-100), (1.0, 1e-100))
        for fields in ({}, {"pipeline": "P", "model": "m"})
    ]
    sound = Recorded(Result("LAX", "0xb", 1.0, 1.0, seg_duration=2.0), NOW)
    await record([*absurd, sound])
    answer = await leaderboard.aggregates(db.read, EVERYTHING, (Dimension.ORCHESTRATOR,))
    assert [group.key.orchestrator for group in answer] == ["0xa", "0xb"]
    assert answer[1].score == pytest.approx(0.8646647167633873)
    assert len(await leaderboard.distributions(db.read, EVERYTHING, (Dimension.ORCHESTRATOR,))) == 2


async def test_scores_are_as_the_original_computes_them(db: Database, record: Record) -> None:
    transcoding = Result("FRA", "0xa", 0.5, 2.5, seg_duration=2.0)
    ai = {"pipeline": "P", "model": "m"}
    trips = [Result("FRA", "0xb", 1.0, trip, **ai) for trip in (1.0, 2.5, 9.0)]
    await record([Recorded(one, NOW) for one in (transcoding, *trips, Result("FRA", "0xc", 0.75, 5.0, **ai))])
    scores = {g.key.orchestrator: g for g in await leaderboard.aggregates(db.read, EVERYTHING, tuple(Dimension))}
    assert scores["0xa"].score == pytest.approx(0.2753355179413892, rel=1e-12)
    assert scores["0xa"].round_trip_score == pytest.approx(0.5506710358827784, rel=1e-12)
    assert scores["0xc"].score == pytest.approx(0.65 * 0.75 + 0.35 * 0.64, rel=1e-12)


async def test_results_of_distant_years_go_into_their_own_partitions(db: Database) -> None:
    catalog = Catalog(db, ttl_s=60)
    times = [datetime(2026, 3, 2, tzinfo=UTC) - timedelta(days=days) for days in (0, 2000, 9000)]
    checked = [CheckedResult(Result(region="FRA", orchestrator="0x1"), recorded_at=time) for time in times]
    assert [key.recorded_at for key in await store_results(db, catalog, checked)] == times
