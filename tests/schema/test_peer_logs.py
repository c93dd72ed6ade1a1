"""What nodes say, in the graph: pages and filters of logs in both forms, parts of messages, counts, network states."""

from datetime import UTC, datetime
from random import randbytes
from typing import Any

import asyncpg
import orjson
import pytest
from graphql import execute, parse

from db.pool import Row
from db.statements import Statement
from resolvers.identity import Identity, Scope
from resolvers.reading import NotingRunner
from schema.context import Context
from schema.root import GRAPHQL_SCHEMA
from tests.harness import Running
from tests.telemetry import add_connection, minutes_after, network_state

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG = "x" * 128
LOGS = """query (
  $id: String! = "a", $filter: PeerLogFilter, $first: Int = 9, $after: String, $last: Int, $before: String
) { peer(peerId: $id) {
  logs(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { at msg target level message } pageInfo { endCursor startCursor hasNextPage hasPreviousPage }
  }
} }"""
LAST = LOGS.replace(", $first: Int = 9, $after: String", "").replace("first: $first, after: $after, ", "")


def said(minutes: float, msg: str | None = "block.import", **more: Any) -> dict[str, Any]:
    named = {} if msg is None else {"msg": msg}
    return {**named, "ts": minutes_after(NOON, minutes), **more}


def wrapped(minutes: float, msg: str, **more: Any) -> dict[str, Any]:
    return {"id": 1, "ts": minutes_after(NOON, minutes), "payload": {"msg": msg, **more}}


@pytest.fixture
async def talking(running: Running, connection: asyncpg.Connection) -> Running:
    """Node a has said five things in five minutes, the last of them wrapped, and one by /audit; b has said one."""
    messages = [
        said(0, target="db", level="INFO", best={"height": 7, "forks": ["x", {"a/b": 1, "m~n": None}]}),
        said(1, "system.interval", peers=3),
        said(2, None, note="no msg"),
        said(3, LONG + "y", target=LONG + "z"),
        wrapped(4, "block.import", target="db", level="DEBUG", best={"height": 8}),
    ]
    await add_connection(connection, "a", *messages, opened_at=NOON)
    await add_connection(connection, "a", said(5, "system.interval"), opened_at=NOON, is_audit=True)
    await add_connection(connection, "b", said(1, "block.import", best={"height": 9}), opened_at=NOON)
    await connection.execute("ANALYZE podium.peer_logs")
    return running


async def logs(running: Running, **variables: Any) -> Any:
    return (await running.ask(LAST if "last" in variables else LOGS, **variables))["peer"]["logs"]


async def test_logs_are_shown_newest_first_in_both_forms(talking: Running) -> None:
    page = await logs(talking)
    msgs = ["system.interval", "block.import", LONG + "y", None, "system.interval", "block.import"]
    assert page["totalCount"] == 6
    assert [log["msg"] for log in page["nodes"]] == msgs
    assert page["nodes"][1] == {
        "at": "2026-11-22T12:04:00Z",
        "msg": "block.import",
        "target": "db",
        "level": "DEBUG",
        "message": wrapped(4, "block.import", target="db", level="DEBUG", best={"height": 8}),
    }
    assert (page["nodes"][2]["target"], page["nodes"][3]["message"]["note"]) == (LONG + "z", "no msg")


@pytest.mark.parametrize(
    ("wanted", "minutes"),
    [
        ({}, [5, 4, 3, 2, 1, 0]),
        ({"msg": {"in": ["block.import"]}}, [4, 0]),
        ({"msg": {"in": ["block.import", "system.interval"]}}, [5, 4, 1, 0]),
        ({"msg": {"in": [LONG + "y"]}}, [3]),
        ({"msg": {"in": [LONG + "q", "system.interval"]}}, [5, 1]),
        ({"msg": {"in": []}}, []),
        ({"target": {"in": ["db"]}}, [4, 0]),
        ({"target": {"in": ["db", LONG + "z"]}}, [4, 3, 0]),
        ({"target": {"in": [LONG]}}, []),
        ({"during": {"since": "2026-11-22T12:02:00Z", "until": "2026-11-22T12:04:00Z"}}, [4, 3, 2]),
        ({"isAudit": True}, [5]),
        ({"isAudit": False, "msg": {"in": ["system.interval"]}}, [1]),
    ],
)
async def test_filters_narrow_the_logs(talking: Running, wanted: dict[str, Any], minutes: list[int]) -> None:
    page = await logs(talking, filter=wanted)
    assert [datetime.fromisoformat(log["at"]).minute for log in page["nodes"]] == minutes
    assert page["totalCount"] == len(minutes)


