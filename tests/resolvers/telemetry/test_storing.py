"""Batches of messages: stored exactly once whatever becomes of the line, and only what cannot be stored is refused."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import orjson
import pytest

from db.copying import CopyLine
from db.pool import Database
from resolvers.errors import Overloaded
from resolvers.telemetry import storing
from resolvers.telemetry.nodes import LogRow, Node, NodeSocket
from resolvers.telemetry.retention import create_log_partitions
from resolvers.telemetry.storing import Batch, LogStore
from tests import harness
from tests.harness import eventually

NOW_US = 1_600_000_000_123_456
LOGS = "SELECT * FROM podium.peer_logs ORDER BY id"
NUMBERS = "SELECT array_agg(message ->> 'n' ORDER BY id) FROM podium.peer_logs"
CONNECTIONS = """
SELECT c.*, p.peer_id AS name_of_peer
FROM podium.peer_connections AS c LEFT JOIN podium.peers AS p ON p.id = c.peer_id ORDER BY c.id
"""
HELD = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
# A message that the database refuses, as nothing that nodes send is refused.
REFUSE = "ALTER TABLE podium.peer_logs ADD CONSTRAINT lucky CHECK (message ->> 'n' <> '13') NOT VALID"


class Stored:
    """A store on the test's database, a node that sends, and what the store has asked for."""

    def __init__(self, url: str, db: Database) -> None:
        self.counts: Counter[str] = Counter()
        self.lines: list[Any] = []
        self.reconnected = 0
        self.made_partitions = 0
        self._url = url
        self._db = db
        self.changed: list[Node] = []
        self.store = LogStore(self._open, self._make_partitions, self._reconnect, self.counts, self.changed.append)

    async def _open(self, name: str) -> CopyLine:
        self.lines.append(await FragileLine.open(self._url, name))
        return self.lines[-1]

    async def _make_partitions(self) -> int:
        self.made_partitions += 1
        return await create_log_partitions(self._db, timedelta(days=30))

    def _reconnect(self) -> None:
        self.reconnected += 1

    def socket(self, *, is_audit: bool = False) -> NodeSocket:
        given = {"new_id": self.store.new_connection_id, "changed": self.changed.append, "counts": self.counts}
        return NodeSocket(ip_addr="10.0.0.1:9", is_audit=is_audit, **given)

    def nodes(self) -> list[Node]:
        """Those that have changed since this was asked."""
        changed = list(dict.fromkeys(self.changed))
        self.changed.clear()
        return changed

    async def all_of(self, *batches: Batch) -> None:
        """Store these, and what is to be stored instead, trying again after each failure."""
        parts = list(batches)
        while parts:
            try:
                parts[:1] = await self.store.store(parts[0])
            except BROKEN:
                await asyncio.sleep(0)

    async def end_session(self, connection: asyncpg.Connection) -> None:
        """As a server does that is shut down."""
        pid = self.lines[-1]._connection.get_server_pid()
        await connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        await eventually(lambda: self.lines[-1].is_lost)


class FragileLine(CopyLine):
    """A line that breaks when a batch is committed, before that is known, or before it is sent."""

    breaks_after_commit = breaks_before = False

    async def copy(self, table: str, columns: Sequence[str], data: bytes) -> None:
        if self.breaks_before:
            self._break()
        await super().copy(table, columns, data)
        if self.breaks_after_commit:
            self._break()

    def _break(self) -> None:
        self._connection.terminate()
        raise asyncpg.ConnectionDoesNotExistError("it broke")


@pytest.fixture
async def stored(database: harness.Database, db: Database) -> AsyncIterator[Stored]:
    await create_log_partitions(db, timedelta(days=30))
    stored = Stored(database.logins.writer, db)
    await stored.store.open()
    yield stored
    await stored.store.close()


def said(socket: NodeSocket, *numbers: int, **fields: Any) -> list[LogRow]:
    """Rows of messages with these numbers."""
    return socket.rows([orjson.dumps({"msg": "a", "n": str(number), **fields}) for number in numbers], NOW_US)


def connected(peer_id: str = "QmA", **fields: Any) -> bytes:
    return orjson.dumps({"msg": "system.connected", "network_id": peer_id, "n": "0", **fields})


async def numbers_of(connection: asyncpg.Connection) -> list[int]:
    return [int(number) for number in await connection.fetchval(NUMBERS) or ()]


