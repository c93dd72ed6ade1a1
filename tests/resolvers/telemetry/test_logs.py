"""Logs of a node: which ones, in which order, in both forms of messages."""

from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from db.pool import Database, Row
from resolvers.telemetry.logs import LogFilter, log_counts, newest_logs
from resolvers.telemetry.peers import id_of
from tests.resolvers.telemetry.conftest import NOON
from tests.telemetry import minutes_after

LONG = "m" * 128
ALL = LogFilter()


def said(minutes: float, msg: str | None, **more: Any) -> dict[str, Any]:
    """A message some minutes after noon."""
    return {"ts": minutes_after(NOON, minutes), **({"msg": msg} if msg is not None else {}), **more}


def wrapped(minutes: float, msg: str, **more: Any) -> dict[str, Any]:
    """The same in the newer form."""
    return {"id": 1, "ts": minutes_after(NOON, minutes), "payload": {"msg": msg, **more}}


async def logs_of(db: Database, wanted: LogFilter = ALL, limit: int = 100, peer_id: str = "QmA") -> list[Row]:
    """What the resolver answers about a node by name."""
    peer = await id_of(db.read, peer_id)
    assert peer is not None
    return await newest_logs(db.read, peer, wanted, limit)


async def minutes_of(db: Database, wanted: LogFilter = ALL, limit: int = 100) -> list[float]:
    """When the logs were, in minutes after noon."""
    return [(row.ts - NOON) / timedelta(minutes=1) for row in await logs_of(db, wanted, limit)]


async def test_the_newest_come_first_over_all_connections_and_partitions(db: Database, add: Any) -> None:
    await add("QmA", said(1, "a"), said(4, "a"))
    await add("QmA", said(3, "b"), said(2, "b"), is_audit=True)
    await add("QmB", said(9, "a"))
    assert await minutes_of(db) == [4, 3, 2, 1]
    assert await minutes_of(db, limit=3) == [4, 3, 2]
    assert await minutes_of(db, limit=0) == []


async def test_of_equal_times_what_was_stored_last_comes_first(db: Database, add: Any) -> None:
    await add("QmA", *(said(1, "a", n=n) for n in range(5)))
    assert [orjson.loads(row.message)["n"] for row in await logs_of(db)] == [4, 3, 2, 1, 0]


async def test_a_log_shows_its_message_and_where_it_came_from(
    db: Database, add: Any, connection: asyncpg.Connection
) -> None:
    message = said(1, "a", values={"nested": [1, 2.5, None, "é"]})
    id_ = await add("QmA", message)
    (row,) = await logs_of(db)
    assert (row.msg, orjson.loads(row.message)) == ("a", message)
    assert row.ip_addr == await connection.fetchval("SELECT ip_addr FROM podium.peer_connections WHERE id = $1", id_)


async def test_a_log_without_its_connection_is_shown_all_the_same(
    db: Database, add: Any, connection: asyncpg.Connection
) -> None:
    await add("QmA", said(1, "a"))
    await connection.execute("DELETE FROM podium.peer_connections")
    assert [(row.msg, row.ip_addr) for row in await logs_of(db)] == [("a", None)]


async def test_both_bounds_are_excluded(db: Database, add: Any) -> None:
    await add("QmA", *(said(minutes, "a") for minutes in (1, 2, 3, 4)))
    wanted = LogFilter(after=NOON + timedelta(minutes=1), before=NOON + timedelta(minutes=4))
    assert await minutes_of(db, wanted) == [3, 2]


@pytest.mark.parametrize(
    ("wanted", "minutes"),
    [
        (LogFilter(msg="a"), [5, 3, 1]),
        (LogFilter(msg="b"), [4]),
        (LogFilter(msg="A"), []),
        (LogFilter(msg=""), [6]),
        (LogFilter(msg="a", target="t"), [5, 3]),
        (LogFilter(msg="b", target="t"), []),
        (LogFilter(msg=LONG), [8]),
        (LogFilter(msg=LONG + "x"), [7]),
        (LogFilter(msg=LONG + "xx"), []),
        (LogFilter(msg="c", target=LONG + "x"), [10, 9]),
        (LogFilter(msg="c", target=LONG), []),
    ],
)
async def test_msg_and_target_are_compared_whole(
    db: Database, add: Any, wanted: LogFilter, minutes: list[float]
) -> None:
    bare = [said(1, "a"), said(2, None), said(3, "a", target="t"), said(4, "b", target="u")]
    long = [said(7, LONG + "x"), said(8, LONG), said(9, "c", target=LONG + "x")]
    await add("QmA", *bare, wrapped(5, "a", target="t"), said(6, ""), *long, wrapped(10, "c", target=LONG + "x"))
    assert await minutes_of(db, wanted) == minutes


async def test_the_whole_msg_is_shown(db: Database, add: Any) -> None:
    await add("QmA", said(1, LONG + "x"), wrapped(2, LONG + "y"), said(3, "a", payload={"msg": "b"}), said(4, None))
    assert [row.msg for row in await logs_of(db)] == [None, "a", LONG + "y", LONG + "x"]


async def test_logs_are_counted_by_the_start_of_their_msg(db: Database, add: Any) -> None:
    await add("QmA", said(1, "a"), wrapped(2, "a"), said(3, LONG + "x"), said(4, LONG + "y"), said(5, None))
    await add("QmA", said(6, "b"), is_audit=True)
    await add("QmB", said(7, "a"))
    peer = await id_of(db.read, "QmA")
    assert peer is not None
    assert {row.msg: row.logs for row in await log_counts(db.read, peer)} == {"a": 2, "b": 1, LONG: 2, None: 1}
