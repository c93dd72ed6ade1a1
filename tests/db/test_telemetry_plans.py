"""The hottest questions about nodes read their answers by an index, however many messages are beside them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from db.pool import Pool, PoolOptions
from resolvers.errors import from_driver
from resolvers.filters import Window
from resolvers.page import PageRequest
from resolvers.telemetry import listing, log_pages, log_series, opinions, reputation
from resolvers.telemetry.batching import Asked
from resolvers.telemetry.listing import PeerOrder
from resolvers.telemetry.log_pages import LogQuestion
from resolvers.telemetry.logs import LogFilter, log_counts, newest_logs
from resolvers.telemetry.peers import id_of, latest_connections
from resolvers.telemetry.reputation import ReputationFilter, latest_reputations, reputations_of
from tests import harness
from tests.db.plans import Explaining, Scan

PEERS = 100
LOGS = 100_000
WEEKS = 6  # that have logs, each in a partition of its own
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
BUSY, USUAL = "node 001", "node 050"  # with a fifth of all logs, and with its share of the rest
EVERYBODY = range(1, PEERS + 1)
FIVE = PageRequest(5, None, backwards=False)
NOW_OR_BEFORE = LogFilter(before=NOW)

PARTITIONS = """
DO $$ BEGIN
  FOR week IN -6..1 LOOP
    EXECUTE format('CREATE TABLE podium.%I PARTITION OF podium.peer_logs FOR VALUES FROM (false, %L) TO (false, %L)',
      'peer_logs_of_week_' || week + 6, timestamptz '2026-05-20 12:00Z' + week * interval '7 days',
      timestamptz '2026-05-20 12:00Z' + (week + 1) * interval '7 days');
  END LOOP;
END $$;
CREATE TABLE podium.peer_logs_of_audit PARTITION OF podium.peer_logs
  FOR VALUES FROM (true, '2026-01-01Z') TO (true, '2027-01-01Z');
"""
NODES = """
INSERT INTO podium.peers (id, peer_id) OVERRIDING SYSTEM VALUE
SELECT i, 'node ' || to_char(i, 'FM000') FROM generate_series(1, {peers}) AS i;
INSERT INTO podium.peer_connections (id, peer_id, writer, ip_addr, is_audit, opened_at)
SELECT i, nullif(i % ({peers} + 1), 0), 1, '127.0.0.1:' || i, false, timestamptz '2026-05-01Z' + i * interval '1 second'
FROM generate_series(1, 50 * {peers}) AS i;
"""
# Every twentieth log of a node is a network state with ten others in it.
MESSAGES = """
INSERT INTO podium.peer_logs (id, peer_id, connection_id, ts, stored_at, is_audit, type, target, message)
SELECT i, peer, 50 * peer, ts, ts, i % 50 = 0, type, CASE type WHEN 'type 1' THEN 'target ' || i % 3 END,
  jsonb_build_object('msg', type, 'height', i, 'best', '0x158bc408', 'state', CASE type WHEN 'system.network_state' THEN
    jsonb_build_object('peerset', jsonb_build_object('nodes', (
      SELECT jsonb_object_agg('node ' || to_char((i + j) % 90, 'FM000'), jsonb '{{"reputation": 1, "connected": true}}')
      FROM generate_series(1, 10) AS j))) END)
FROM (
  SELECT i, CASE WHEN i % 5 = 0 THEN 1 ELSE 1 + i % {peers} END AS peer,
    CASE (i / {peers}) % 20 WHEN 0 THEN 'system.network_state' ELSE 'type ' || (i / {peers}) % 20 END AS type,
    timestamptz '2026-05-20 12:00Z' - ({logs} - i + 1) * interval '{weeks} weeks' / {logs} AS ts
  FROM generate_series(1, {logs}) AS i
) AS made_up;
"""
SIZES = {"peers": PEERS, "logs": LOGS, "weeks": WEEKS}


@pytest.fixture(scope="module")
async def db(shared_database: harness.Database) -> AsyncIterator[Pool]:
    """The reader's pool, before the logs of six weeks."""
    connection = await asyncpg.connect(shared_database.logins.superuser)
    for statements in (PARTITIONS, NODES.format(**SIZES), MESSAGES.format(**SIZES)):
        await connection.execute(statements)
    for table in ("peers", "peer_connections", "peer_logs"):
        await connection.execute(f"VACUUM ANALYZE podium.{table}")
    await connection.close()
    pool = Pool(shared_database.logins.reader, PoolOptions(size=1, timeout_s=60, for_questions=True), from_driver)
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
def explaining(db: Pool) -> Explaining:
    return Explaining(db)