async def test_a_batch_is_stored_as_it_was_said(stored: Stored, connection: asyncpg.Connection) -> None:
    socket = stored.socket(is_audit=True)
    messages = [
        {"msg": "system.connected", "network_id": "QmA", "ts": "2020-08-19T09:38:05.398355123+00:00"},
        {"msg": "ü" * 200, "target": "", "ts": "0001-01-01T00:00:00Z"},
        {"n": [1, 2.5, None, True, {"é": "\U0010ffff"}], "ts": "9999-12-31T23:59:59.999999Z"},
    ]
    await stored.all_of(Batch(socket.rows([orjson.dumps(each) for each in messages], NOW_US), stored.nodes()))
    rows = await connection.fetch(LOGS)
    peer = await connection.fetchrow("SELECT * FROM podium.peers")
    assert [orjson.loads(row["message"]) for row in rows] == messages
    assert [row["type"] for row in rows] == ["system.connected", "ü" * 128, None]
    assert [row["target"] for row in rows] == [None, "", None]
    assert [row["ts"] for row in rows] == [
        datetime(2020, 8, 19, 9, 38, 5, 398355, UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    ]
    (node,) = socket.nodes
    assert {(row["peer_id"], row["connection_id"], row["is_audit"]) for row in rows} == {(peer["id"], node.id, True)}
    assert [row["id"] - rows[0]["id"] for row in rows] == [0, 1, 2]
    assert peer["peer_id"] == "QmA"


async def test_ten_thousand_messages_are_one_batch(stored: Stored, connection: asyncpg.Connection) -> None:
    socket = stored.socket()
    await stored.all_of(Batch(said(socket, *range(10_000)), stored.nodes()))
    assert await numbers_of(connection) == list(range(10_000))


async def test_a_connection_is_shown_with_all_that_is_known(stored: Stored, connection: asyncpg.Connection) -> None:
    socket = stored.socket()
    await stored.all_of(Batch([], stored.nodes()))
    row = await connection.fetchrow(CONNECTIONS)
    assert (row["ip_addr"], row["is_audit"], row["has_logs"], row["peer_id"]) == ("10.0.0.1:9", False, False, None)
    what = {"name": "Alice", "chain": "c", "version": "2", "implementation": "i"}
    rows = socket.rows([connected(**what, authority=False, startup_time="5")], NOW_US)
    await stored.all_of(Batch(rows, stored.nodes()))
    row = await connection.fetchrow(CONNECTIONS)
    assert {name: row[name] for name in what} == what
    assert (row["name_of_peer"], row["authority"], row["startup_time"]) == ("QmA", False, 5)
    assert row["opened_at"] is not None
    assert row["closed_at"] is None
    (node,) = socket.nodes
    node.is_closed = True
    await stored.all_of(Batch([], [node]))
    row = await connection.fetchrow(CONNECTIONS)
    assert (row["has_logs"], row["closed_at"] is not None) == (True, True)


async def test_what_a_node_said_before_it_said_who_it_is_is_its_own(
    stored: Stored, connection: asyncpg.Connection
) -> None:
    one, other = stored.socket(), stored.socket()
    await stored.all_of(Batch(said(one, 1, 2) + said(other, 3), stored.nodes()))
    assert {row["peer_id"] for row in await connection.fetch(LOGS)} == {0}
    await stored.all_of(Batch(one.rows([connected("QmA")], NOW_US), stored.nodes()))
    peer = await connection.fetchval("SELECT id FROM podium.peers")
    rows = await connection.fetch(LOGS)
    assert [(row["peer_id"], orjson.loads(row["message"])["n"]) for row in rows] == [
        (peer, "1"),
        (peer, "2"),
        (0, "3"),
        (peer, "0"),
    ]


async def test_very_much_is_adopted_with_several_batches_so_that_others_go_on_meanwhile(
    stored: Stored, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "ADOPTED_AT_ONCE", 100)
    one, other, audit = stored.socket(), stored.socket(), stored.socket(is_audit=True)
    said_before = said(one, *range(1, 350)) + said(other, *range(1, 350)) + said(audit, *range(1, 350))
    await stored.all_of(Batch(said_before, stored.nodes()))
    await stored.all_of(Batch(one.rows([connected("QmA")], NOW_US), stored.nodes()))
    own = "SELECT count(*) FROM podium.peer_logs WHERE peer_id > 0"
    assert await connection.fetchval(own) == 101
    rounds = 0
    while again := stored.nodes():
        rounds += 1
        await stored.all_of(Batch((), again))
    assert rounds == 3
    assert await connection.fetchval(own) == 350
    assert await connection.fetchval("SELECT count(DISTINCT id) FROM podium.peer_logs") == 3 * 349 + 1


async def test_what_is_left_to_adopt_is_not_forgotten_when_a_line_breaks(
    stored: Stored, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "ADOPTED_AT_ONCE", 10)
    socket = stored.socket()
    await stored.all_of(Batch(said(socket, *range(1, 50)), stored.nodes()))
    batch = Batch(socket.rows([connected("QmA")], NOW_US), stored.nodes())
    for breaks in ("breaks_before", "breaks_after_commit", "breaks_before"):
        await stored.store._connected(0)
        setattr(stored.lines[-1], breaks, True)
        with pytest.raises(BROKEN):
            await stored.store.store(batch)
    await stored.all_of(batch)
    while again := stored.nodes():
        await stored.all_of(Batch((), again))
    assert await connection.fetchval("SELECT count(*) FROM podium.peer_logs WHERE peer_id > 0") == 50
    assert len(await numbers_of(connection)) == 50


async def test_of_a_batch_only_what_cannot_be_stored_is_refused(stored: Stored, connection: asyncpg.Connection) -> None:
    await connection.execute(REFUSE)
    socket = stored.socket()
    first = next(iter(socket.nodes))
    refusing = partial(_as_data_error, stored)
    refusing()
    await stored.all_of(Batch(said(socket, *range(100)), stored.nodes()))
    assert await numbers_of(connection) == [number for number in range(100) if number != 13]
    assert stored.counts["unstorable"] == 1
    assert await connection.fetchval("SELECT array_agg(id) FROM podium.peer_connections") == [first.id]
    assert stored.made_partitions == 0


def _as_data_error(stored: Stored) -> None:
    """The constraint stands for whatever else Postgres may find wrong with a row, not for a partition that lacks."""
    line = stored.lines[-1]
    copy = line.copy

    async def copy_or_fail(*given: Any) -> None:
        try:
            await copy(*given)
        except asyncpg.CheckViolationError as error:
            raise asyncpg.DataError(str(error)) from None

    line.copy = copy_or_fail


async def test_when_all_is_unstorable_nothing_hangs_and_the_node_is_there(
    stored: Stored, connection: asyncpg.Connection
) -> None:
    await connection.execute(REFUSE)
    _as_data_error(stored)
    socket = stored.socket()
    await stored.all_of(Batch(said(socket, *([13] * 9)), stored.nodes()))
    assert await numbers_of(connection) == []
    assert stored.counts["unstorable"] == 9
    assert await connection.fetchval("SELECT count(*) FROM podium.peer_connections") == 1


async def test_numbers_that_postgres_refuses_become_texts_and_no_batch_is_halved(
    stored: Stored, connection: asyncpg.Connection
) -> None:
    socket = stored.socket()
    huge = b'{"msg":"a","n":"1","x":0.%s}' % (b"1" * 20_000)
    rows = [*said(socket, 0), *socket.rows([huge], NOW_US), *said(socket, 2)]
    (instead,) = await stored.store.store(Batch(rows, stored.nodes()))
    assert await stored.store.store(instead) == []
    assert await numbers_of(connection) == [0, 1, 2]
    assert await connection.fetchval(
        "SELECT jsonb_typeof(message -> 'x') FROM podium.peer_logs WHERE message ? 'x'"
    ) == ("string")
    assert stored.counts["escaped"] >= 1
    assert stored.counts["unstorable"] == 0


async def test_a_batch_that_was_committed_when_the_line_broke_is_not_stored_twice(
    stored: Stored, connection: asyncpg.Connection
) -> None:
    socket = stored.socket()
    stored.lines[-1].breaks_after_commit = True
    batch = Batch(said(socket, 1, 2, 3))
    with pytest.raises(BROKEN):
        await stored.store.store(batch)
    await stored.all_of(batch, Batch(said(socket, 4)))
    assert await numbers_of(connection) == [1, 2, 3, 4]
    assert (len(stored.lines), stored.reconnected) == (2, 1)


@pytest.mark.parametrize("breaks", ["breaks_after_commit", "breaks_before"])
async def test_a_batch_that_was_not_committed_when_the_line_broke_is_stored(
    stored: Stored, connection: asyncpg.Connection, breaks: str
) -> None:
    socket = stored.socket()
    setattr(stored.lines[-1], breaks, True)
    batch = Batch(socket.rows([connected("QmA")], NOW_US) + said(socket, 1, 2), stored.nodes())
    with pytest.raises(BROKEN):
        await stored.store.store(batch)  # inside of a transaction, which is undone
    assert await numbers_of(connection) == []
    await stored.all_of(batch)
    assert await numbers_of(connection) == [0, 1, 2]
    peer = await connection.fetchval("SELECT id FROM podium.peers WHERE peer_id = 'QmA'")
    assert {row["peer_id"] for row in await connection.fetch(LOGS)} == {peer}


async def test_a_node_that_says_who_it_is_while_its_batch_is_in_doubt_changes_nothing(
    stored: Stored, connection: asyncpg.Connection
) -> None:
    socket = stored.socket()
    stored.lines[-1].breaks_after_commit = True
    batch = Batch(said(socket, 1, 2))
    with pytest.raises(BROKEN):
        await stored.store.store(batch)
    later = Batch(socket.rows([connected("QmA")], NOW_US), stored.nodes())
    await stored.all_of(batch, later)
    assert await numbers_of(connection) == [1, 2, 0]
    peer = await connection.fetchval("SELECT id FROM podium.peers")
    assert {row["peer_id"] for row in await connection.fetch(LOGS)} == {peer}


async def test_a_predecessor_that_still_runs_is_ended_before_anything_is_stored_again(
    stored: Stored, database: harness.Database, connection: asyncpg.Connection
) -> None:
    socket = stored.socket()
    locker = await asyncpg.connect(database.logins.superuser)
    transaction = locker.transaction()
    await transaction.start()
    await locker.execute("LOCK TABLE podium.peer_logs IN ACCESS EXCLUSIVE MODE")
    batch = Batch(said(socket, *range(50)))
    waiting = asyncio.create_task(stored.store.store(batch))
    await _until_someone_waits(connection)
    pid = stored.lines[-1]._connection.get_server_pid()
    stored.lines[-1]._connection._transport.abort()  # the server does not notice while it waits
    with pytest.raises(BROKEN):
        await waiting
    again = asyncio.create_task(stored.all_of(batch))
    await eventually(lambda: len(stored.lines) == 2)
    await transaction.rollback()
    await locker.close()
    await again
    assert await numbers_of(connection) == list(range(50))
    assert await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid) == 0


