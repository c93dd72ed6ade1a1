"""What of nodes is kept no longer: by whose clock, what of it stays, and that storing goes on meanwhile."""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import asyncpg
import pytest

from db.pool import Database
from db.vacuuming import vacuum
from resolvers.telemetry import retention
from resolvers.telemetry.retention import create_log_partitions, partition_width, purge
from tests import harness
from tests.harness import eventually

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ADD_LOGS = """
INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, stored_at, is_audit, type, message)
SELECT coalesce((SELECT max(id) FROM podium.peer_logs), 0) + n, 1, 1, $1, $2::timestamptz + $3::interval * n, $4,
  'block.import', '{"msg": "block.import"}'
FROM generate_series(1, $5::integer) AS n
"""
ADD_CONNECTION = """
INSERT INTO podium.peer_connections (id, peer_id, writer, ip_addr, is_audit, has_logs, opened_at, closed_at)
VALUES ($1, $2, $3, '127.0.0.1:9', $4, $5, '2020-01-01Z', $6)
"""
PARTITIONS = """
SELECT c.oid::regclass::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'podium.peer_logs'::regclass ORDER BY c.relname
"""
LOGS = "SELECT count(*) FROM podium.peer_logs"


class Border(NamedTuple):
    """When messages have expired, in the middle of a partition: what was stored before `cutoff`."""

    expiry: timedelta
    cutoff: datetime


class Reported(list[tuple[str, Any]]):
    """Events with their counts."""

    def __call__(self, event: str, **facts: Any) -> None:
        self.append((event, facts.get("count")))

    def total(self, event: str) -> int:
        return sum(count for name, count in self if name == event)


@pytest.fixture
async def border(db: Database, connection: asyncpg.Connection) -> Border:
    """Partitions of an hour, from the one before the border's on."""
    now = await connection.fetchval("SELECT now()")
    cutoff = now.replace(minute=0, second=0, microsecond=0) - HOUR / 2
    await create_log_partitions(db, now - cutoff)
    return Border(now - cutoff, cutoff)


@pytest.fixture
def reported() -> Reported:
    return Reported()


async def add_logs(
    connection: asyncpg.Connection,
    stored_at: datetime,
    count: int = 1,
    *,
    ts: datetime | None = None,
    is_audit: bool = False,
    apart: timedelta = timedelta(0),
) -> None:
    """Store messages, at one time or one after the other."""
    await connection.execute(ADD_LOGS, ts or stored_at, stored_at, apart, is_audit, count)


async def let_go(db: Database, database: harness.Database, border: Border, report: Reported) -> None:
    """As the loop does."""
    await purge(db, border.expiry, partial(vacuum, database.logins.writer), report)


async def test_the_servers_clock_counts_whatever_a_nodes_says(
    db: Database, database: harness.Database, connection: asyncpg.Connection, border: Border, reported: Reported
) -> None:
    future, past = border.cutoff + 9000 * HOUR, border.cutoff - 9000 * HOUR
    await add_logs(connection, border.cutoff - HOUR, ts=future)
    await add_logs(connection, border.cutoff - MINUTE, ts=future)
    await add_logs(connection, border.cutoff + MINUTE, ts=past)
    await let_go(db, database, border, reported)
    assert await connection.fetchval("SELECT array_agg(ts) FROM podium.peer_logs") == [past]
    assert ("log_partitions_dropped", 1) in reported


async def test_what_came_by_audit_stays(
    db: Database, database: harness.Database, connection: asyncpg.Connection, border: Border, reported: Reported
) -> None:
    for stored_at in (border.cutoff - HOUR, border.cutoff - MINUTE):
        await add_logs(connection, stored_at, is_audit=True)
    await let_go(db, database, border, reported)
    assert await connection.fetchval(LOGS) == 2


