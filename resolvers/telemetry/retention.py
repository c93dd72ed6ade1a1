"""How long messages of nodes are kept: LOG_EXPIRY_H, by the database's clock. What came by /audit is kept for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from time import monotonic

import asyncpg

from db.pool import Database
from db.statements import STATEMENTS
from resolvers.errors import TimedOut

CREATE_PARTITIONS = STATEMENTS["telemetry_retention.create_partitions"]
CUTOFF = STATEMENTS["telemetry_retention.cutoff"]
DROP_PARTITIONS = STATEMENTS["telemetry_retention.drop_partitions"]
BORDER = STATEMENTS["telemetry_retention.border"]
TRIM_UNTIL = STATEMENTS["telemetry_retention.trim_until"]
TRIM = STATEMENTS["telemetry_retention.trim"]
OPEN_WRITERS = STATEMENTS["telemetry_retention.open_writers"]
LIVING_WRITERS = STATEMENTS["telemetry_retention.living_writers"]
TRY_WRITER = STATEMENTS["telemetry_retention.try_writer"]
CLOSE_CONNECTIONS = STATEMENTS["telemetry_retention.close_connections"]
LAST_IMPORT = STATEMENTS["telemetry_retention.last_import"]
FORGET_CONNECTIONS = STATEMENTS["telemetry_retention.forget_connections"]
FORGET_PEERS = STATEMENTS["telemetry_retention.forget_peers"]

MAX_EXPIRY = timedelta(days=36_500)  # beyond it, times are none that the database knows
# So many partitions hold what has not expired: few for questions, and one of them at most holds what has.
PARTITIONS = 8
MIN_WIDTH, MAX_WIDTH = timedelta(hours=1), timedelta(days=91)
AHEAD = timedelta(hours=4)  # an hour more than there must be, because they are made every hour
DROP_PAUSES_S = (1.0, 3.0)  # each attempt lets those who store wait for 0.3 s at most
BATCH = 5000
MIN_PAUSE_S = 0.02
# What is trimmed bit by bit, autovacuum takes care of.
VACUUM_FROM = 50_000
GRACE_S = 10.0  # for a writer whose session was lost, and who takes its lock again
PEERS_PAGE = 10_000
MICROSECOND = timedelta(microseconds=1)

Report = Callable[..., None]
Vacuum = Callable[[str], Awaitable[None]]  # runs the command


def partition_width(expiry: timedelta) -> timedelta:
    """How much time one partition of logs holds, in whole seconds."""
    width = min(max(expiry / PARTITIONS, MIN_WIDTH), MAX_WIDTH)
    return timedelta(seconds=int(width.total_seconds()))


async def create_log_partitions(db: Database, expiry: timedelta) -> int:
    """Make sure that there are partitions for the logs of the next hours; how many are new."""
    created = await db.write.fetchval(CREATE_PARTITIONS, width=partition_width(expiry), ahead=AHEAD)
    return int(created)


async def purge(db: Database, expiry: timedelta, vacuum: Vacuum, report: Report) -> None:
    """Let go of what was stored longer ago than `expiry`, and of connections and peers that nothing needs any more.

    `report` is told `log_partitions_dropped`, `logs_trimmed` after each batch and `logs_purged` after all,
    `connections_closed`, `connections_forgotten` and `peers_forgotten`, each with a count; and `log_partitions_in_use`
    and `vacuum_failed`.
    """
    cutoff = await db.write.fetchval(CUTOFF, expiry=min(expiry, MAX_EXPIRY))
    are_gone = await _drop(db, cutoff, report)
    await _trim(db, cutoff, vacuum, report)
    await _close_abandoned(db, report)
    if are_gone:
        await _forget_connections(db, cutoff, report)
        await _forget_peers(db, cutoff, report)


async def _drop(db: Database, cutoff: datetime, report: Report) -> bool:
    """Drop the partitions in which all has expired; False when somebody reads them."""
    for pause_s in (*DROP_PAUSES_S, None):
        try:
            dropped = await db.write.fetchval(DROP_PARTITIONS, until=cutoff)
        except TimedOut:
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        else:
            _report(report, "log_partitions_dropped", dropped)
            return True
    report("log_partitions_in_use")
    return False


async def _trim(db: Database, cutoff: datetime, vacuum: Vacuum, report: Report) -> None:
    """Delete what has expired of the partition in which some has not."""
    border = await db.write.fetchrow(BORDER, cutoff=cutoff)
    if border is None:
        return
    since, trimmed = border.since, 0
    while since < cutoff:
        began = monotonic()
        until = await db.write.fetchval(TRIM_UNTIL, since=since, cutoff=cutoff, batch=BATCH) or cutoff - MICROSECOND
        count = await db.write.fetchval(TRIM, since=since, until=until)
        _report(report, "logs_trimmed", count)
        since, trimmed = until + MICROSECOND, trimmed + count
        # Those who store have the database for themselves half of the time.
        await asyncio.sleep(max(MIN_PAUSE_S, monotonic() - began))
    _report(report, "logs_purged", trimmed)
    if trimmed >= VACUUM_FROM and border.vacuum:
        await _vacuum(vacuum, border.vacuum, report)


async def _vacuum(vacuum: Vacuum, command: str, report: Report) -> None:
    try:
        await vacuum(command)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        report("vacuum_failed", error=error)


async def _close_abandoned(db: Database, report: Report) -> None:
    """Close the connections that writers left open which have ended without a word."""
    suspects = await _dead_writers(db)
    if not suspects:
        return
    await asyncio.sleep(GRACE_S)
    for writer in suspects & await _dead_writers(db):
        _report(report, "connections_closed", await _close_connections(db, writer))


async def _dead_writers(db: Database) -> set[int]:
    writers = {row.writer for row in await db.write.fetch(OPEN_WRITERS)}
    return writers - {row.writer for row in await db.write.fetch(LIVING_WRITERS)}


async def _close_connections(db: Database, writer: int) -> int:
    async with db.write.transaction() as transaction:
        # A writer that comes back waits for the end, and opens its connections again.
        if not await transaction.fetchval(TRY_WRITER, writer=writer):
            return 0
        return int(await transaction.fetchval(CLOSE_CONNECTIONS, writer=writer))


async def _forget_connections(db: Database, cutoff: datetime, report: Report) -> None:
    last_import = await db.write.fetchval(LAST_IMPORT)
    origins = ["own"] if last_import and last_import >= cutoff else ["own", "imported"]
    for origin in origins:
        count = BATCH
        while count == BATCH:
            statement = FORGET_CONNECTIONS.pick(origin=origin)
            count = await db.write.fetchval(statement, cutoff=cutoff, batch=BATCH)
            _report(report, "connections_forgotten", count)


async def _forget_peers(db: Database, cutoff: datetime, report: Report) -> None:
    after: int | None = 0
    while after is not None:
        try:
            (page,) = await db.write.fetch(FORGET_PEERS, after=after, cutoff=cutoff, page=PEERS_PAGE)
        except asyncpg.ForeignKeyViolationError:
            return  # one has just come back: it stays, and so do the others until the next time
        _report(report, "peers_forgotten", page.forgotten)
        after = page.last_id


def _report(report: Report, event: str, count: int) -> None:
    if count:
        report(event, count=count)