async def _until_someone_waits(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(5):
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.005)


async def test_a_line_that_was_ended_is_opened_again_and_keeps_the_writers_number(
    stored: Stored, connection: asyncpg.Connection
) -> None:
    socket = stored.socket()
    await stored.all_of(Batch(said(socket, 1), stored.nodes()))
    await stored.end_session(connection)
    await stored.all_of(Batch(said(socket, 2)))
    assert await numbers_of(connection) == [1, 2]
    assert await connection.fetchval(HELD) == 1
    assert stored.reconnected == 1


async def test_a_partition_that_lacks_is_made(stored: Stored, connection: asyncpg.Connection) -> None:
    for (name,) in await connection.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'podium.peer_logs'::regclass"
    ):
        await connection.execute(f"DROP TABLE {name}")
    socket = stored.socket()
    batch = Batch(said(socket, 1, 2), stored.nodes())
    with pytest.raises(asyncpg.CheckViolationError):
        await stored.store.store(batch)
    await stored.all_of(batch)
    assert stored.made_partitions == 1
    assert await numbers_of(connection) == [1, 2]
    assert stored.counts["unstorable"] == 0


async def test_two_stores_have_keys_of_their_own(
    stored: Stored, database: harness.Database, db: Database, connection: asyncpg.Connection
) -> None:
    other = Stored(database.logins.writer, db)
    await other.store.open()
    sockets = [one.socket() for one in (stored, other)]
    await asyncio.gather(
        *(
            one.all_of(Batch(said(socket, 1, 2), one.nodes()))
            for one, socket in zip((stored, other), sockets, strict=True)
        )
    )
    assert sorted(await numbers_of(connection)) == [1, 1, 2, 2]
    assert await connection.fetchval("SELECT count(DISTINCT id) FROM podium.peer_connections") == 2
    await other.store.close()