async def test_the_border_is_exact_and_trimmed_some_at_a_time(
    db: Database,
    database: harness.Database,
    connection: asyncpg.Connection,
    border: Border,
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    await add_logs(connection, border.cutoff - MINUTE, 10)  # of one moment, more than a batch
    await add_logs(connection, border.cutoff - MINUTE / 2, 8, apart=timedelta(microseconds=1))
    await add_logs(connection, border.cutoff + MINUTE, 7)
    await let_go(db, database, border, reported)
    assert await connection.fetchval(LOGS) == 7
    assert [count for event, count in reported if event == "logs_trimmed"] == [10, 4, 4]
    assert reported.total("logs_purged") == 18


async def test_nothing_is_done_where_nothing_has_expired(
    db: Database, database: harness.Database, connection: asyncpg.Connection, border: Border, reported: Reported
) -> None:
    await add_logs(connection, border.cutoff + MINUTE)
    before = await connection.fetch(PARTITIONS)
    await purge(db, timedelta.max, partial(vacuum, database.logins.writer), reported)
    assert reported == []
    assert await connection.fetch(PARTITIONS) == before


async def test_space_of_what_is_gone_is_used_again(
    db: Database,
    database: harness.Database,
    connection: asyncpg.Connection,
    border: Border,
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "VACUUM_FROM", 1000)
    row = await db.write.fetchrow(retention.BORDER, cutoff=border.cutoff)
    assert row
    size = f"SELECT pg_relation_size('{row.vacuum.rpartition(' ')[2]}')"
    await add_logs(connection, border.cutoff - MINUTE, 20_000, apart=timedelta(microseconds=1))
    before = await connection.fetchval(size)
    await let_go(db, database, border, reported)
    assert reported.total("logs_trimmed") == 20_000
    await add_logs(connection, border.cutoff + MINUTE, 20_000, apart=timedelta(microseconds=1))
    assert await connection.fetchval(size) == before


async def test_a_login_that_may_not_vacuum_leaves_it_to_the_server(
    db: Database, connection: asyncpg.Connection, border: Border, reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "VACUUM_FROM", 1)
    for (partition,) in await connection.fetch(PARTITIONS):
        await connection.execute(f"REVOKE MAINTAIN ON {partition} FROM podium_writer")
    await add_logs(connection, border.cutoff - MINUTE)

    async def never(command: str) -> None:
        raise AssertionError(command)

    await purge(db, border.expiry, never, reported)
    assert reported.total("logs_trimmed") == 1


async def test_a_vacuum_that_fails_is_reported_and_the_purge_goes_on(
    db: Database, connection: asyncpg.Connection, border: Border, reported: Reported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "VACUUM_FROM", 1)
    await add_logs(connection, border.cutoff - MINUTE)
    await connection.execute(ADD_CONNECTION, 1, None, 1, False, True, border.cutoff - HOUR)
    await purge(db, border.expiry, partial(vacuum, "postgresql://nobody@127.0.0.1:1/x"), reported)
    assert [event for event, _ in reported][1:] == [
        *("logs_trimmed", "logs_purged", "vacuum_failed", "connections_forgotten"),
    ]


async def test_storing_goes_on_while_a_reader_holds_up_the_purge(
    db: Database,
    database: harness.Database,
    connection: asyncpg.Connection,
    border: Border,
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "DROP_PAUSES_S", (0.1, 0.1))
    await add_logs(connection, border.cutoff - HOUR, 10)
    await add_logs(connection, border.cutoff - MINUTE, 20_000, apart=timedelta(microseconds=1))
    await connection.execute(ADD_CONNECTION, 1, None, 1, False, True, border.cutoff - HOUR)
    reader = await asyncpg.connect(database.logins.reader)
    async with reader.transaction():
        assert await reader.fetchval(LOGS) == 20_010
        waits_s = await _store_during(connection, let_go(db, database, border, reported))
    assert ("log_partitions_in_use", None) in reported
    assert reported.total("logs_trimmed") == 20_000
    assert sum(wait for wait in waits_s if wait > 0.1) < 1.5  # three times 0.3 s
    assert max(waits_s) < 0.6
    # The logs of the connection may be among those that are still there.
    assert await connection.fetchval("SELECT count(*) FROM podium.peer_connections") == 1
    assert max(await _store_during(connection, let_go(db, database, border, reported))) < 0.6
    assert ("log_partitions_dropped", 1) in reported
    assert await connection.fetchval("SELECT count(*) FROM podium.peer_connections") == 0
    assert await connection.fetchval(LOGS) == await connection.fetchval(f"{LOGS} WHERE stored_at > $1", border.cutoff)
    await reader.close()


async def _store_during(connection: asyncpg.Connection, work: Any) -> list[float]:
    """How long each message took that was stored meanwhile."""
    task, waits_s = asyncio.create_task(work), []
    while not task.done() or not waits_s:
        began = monotonic()
        await add_logs(connection, await connection.fetchval("SELECT now()"))
        waits_s.append(monotonic() - began)
    await task
    return waits_s


async def test_an_autovacuum_makes_way_before_anybody_waits(
    db: Database, database: harness.Database, connection: asyncpg.Connection, border: Border, reported: Reported
) -> None:
    first = await connection.fetchval(f"{PARTITIONS} LIMIT 1 OFFSET 1")  # after that of audit logs
    vacuuming = await asyncpg.connect(database.logins.superuser)
    transaction = vacuuming.transaction()
    await transaction.start()
    await vacuuming.execute(f"LOCK TABLE {first} IN SHARE UPDATE EXCLUSIVE MODE")  # as a vacuum does
    dropping = asyncio.create_task(let_go(db, database, border, reported))
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareUpdateExclusiveLock'"
    while not await connection.fetchval(waiting):
        assert not dropping.done()
    async with asyncio.timeout(0.3):
        await add_logs(connection, border.cutoff + MINUTE)
        await connection.fetchval(LOGS)
    await transaction.rollback()
    await dropping
    assert ("log_partitions_dropped", 1) in reported
    await vacuuming.close()


async def test_connections_go_when_they_are_closed_and_nothing_needs_them(
    db: Database, database: harness.Database, connection: asyncpg.Connection, border: Border, reported: Reported
) -> None:
    old, new = border.cutoff - MINUTE, border.cutoff + MINUTE
    await connection.execute("SELECT pg_advisory_lock(hashtext('podium.telemetry_writer'), 1)")
    for number, (is_audit, has_logs, closed_at) in enumerate(
        [
            *((False, True, None), (False, False, None), (True, True, None), (True, False, None)),
            *((False, True, new), (True, False, new), (True, True, old)),
            *((False, True, old), (False, False, old), (True, False, old)),
        ]
    ):
        await connection.execute(ADD_CONNECTION, number + 1, None, 1, is_audit, has_logs, closed_at)
    await let_go(db, database, border, reported)
    assert await connection.fetchval("SELECT array_agg(id ORDER BY id) FROM podium.peer_connections") == [*range(1, 8)]
    assert reported.total("connections_forgotten") == 3


def test_no_log_is_read_to_forget_connections() -> None:
    for statement in (retention.FORGET_CONNECTIONS, retention.FORGET_PEERS, retention.OPEN_WRITERS):
        assert "peer_logs" not in statement.tables


async def test_peers_go_after_their_connections_but_for_those_of_orchestrators(
    db: Database,
    database: harness.Database,
    connection: asyncpg.Connection,
    border: Border,
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "PEERS_PAGE", 2)
    await connection.execute("INSERT INTO podium.orchestrators (address) VALUES ('0xa')")
    await connection.execute(
        "INSERT INTO podium.peers (peer_id, orchestrator_id, created_at) VALUES ('gone', NULL, $1), ('linked', 1, $1),"
        " ('seen', NULL, $1), ('unseen', NULL, $1), ('new', NULL, $2)",
        *(border.cutoff - MINUTE, border.cutoff + MINUTE),
    )
    await connection.execute(ADD_CONNECTION, 1, 1, 1, False, True, border.cutoff - MINUTE)
    await connection.execute(ADD_CONNECTION, 2, 3, 1, False, True, border.cutoff + MINUTE)
    await let_go(db, database, border, reported)
    peers = await connection.fetchval("SELECT array_agg(peer_id ORDER BY id) FROM podium.peers")
    assert peers == ["linked", "seen", "new"]
    assert reported.total("peers_forgotten") == 2


async def test_a_peer_that_connects_at_the_same_time_stays(
    db: Database, database: harness.Database, connection: asyncpg.Connection, border: Border, reported: Reported
) -> None:
    add_peer = "INSERT INTO podium.peers (peer_id, created_at) VALUES ('a', '2020-01-01Z')"
    await connection.execute(add_peer)
    async with connection.transaction():
        await connection.execute(ADD_CONNECTION, 1, 1, 1, False, True, None)
        await let_go(db, database, border, reported)
    assert await connection.fetchval("SELECT count(*) FROM podium.peers") == 1


async def test_connections_of_writers_that_are_dead_are_closed(
    db: Database,
    database: harness.Database,
    connection: asyncpg.Connection,
    border: Border,
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "GRACE_S", 0)
    hold = "SELECT pg_advisory_lock(hashtext('podium.telemetry_writer'), $1)"
    await connection.execute(hold.replace("$1", "7"))
    for number, writer in enumerate((7, 7, 8, 8, 9)):
        await connection.execute(ADD_CONNECTION, number + 1, None, writer, False, True, None)
    await let_go(db, database, border, reported)
    still_open = "SELECT array_agg(id ORDER BY id) FROM podium.peer_connections WHERE closed_at IS NULL"
    assert await connection.fetchval(still_open) == [1, 2]
    assert reported == [("log_partitions_dropped", 1), ("connections_closed", 2), ("connections_closed", 1)]
    assert await connection.fetchval("SELECT min(closed_at) FROM podium.peer_connections") > border.cutoff + HOUR / 3


async def test_a_writer_that_comes_back_in_time_keeps_its_connections(
    db: Database,
    database: harness.Database,
    connection: asyncpg.Connection,
    border: Border,
    reported: Reported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "GRACE_S", 0.3)
    await connection.execute(ADD_CONNECTION, 1, None, 7, False, True, None)
    purging = asyncio.create_task(let_go(db, database, border, reported))
    await eventually(lambda: reported)
    await connection.execute("SELECT pg_advisory_lock(hashtext('podium.telemetry_writer'), 7)")
    await purging
    assert await connection.fetchval("SELECT closed_at FROM podium.peer_connections") is None


async def test_imported_connections_stay_as_long_as_their_logs_may(
    db: Database, database: harness.Database, connection: asyncpg.Connection, border: Border, reported: Reported
) -> None:
    await connection.execute("INSERT INTO podium.peers (peer_id, created_at) VALUES ('a', '2020-01-01Z')")
    await connection.execute(ADD_CONNECTION, -1, 1, 0, False, True, datetime.fromisoformat("2020-01-02T00:00:00Z"))
    await connection.execute("INSERT INTO podium.imports (source, last_id) VALUES ('telemetry/x', 1)")
    await let_go(db, database, border, reported)
    assert await connection.fetchval("SELECT count(*) FROM podium.peers") == 1
    await connection.execute("UPDATE podium.imports SET updated_at = $1", border.cutoff - MINUTE)
    await let_go(db, database, border, reported)
    assert await connection.fetchval("SELECT count(*) FROM podium.peers") == 0


@pytest.mark.parametrize(
    ("expiry", "width"),
    [
        (timedelta(seconds=1), HOUR),
        (8 * HOUR, HOUR),
        (timedelta(hours=100, seconds=1), timedelta(hours=12, minutes=30)),
        (timedelta(hours=280_320), timedelta(days=91)),
    ],
)
def test_partitions_are_few_and_not_too_wide(expiry: timedelta, width: timedelta) -> None:
    assert partition_width(expiry) == width


@pytest.mark.parametrize("hours", [1, 20, 100, 5000])
async def test_there_is_room_for_the_next_hours_whatever_was_made_before(
    db: Database, connection: asyncpg.Connection, hours: int
) -> None:
    await create_log_partitions(db, 30 * HOUR)
    await create_log_partitions(db, hours * HOUR)
    assert await create_log_partitions(db, hours * HOUR) == 0
    now = await connection.fetchval("SELECT now()")
    for is_audit in (False, True):
        for stored_at in (now - 2 * HOUR, now, now + 3 * HOUR):
            await add_logs(connection, stored_at, is_audit=is_audit)
    assert await connection.fetchval(LOGS) == 6