async def peer_of(explaining: Explaining, name: str) -> int:
    """podium's own id of a node."""
    peer = await id_of(explaining, name)
    assert peer is not None
    return peer


@pytest.mark.parametrize("name", [BUSY, USUAL])
@pytest.mark.parametrize(
    "wanted",
    [NOW_OR_BEFORE, LogFilter(before=NOW - timedelta(weeks=3)), LogFilter(after=NOW - timedelta(weeks=4), before=NOW)],
)
async def test_the_newest_logs_of_a_node_are_read_from_their_end_in_every_partition(
    explaining: Explaining, name: str, wanted: LogFilter
) -> None:
    peer = await peer_of(explaining, name)
    assert len(await newest_logs(explaining, peer, wanted, limit=100)) == 100
    scans = explaining.of("peer_logs")
    assert kinds_of(scans) == {"peer_id_ts_idx"}
    assert rows_of(scans) <= 100 + 2 * (WEEKS + 2)


@pytest.mark.parametrize("name", [BUSY, USUAL])
async def test_logs_of_a_type_are_read_by_their_type(explaining: Explaining, name: str) -> None:
    peer = await peer_of(explaining, name)
    assert len(await newest_logs(explaining, peer, LogFilter(msg="type 7", before=NOW), limit=20)) == 20
    scans = explaining.of("peer_logs")
    assert kinds_of(scans) == {"peer_id_type_ts_idx"}
    assert rows_of(scans) <= 20 + 2 * (WEEKS + 2)


async def test_logs_of_a_target_are_read_by_their_target(explaining: Explaining) -> None:
    peer = await peer_of(explaining, BUSY)
    wanted = LogFilter(msg="type 1", target="target 1", before=NOW)
    assert len(await newest_logs(explaining, peer, wanted, limit=20)) == 20
    assert kinds_of(explaining.of("peer_logs")) == {"peer_id_target_type_ts_idx"}


async def test_connections_of_logs_are_found_one_by_one(explaining: Explaining) -> None:
    peer = await peer_of(explaining, USUAL)
    await newest_logs(explaining, peer, NOW_OR_BEFORE, limit=20)
    scans = explaining.of("peer_connections")
    assert {scan.index for scan in scans} == {"peer_connections_pkey"}
    assert rows_of(scans) <= 20


async def test_logs_are_counted_without_reading_them(explaining: Explaining) -> None:
    peer = await peer_of(explaining, BUSY)
    counts = await log_counts(explaining, peer)
    scans = explaining.of("peer_logs")
    assert sum(row.logs for row in counts) == rows_of(scans)
    assert kinds_of(scans) == {"peer_id_type_ts_idx"}
    assert {scan.heap_fetches for scan in scans if scan.rows} == {0}


async def test_the_latest_connections_are_read_one_by_one(explaining: Explaining) -> None:
    assert len(await latest_connections(explaining)) == PEERS + 1
    scans = explaining.of("peer_connections")
    assert {scan.index for scan in scans} <= {"peer_connections_peer", None}
    assert rows_of(scans) <= 3 * PEERS


@pytest.mark.parametrize("age", [None, timedelta(days=3), timedelta(minutes=5)])
async def test_of_each_node_the_latest_network_state_is_read(explaining: Explaining, age: timedelta | None) -> None:
    await latest_reputations(explaining, age and NOW - age, NOW, limit=PEERS)
    scans = explaining.of("peer_logs")
    assert kinds_of(scans) <= {"peer_id_type_ts_idx", "ts_idx"}
    assert rows_of(scans) <= PEERS * (WEEKS + 2)


