"""How long single results and their payloads are kept; roll-ups stay."""

from collections.abc import Callable
from datetime import datetime, timedelta

from db.pool import Connection, Database, Runner
from db.statements import STATEMENTS
from resolvers.rollups import DAY, EVER, HOUR, read_state

FIRST_WEEK = STATEMENTS["retention.first_week"]
FORGET_ROUND_TRIPS = STATEMENTS["retention.forget_round_trips"]
KEEP_ROUND_TRIPS = STATEMENTS["retention.keep_round_trips"]
SET_RESULTS_SINCE = STATEMENTS["retention.set_results_since"]
DROP_PARTITIONS = STATEMENTS["retention.drop_partitions"]
HOLD_STATE = STATEMENTS["retention.hold_state"]
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
    since = state.results_since
    while since is not None and (dropped := await _drop_a_week(db, since)):
        report("partitions_dropped", count=dropped)
    # An hour more, so that nothing that was just being recorded is of that week.
    while week := await _expire_a_week(db, since, now - age - HOUR):
        report("results_expired", week=week)
        since = week + WEEK


async def clear_payloads(db: Database, age: timedelta, report: Callable[..., None], now: datetime) -> None:
    """Delete the input parameters and response payloads of results that were recorded longer ago than `age`."""
    until = now - age
    seen, cleared = BATCH, 0
    while seen >= BATCH:
        async with db.write.transaction() as transaction:
            # Whoever stores results of then has ended, and the next sees that they are stored without payloads.
            await transaction.fetch(HOLD_STATE)
            (row,) = await transaction.fetch(CLEAR_PAYLOADS, until=until, limit=BATCH)
        seen, cleared = row.seen, cleared + row.cleared
    if cleared:
        report("payloads_cleared", count=cleared)


async def _expire_a_week(db: Database, since: datetime | None, until: datetime) -> datetime | None:
    """Let roll-ups answer for the first week with results that ends by then; None when there is none."""
    async with db.write.transaction() as transaction:
        await transaction.fetchval(LOCK_WITHDRAWALS)
        week = await _first_week(transaction, since)
        if week is None or week + WEEK > until:
            return None
        await _keep_round_trips(transaction, week)
        await transaction.fetch(SET_RESULTS_SINCE, time=week + WEEK)
        return week


async def _drop_a_week(db: Database, until: datetime) -> int:
    """Drop the partitions up to the first that has results, of those that end by then; how many."""
    async with db.write.transaction() as transaction:
        # From here on nothing is withdrawn, and nobody else drops what round trips are taken of.
        await transaction.fetchval(LOCK_WITHDRAWALS)
        week = await _first_week(transaction, None)
        if week is not None and week < until:
            # Once more, for what was withdrawn or restored meanwhile.
            await _keep_round_trips(transaction, week)
            until = week + WEEK
        return int(await transaction.fetchval(DROP_PARTITIONS, until=until))


async def _keep_round_trips(transaction: Connection, week: datetime) -> None:
    await transaction.fetch(FORGET_ROUND_TRIPS, week=week)
    for number in range(7):
        await transaction.fetch(KEEP_ROUND_TRIPS, day=week + number * DAY)


async def _first_week(db: Runner, since: datetime | None) -> datetime | None:
    week: datetime | None = await db.fetchval(FIRST_WEEK, since=since)
    return week