async def test_pages_lead_through_the_logs_both_ways(talking: Running, connection: asyncpg.Connection) -> None:
    await add_connection(connection, "a", *[said(1, f"again {n}") for n in range(5)], opened_at=NOON)  # at one time
    everything = [log["message"] for log in (await logs(talking, first=20))["nodes"]]
    assert len(everything) == 11
    forwards: list[Any] = []
    page = await logs(talking, first=3)
    while True:
        forwards += [log["message"] for log in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        page = await logs(talking, first=3, after=page["pageInfo"]["endCursor"])
    assert forwards == everything
    backwards: list[Any] = []
    page = await logs(talking, last=4)
    while True:
        backwards = [log["message"] for log in page["nodes"]] + backwards
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        page = await logs(talking, last=4, before=page["pageInfo"]["startCursor"])
    assert backwards == everything


async def test_parts_of_messages_are_picked_by_pointers(talking: Running) -> None:
    query = """query ($height: String!) { peer(peerId: "a") { logs(filter: { msg: { in: ["block.import"] } }) { edges {
      node { height: value(path: $height) ...Rest }
    } } } }
    fragment Rest on PeerLog {
      best: value(path: "/best") second: value(path: "/best/forks/1/a~1b") null: value(path: "/best/forks/1/m~0n")
      last: value(path: "/best/forks/-1") none: value(path: "/nothing/here") all: value(path: "") msg
    }"""
    new, old = (await talking.ask(query, height="/best/height"))["peer"]["logs"]["edges"]
    forks = ["x", {"a/b": 1, "m~n": None}]
    assert old["node"] == {
        "height": 7,
        "best": {"height": 7, "forks": forks},
        "second": 1,
        "null": None,
        "last": forks[1],
        "none": None,
        "all": said(0, target="db", level="INFO", best={"height": 7, "forks": forks}),
        "msg": "block.import",
    }
    assert (new["node"]["height"], new["node"]["best"], new["node"]["second"]) == (8, {"height": 8}, None)
    assert new["node"]["all"] == {"msg": "block.import", "target": "db", "level": "DEBUG", "best": {"height": 8}}


@pytest.mark.parametrize("pointer", ["best", "/best~2", "/a~"])
async def test_what_is_no_pointer_is_refused(talking: Running, pointer: str) -> None:
    query = 'query ($path: String!) { peer(peerId: "a") { logs { nodes { value(path: $path) } } } }'
    (error,) = (await talking.answer(query, path=pointer))["errors"]
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_ARGUMENT", "path")


@pytest.mark.parametrize("key", ['"', "\\", "{}", "é", ",", " ", "NULL", "'"])
async def test_every_key_can_be_picked(running: Running, connection: asyncpg.Connection, key: str) -> None:
    await add_connection(connection, "k", said(0, **{key: {key: 5}}), opened_at=NOON)
    query = 'query ($path: String!) { peer(peerId: "k") { logs { nodes { value(path: $path) } } } }'
    nodes = (await running.ask(query, path=f"/{key}/{key}"))["peer"]["logs"]["nodes"]
    assert nodes == [{"value": 5}]


async def test_numbers_are_shown_as_they_came(running: Running, connection: asyncpg.Connection) -> None:
    await add_connection(connection, "n", said(0), opened_at=NOON)
    digits = "123456789012345678901234567890.10"
    await connection.execute("UPDATE podium.peer_logs SET message = jsonb_build_object('n', $1::text::numeric)", digits)
    answer = await running.graph('{ peer(peerId: "n") { logs { nodes { value(path: "/n") message } } } }')
    assert answer.text.count(digits) == 2


async def test_more_than_a_few_megabytes_of_messages_are_not_read_at_once(
    running: Running, connection: asyncpg.Connection
) -> None:
    large = [said(n, "large", data=randbytes(200_000).hex()) for n in range(21)]
    await add_connection(connection, "l", *large, opened_at=NOON)
    query = """query ($first: Int) { peer(peerId: "l") { logs(first: $first) { nodes { %s } } } }"""
    for selected in ("message", 'value(path: "/data")'):
        asked = query.replace("%s", selected)
        (error,) = (await running.answer(asked, first=100))["errors"]
        assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_ARGUMENT", "first")
        assert len((await running.ask(asked, first=10))["peer"]["logs"]["nodes"]) == 10
    all_of_them = (await running.ask(query.replace("%s", "msg"), first=100))["peer"]["logs"]["nodes"]
    assert len(all_of_them) == 21


class Watching(NotingRunner):
    """Remembers the columns that were read."""

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        rows = await super().fetch(statement, **parameters)
        self.columns = set(rows[0].keys())
        return rows


@pytest.mark.parametrize(
    ("selected", "columns"),
    [
        ("nodes { at }", set()),
        ("nodes { id msg }", {"msg"}),
        ("edges { node { message level } }", {"message", "level"}),
        ('nodes { value(path: "/a") }', {"paths", "picked"}),
    ],
)
async def test_only_what_is_selected_is_read(talking: Running, selected: str, columns: set[str]) -> None:
    backend = talking.gateway.feeds.backend
    context = Context(backend, Identity(frozenset(Scope)))
    context.db = watching = Watching(backend.db, context.reads)
    document = parse(f'{{ peer(peerId: "a") {{ logs {{ {selected} }} }} }}')
    result: Any = await execute(GRAPHQL_SCHEMA, document, context_value=context)  # type: ignore[misc]
    assert not result.errors
    assert watching.columns == {"peer", "id", "at", "stored_at", "bytes", *columns}


async def test_logs_of_many_nodes_are_one_statement(talking: Running) -> None:
    query = """{ peers(first: 9) { nodes { peerId
      logs(first: 2) { totalCount nodes { message } } same: logs(first: 2) { nodes { msg } } logStats { msg count }
      networkState { message }
    } } }"""
    context = Context(talking.gateway.feeds.backend, Identity(frozenset(Scope)))
    result: Any = await execute(GRAPHQL_SCHEMA, parse(query), context_value=context)  # type: ignore[misc]
    assert not result.errors
    statements = {"peers", "whole messages", "their number", "their msg", "counts", "network states"}
    assert context.reads.statements == len(statements)
    found = orjson.loads(orjson.dumps(result.data))["peers"]["nodes"]
    assert [len(node["logs"]["nodes"]) for node in found] == [2, 1]


async def test_kinds_of_messages_are_counted(talking: Running) -> None:
    query = """query ($during: TimeRange, $first: Int) { peers { nodes { peerId
      logStats(during: $during, first: $first) { msg count }
    } } }"""
    a, b = (await talking.ask(query, first=9))["peers"]["nodes"]
    expected = [("block.import", 2), ("system.interval", 2), (LONG, 1), (None, 1)]
    assert [tuple(stat.values()) for stat in a["logStats"]] == expected
    assert b["logStats"] == [{"msg": "block.import", "count": 1}]
    during = {"since": "2026-11-22T12:01:00Z", "until": "2026-11-22T12:04:00Z"}
    a, b = (await talking.ask(query, first=1, during=during))["peers"]["nodes"]
    assert a["logStats"] == [{"msg": "block.import", "count": 1}]


async def test_kinds_of_messages_are_counted_over_time_with_gaps(talking: Running) -> None:
    query = """query ($during: TimeRange!, $bucket: Bucket!) { peer(peerId: "a") {
      logSeries(bucket: $bucket, during: $during) { msg points { at until count } }
    } }"""
    during = {"since": "2026-11-22T12:00:00Z", "until": "2026-11-22T12:05:00Z"}
    lines = (await talking.ask(query, bucket="MINUTE", during=during))["peer"]["logSeries"]
    counts = {line["msg"]: [point["count"] for point in line["points"]] for line in lines}
    assert counts == {
        "block.import": [1, 0, 0, 0, 1, 0],
        "system.interval": [0, 1, 0, 0, 0, 1],
        LONG: [0, 0, 0, 1, 0, 0],
        None: [0, 0, 1, 0, 0, 0],
    }
    assert list(counts)[-1] is None
    first = {"at": "2026-11-22T12:00:00Z", "until": "2026-11-22T12:01:00Z", "count": 1}
    assert lines[0]["points"][0] == first
    shorter = await talking.ask(query, bucket="FIVE_MINUTES", during={**during, "until": "2026-11-22T12:04:00Z"})
    assert {len(line["points"]) for line in shorter["peer"]["logSeries"]} == {1}
    wide = {"since": "2020-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    (error,) = (await talking.answer(query, bucket="MINUTE", during=wide))["errors"]
    assert error["extensions"]["field"] == "bucket"
    assert "MONTH" not in error["message"]
    (error,) = (await talking.answer(query, bucket="DAY", during={}))["errors"]
    assert error["extensions"]["field"] == "during"


async def test_the_latest_network_state_is_shown_in_parts(talking: Running, connection: asyncpg.Connection) -> None:
    query = """{ peers { nodes { networkState { at msg nodes: value(path: "/state/peerset/nodes") } } } }"""
    older, newer = network_state(NOON, b=(1, True)), network_state(NOON.replace(hour=13), b=(2, False))
    await add_connection(connection, "a", newer, older, opened_at=NOON)
    a, b = (await talking.ask(query))["peers"]["nodes"]
    nodes = {"b": {"reputation": 2, "connected": False}}
    assert a["networkState"] == {"at": "2026-11-22T13:00:00Z", "msg": "system.network_state", "nodes": nodes}
    assert b["networkState"] is None
