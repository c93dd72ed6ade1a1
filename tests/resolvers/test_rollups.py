"""Roll-ups: the parts of a window, and that they are what results come to, whatever happens."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.pool import Database
from resolvers import administration, leaderboard, rollups
from resolvers.aggregation import Dimension
from resolvers.catalog import Catalog
from resolvers.filters import StatFilter, Window
from resolvers.recording import CheckedResult, store_results
from resolvers.results import Result
from resolvers.rollups import DAY, EVER, HOUR, Parts, State, cut
from tests.resolvers.conftest import EXAMPLES, Record
from tests.resolvers.plain import NOW, Recorded, records

MICROSECOND = timedelta(microseconds=1)
moments = st.integers(0, 8 * 24 * 60).map(lambda m: NOW + timedelta(minutes=m)) | st.integers(
    0, 8 * 86_400 * 10**6
).map(lambda us: NOW + timedelta(microseconds=us))
hours = st.integers(0, 8 * 24).map(lambda h: NOW + h * HOUR)
DEED = administration.Deed("tester", "a test")


def ranges(parts: Parts, window: Window) -> list[tuple[str, datetime, datetime]]:
    """The parts as half-open ranges of the time that they read, in their order."""
    end = (window.until or NOW + 100 * DAY) + MICROSECOND
    first = window.since or EVER
    found = [("results", first, min(end, max(first, parts.hours_since or end)))]
    if "first_hours" in parts.names:
        found.append(("hours", parts.hours_since or end, parts.days_since or end))
    if "days" in parts.names:
        found.append(("days", parts.days_since or end, parts.days_until or end))
    if "last_hours" in parts.names:
        found.append(("hours", parts.days_until or end, parts.hours_until or end))
    if "last_results" in parts.names:
        found.append(("results", parts.hours_until or end, end))
    return found


@given(
    since=st.none() | moments,
    until=st.none() | moments,
    starts=st.lists(hours | moments, max_size=2),
    complete=st.none() | st.just(EVER) | st.integers(0, 8).map(lambda d: NOW + d * DAY),
)
def test_the_parts_of_a_window_follow_each_other_without_a_gap_and_straddle_nothing(
    since: datetime | None, until: datetime | None, starts: Sequence[datetime], complete: datetime | None
) -> None:
    if since is not None and until is not None and since > until:
        since, until = until, since
    window = Window(since, until)
    found = ranges(cut(window, starts, State(complete)), window)
    assert found[0][1] == (since or EVER)
    assert found[-1][2] == (until or NOW + 100 * DAY) + MICROSECOND
    assert [end for _, _, end in found[:-1]] == [begin for _, begin, _ in found[1:]]
    for name, begin, end in found:
        assert begin <= end
        bucket = {"hours": HOUR, "days": DAY}.get(name)
        if bucket is not None and not (until is None and end == found[-1][2]):
            assert not (begin - EVER) % bucket
            assert not (end - EVER) % bucket
        if bucket is not None:
            assert complete is not None
            assert begin >= complete
            assert not any(begin < start < end and (start - EVER) % bucket for start in starts)


def test_a_window_that_is_open_ends_with_the_day_that_is_still_going_on() -> None:
    now = datetime(2026, 3, 4, 17, 7, 40, tzinfo=UTC)
    evening, midnight = datetime(2026, 3, 3, 18, tzinfo=UTC), datetime(2026, 3, 4, tzinfo=UTC)
    assert cut(Window(now - DAY), (), State(EVER)) == Parts(frozenset({"first_hours", "days"}), evening, midnight)
    hour = datetime(2026, 3, 4, 17, tzinfo=UTC)
    closed = Parts(frozenset({"first_hours", "last_results"}), evening, hour, None, hour)
    assert cut(Window(now - DAY, now), (), State(EVER)) == closed


async def wrong_cells(db: Database) -> int:
    """How many roll-ups are not what results come to."""
    return sum([day.wrong_cells async for day in rollups.check(db.write, Window())])


def quiet(event: str, **facts: Any) -> None:
    """Report to nobody."""


@EXAMPLES
@given(found=records, seed=st.integers(0, 99), withdrawn=st.sampled_from(("0xa", "0xb")))
async def test_roll_ups_are_right_after_withdrawals_and_their_end(
    db: Database, record: Record, found: list[Recorded], seed: int, withdrawn: str
) -> None:
    await record(found)
    assert await wrong_cells(db) == 0
    wanted = StatFilter(Window(since=NOW - 2 * DAY), orchestrators=(withdrawn,))
    outcome = await administration.withdraw_matching(db.write, wanted, DEED)
    assert await wrong_cells(db) == 0
    left = await leaderboard.aggregates(db.read, StatFilter(), ())
    assert sum(group.samples for group in left) == len(found) - outcome.affected
    if outcome.entry is not None:
        await administration.restore(db.write, outcome.entry.id, DEED)
    assert await wrong_cells(db) == 0
    assert sum(group.samples for group in await leaderboard.aggregates(db.read, StatFilter(), ())) == len(found)


TAMPERING = {
    "a sum": "UPDATE podium.hourly_rollups SET round_trip_time = round_trip_time * 1.00001",
    "a count of a day": "UPDATE podium.daily_rollups SET samples = samples + 1",
    "a missing hour": "DELETE FROM podium.hourly_rollups WHERE round_trip_time = 1",
    "a missing day": "DELETE FROM podium.daily_rollups",
    "an hour of nothing": "DELETE FROM podium.results",
    "a result that is not counted": """INSERT INTO podium.results
      (recorded_at, timestamp, success_rate, round_trip_time, orchestrator_id, region_id)
      SELECT recorded_at, 0, 1, 1, orchestrator_id, region_id FROM podium.results LIMIT 1""",
}


@pytest.mark.parametrize("tampering", TAMPERING.values(), ids=TAMPERING)
async def test_what_is_wrong_is_found_and_repaired(
    db: Database, record: Record, connection: asyncpg.Connection, tampering: str
) -> None:
    await record([Recorded(Result("FRA", "0xa", 1.0, n), NOW - n * 5 * HOUR) for n in range(1, 9)])
    await connection.execute(tampering)
    assert await wrong_cells(db) > 0
    reported: list[str] = []
    await rollups.repair(db, lambda event, **facts: reported.append(event), Window())
    assert set(reported) == {"rollups_repaired"}
    assert await wrong_cells(db) == 0


async def test_the_first_day_and_the_last_one_are_looked_at_too(
    db: Database, record: Record, connection: asyncpg.Connection
) -> None:
    last = datetime(9999, 12, 31, 22, tzinfo=UTC)
    await record([Recorded(Result("FRA", "0xa", 1.0, 1.0), at) for at in (EVER, EVER + HOUR, last, last - HOUR)])
    assert await leaderboard.aggregates(db.read, StatFilter(Window(since=last - DAY)), ()) != []
    await connection.execute("TRUNCATE podium.hourly_rollups, podium.daily_rollups")
    await connection.execute("UPDATE podium.rollup_state SET complete_since = NULL")
    assert await wrong_cells(db) == 6
    await rollups.build(db, quiet)
    assert await wrong_cells(db) == 0
    everywhere = Window(EVER, datetime.max.replace(tzinfo=UTC))
    assert [day.day async for day in rollups.check(db.write, everywhere)] == [last - 22 * HOUR, EVER]


async def test_answers_are_right_while_roll_ups_are_being_built(
    db: Database, record: Record, connection: asyncpg.Connection
) -> None:
    await record([Recorded(Result("FRA", "0xa", 1.0, n), NOW - n * 7 * HOUR) for n in range(1, 30)])
    everything = await leaderboard.aggregates(db.read, StatFilter(), tuple(Dimension))
    await connection.execute("TRUNCATE podium.hourly_rollups, podium.daily_rollups")
    await connection.execute("UPDATE podium.rollup_state SET complete_since = NULL")
    steps: list[datetime] = []
    building = asyncio.create_task(
        rollups.build(db, lambda event, **facts: steps.append(facts["since"])), name="building"
    )
    while not building.done():
        assert await leaderboard.aggregates(db.read, StatFilter(), tuple(Dimension)) == everything
    await building
    assert len(steps) > 5
    assert steps == sorted(steps, reverse=True)
    assert await rollups.read_state(db.read) == State(EVER)
    assert await wrong_cells(db) == 0
    assert await leaderboard.aggregates(db.read, StatFilter(), tuple(Dimension)) == everything


async def test_nothing_is_lost_or_counted_twice_while_days_are_built_anew(db: Database) -> None:
    rng, now = Random(1), datetime.now(UTC)
    catalogs = [Catalog(db, ttl_s=60), Catalog(db, ttl_s=60)]

    async def store(catalog: Catalog) -> None:
        for _ in range(40):
            times = [now - rng.random() * 3 * DAY for _ in range(rng.randrange(1, 20))]
            nodes = [f"0x{rng.randrange(3)}" for _ in times]
            results = [Result("FRA", node, rng.random(), rng.random()) for node in nodes]
            await store_results(db, catalog, [CheckedResult(r, None, t) for r, t in zip(results, times, strict=True)])

    storing = [asyncio.create_task(store(catalog)) for catalog in catalogs]
    while not all(task.done() for task in storing):
        await rollups.rebuild(db, Window(), quiet)
    await asyncio.gather(*storing)
    assert await wrong_cells(db) == 0