async def test_two_stores_that_learn_of_the_same_peers_at_once_do_not_wait_for_each_other(
    stored: Stored, database: harness.Database, db: Database, connection: asyncpg.Connection
) -> None:
    other = Stored(database.logins.writer, db)
    await other.store.open()
    names = [f"Qm{number}" for number in range(200)]
    batches: list[tuple[Callable[..., Any], Batch]] = []
    for one, order in ((stored, names), (other, names[::-1])):
        rows = [row for name in order for row in one.socket().rows([connected(name)], NOW_US)]
        batches.append((one.store.store, Batch(rows, one.nodes())))
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(store(batch) for store, batch in batches)) == [[], []]
    assert await connection.fetchval("SELECT count(*) FROM podium.peers") == 200
    assert len(await numbers_of(connection)) == 400
    await other.store.close()


async def test_keys_that_run_out_are_followed_by_those_of_another_number(
    stored: Stored, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "CONNECTION_BITS", 3)
    ids = [stored.store.new_connection_id() for _ in range(8)]
    with pytest.raises(Overloaded):
        stored.store.new_connection_id()
    await stored.all_of(Batch([]))
    ids += [stored.store.new_connection_id() for _ in range(8)]
    assert len(set(ids)) == 16
    await stored.end_session(connection)
    await stored.all_of(Batch([]))
    assert await connection.fetchval(HELD) == 3  # half of the second are used as well