async def test_opinions_about_a_node_that_most_know_are_among_the_newest(explaining: Explaining) -> None:
    wanted = ReputationFilter(before=NOW)
    assert len(await reputations_of(explaining, "node 007", wanted, limit=50)) == 50
    scans = explaining.of("peer_logs")
    assert kinds_of(scans) == {"ts_idx"}
    assert rows_of(scans) <= reputation.FIRST_STATES + 2 * (WEEKS + 2)


async def test_opinions_about_a_node_that_nobody_knows_are_looked_up(explaining: Explaining) -> None:
    assert await reputations_of(explaining, "node 095", ReputationFilter(before=NOW), limit=50) == []
    looked_through = [scan for scan in explaining.of("peer_logs") if kinds_of([scan]) == {"ts_idx"}]
    assert rows_of(explaining.of("peer_logs")) == rows_of(looked_through)


async def test_of_many_nodes_the_newest_logs_are_read_from_the_end(explaining: Explaining) -> None:
    question = LogQuestion(log_pages.LogFilter(), FIVE, frozenset({"message"}))
    pages = await log_pages.logs(explaining, [Asked(peer, question) for peer in EVERYBODY])
    assert max(len(page.items) for page in pages) == 5
    assert kinds_of(explaining.scans) == {"peer_id_ts_idx"}
    assert rows_of(explaining.scans) <= PEERS * (5 + WEEKS + 2)


async def test_of_many_nodes_the_latest_network_states_are_read_by_their_type(explaining: Explaining) -> None:
    wanted = log_pages.LogFilter(msgs=("system.network_state",))
    question = LogQuestion(wanted, PageRequest(1, None, backwards=False), frozenset({"message"}))
    await log_pages.logs(explaining, [Asked(peer, question) for peer in EVERYBODY])
    assert kinds_of(explaining.scans) == {"peer_id_type_ts_idx"}
    assert rows_of(explaining.scans) <= PEERS * (1 + WEEKS + 2)


async def test_of_many_nodes_logs_are_counted_without_reading_them(explaining: Explaining) -> None:
    question = log_series.StatQuestion(Window(), 100)
    await log_series.log_stats(explaining, [Asked(peer, question) for peer in EVERYBODY])
    assert kinds_of(explaining.scans) == {"peer_id_type_ts_idx"}
    assert {scan.heap_fetches for scan in explaining.scans if scan.rows} == {0}


@pytest.mark.parametrize("order", [PeerOrder.NEWEST, PeerOrder.OLDEST])
async def test_when_nodes_were_last_seen_is_read_from_the_end_of_each(explaining: Explaining, order: PeerOrder) -> None:
    await listing.peers_page(explaining, listing.PeerFilter(), FIVE, order)
    scans = explaining.of("peer_logs")
    assert kinds_of(scans) == {"peer_id_ts_idx"}
    assert rows_of(scans) <= PEERS * (WEEKS + 2)
    assert rows_of(explaining.of("peer_connections")) <= PEERS


async def test_what_a_node_said_of_others_over_time_is_read_page_by_page(explaining: Explaining) -> None:
    question = opinions.OpinionQuestion(Window(), FIVE)
    (page,) = await opinions.opinions_given(explaining, [Asked(1, question)])
    assert len(page.items) == 5
    assert kinds_of(explaining.of("peer_logs")) == {"peer_id_type_ts_idx"}
    assert rows_of(explaining.of("peer_logs")) <= 2 + WEEKS + 2


def kinds_of(scans: list[Scan]) -> set[str | None]:
    """The indexes that were read, without the names of their partitions; None is a partition as a whole.

    Of a partition without logs it does not matter.
    """
    return {scan.index and scan.index.removeprefix(f"{scan.table}_") for scan in scans if scan.rows}


def rows_of(scans: list[Scan]) -> float:
    """How many rows were read."""
    return sum(scan.rows for scan in scans)
