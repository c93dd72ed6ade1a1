"""How long single results and their payloads are kept; roll-ups stay."""

from collections.abc import Callable
from datetime import datetime, timedelta

from db.pool import Database
from db.statements import STATEMENTS
from resolvers.rollups import EVER, HOUR, read_state

FIRST_WEEK = STATEMENTS["retention.first_week"]
KEEP_ROUND_TRIPS = STATEMENTS["retention.keep_round_trips"]
SET_RESULTS_SINCE = STATEMENTS["retention.set_results_since"]
DROP_PARTITIONS = STATEMENTS["retention.drop_partitions"]
CLEAR_PAYLOADS = STATEMENTS["retention.clear_payloads"]
LOCK_WITHDRAWALS = STATEMENTS["audit.lock_withdrawals"]

WEEK = timedelta(days=7)
BATCH = 5000


async def drop_results(db: Database, age: timedelta, report: Callable[..., None], now: datetime) -> None:
    """Let go of results that were recorded longer ago than `age`, whole weeks at a time, once all are rolled up.

    A week is answered for by roll-ups from one call on, and dropped by the next, so that no question that began before
    misses it.
    """
    state = await read_state(db.write)
    if state.complete_since != EVER:
        return
    if state.results_since is not None:
        await _drop(db, state.results_since, report)
    # An hour more, so that nothing that was just being recorded is of that week.
    until = now - age - HOUR
    week = await _first_week(db, state.results_since)
    while week is not None and week + WEEK <= until:
        async with db.write.transaction() as transaction:
            await transaction.fetchval(LOCK_WITHDRAWALS)
            await transaction.fetch(KEEP_ROUND_TRIPS, week=week)
            await transaction.fetch(SET_RESULTS_SINCE, time=week + WEEK)
        report("results_expired", week=week)
        week = await _first_week(db, week + WEEK)


async def clear_payloads(db: Database, age: timedelta, report: Callable[..., None], now: datetime) -> None:
    """Delete the input parameters and response payloads of results that were recorded longer ago than `age`."""
    until = now - age
    seen, cleared = BATCH, 0
    while seen == BATCH:
        (row,) = await db.write.fetch(CLEAR_PAYLOADS, until=until, limit=BATCH)
        seen, cleared = row.seen, cleared + row.cleared
    if cleared:
        report("payloads_cleared", count=cleared)


async def _drop(db: Database, until: datetime, report: Callable[..., None]) -> None:
    week = await _first_week(db, None)
    while week is not None and week < until:
        # Once more, for what was withdrawn or imported meanwhile.
        await db.write.fetch(KEEP_ROUND_TRIPS, week=week)
        week = await _first_week(db, week + WEEK)
    if dropped := await db.write.fetchval(DROP_PARTITIONS):
        report("partitions_dropped", count=dropped)


async def _first_week(db: Database, since: datetime | None) -> datetime | None:
    week: datetime | None = await db.write.fetchval(FIRST_WEEK, since=since)
    return week
