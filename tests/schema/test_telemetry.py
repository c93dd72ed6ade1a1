"""Nodes in the graph: who they are, pages and filters of them, their connections, and whom they belong to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from graphql import execute, parse

from resolvers.identity import Identity, Scope
from schema.context import Context
from schema.root import GRAPHQL_SCHEMA
from tests.harness import TOKEN_SECRET, Running, StartGateway, bearer
from tests.telemetry import add_connection, minutes_after

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORCHESTRATOR, OTHER = "0xaa", "0xbb"
PEERS = """query (
  $filter: PeerFilter, $order: PeerOrder! = PEER_ID_ASC, $first: Int, $after: String, $last: Int, $before: String
) {
  peers(filter: $filter, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { peerId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
LINK = """mutation ($peerId: String!, $orchestrator: String) { linkPeer(peerId: $peerId, orchestrator: $orchestrator) {
  peer { peerId orchestrator { address } } errors { code field }
} }"""
LOG = """{ auditLog(action: LINK_PEER) { nodes {
  actor affected details { peer { peerId } orchestrator { address } previousOrchestrator { address } }
} } }"""


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def message(minutes: float, msg: str = "block.import") -> dict[str, Any]:
    return {"msg": msg, "ts": minutes_after(NOON, minutes)}


@pytest.fixture
async def running(start_gateway: StartGateway) -> Running:
    """A gateway that takes tokens, and that knows two orchestrators."""
    running = await start_gateway(jwt_secret=TOKEN_SECRET)
    for address in (ORCHESTRATOR, OTHER):
        fields = {"region": "FRA", "orchestrator": address, "success_rate": 1, "round_trip_time": 1, "seg_duration": 2}
        assert (await running.post_stat(**fields)).text == "ok"
    return running


@pytest.fixture
async def peers(running: Running, connection: asyncpg.Connection) -> Running:
    """Three nodes: c was connected twice, b is connected, a is since longer; none has said anything."""
    await add_connection(connection, "c", opened_at=at(0), closed_at=at(1), name="old")
    await add_connection(connection, "b", opened_at=at(1), name="two")
    await add_connection(connection, "c", opened_at=at(2), closed_at=at(9), name="three", is_audit=True)
    await add_connection(connection, "a", opened_at=at(0), name="one")
    return running


async def names(running: Running, **variables: Any) -> list[str]:
    return [node["peerId"] for node in (await running.ask(PEERS, **variables))["peers"]["nodes"]]


async def test_a_node_is_what_its_latest_connection_says(peers: Running, connection: asyncpg.Connection) -> None:
    await connection.execute(
        "UPDATE podium.peer_connections SET chain = 'dev', version = '2', implementation = 'node', authority = true, "
        "startup_time = 1795348800123 WHERE name = 'three'"
    )
    query = """query ($id: String!) { peer(peerId: $id) {
      id peerId name chain version implementation authority startedAt isConnected firstSeenAt lastSeenAt
      orchestrator { address }
    } }"""
    found = (await peers.ask(query, id="c"))["peer"]
    node = await peers.ask("query ($id: ID!) { node(id: $id) { id ... on Peer { name } } }", id=found.pop("id"))
    assert node["node"]["name"] == "three"
    assert found == {
        "peerId": "c",
        "name": "three",
        "chain": "dev",
        "version": "2",
        "implementation": "node",
        "authority": True,
        "startedAt": "2026-11-22T12:00:00.123000Z",
        "isConnected": False,
        "firstSeenAt": "2026-11-22T12:00:00Z",
        "lastSeenAt": "2026-11-22T12:09:00Z",
        "orchestrator": None,
    }
    assert (await peers.ask(query, id="nobody"))["peer"] is None


async def test_a_time_that_cannot_be_is_none(peers: Running, connection: asyncpg.Connection) -> None:
    await connection.execute("UPDATE podium.peer_connections SET startup_time = 9223372036854775807")
    query = "{ peers(first: 9) { nodes { startedAt connections { nodes { startedAt } } } } }"
    nodes = (await peers.ask(query))["peers"]["nodes"]
    assert [node["startedAt"] for node in nodes] == [None] * 3


async def test_a_message_counts_as_seen_when_it_was_stored(peers: Running, connection: asyncpg.Connection) -> None:
    before = datetime.now(UTC)
    await add_connection(connection, "b", message(-5), opened_at=at(3))
    seen = (await peers.ask('{ peer(peerId: "b") { lastSeenAt isConnected } }'))["peer"]
    assert seen["isConnected"]
    if before > at(3):
        assert datetime.fromisoformat(seen["lastSeenAt"]) >= before - timedelta(seconds=5)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"peerId": {"in": ["a", "c", "z"]}}, ["a", "c"]),
        ({"name": {"in": ["two", "old"]}}, ["b"]),
        ({"isConnected": True}, ["a", "b"]),
        ({"isConnected": False, "name": {"in": ["three"]}}, ["c"]),
        ({"lastSeen": {"since": "2026-11-22T12:01:00Z"}}, ["b", "c"]),
        ({"lastSeen": {"until": "2026-11-22T12:01:00Z"}, "isConnected": True}, ["a", "b"]),
        ({"authority": True}, []),
        ({"chain": {"in": ["dev"]}}, []),
        ({"version": {"in": ["1"]}}, []),
        ({"implementation": {"in": ["x"]}}, []),
        ({"orchestrator": {"in": [ORCHESTRATOR.upper()]}}, ["b"]),
    ],
)
async def test_filters_narrow_the_list(peers: Running, wanted: dict[str, Any], found: list[str]) -> None:
    await peers.ask(LINK, peerId="b", orchestrator=ORCHESTRATOR)
    page = (await peers.ask(PEERS, filter=wanted))["peers"]
    assert [node["peerId"] for node in page["nodes"]] == found
    assert page["totalCount"] == len(found)


ORDERS = {
    "PEER_ID_ASC": ["a", "b", "c", "later"],
    "PEER_ID_DESC": ["later", "c", "b", "a"],
    "LAST_SEEN_AT_DESC": ["c", "b", "a", "later"],
    "LAST_SEEN_AT_ASC": ["later", "a", "b", "c"],
}


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_lead_through_the_list_both_ways(peers: Running, order: str) -> None:
    await peers.ask(LINK, peerId="later", orchestrator=ORCHESTRATOR)  # never seen
    forwards, cursor = [], None
    while page := (await peers.ask(PEERS, order=order, first=3, after=cursor))["peers"]:
        forwards += [node["peerId"] for node in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert forwards == ORDERS[order]
    back = (await peers.ask(PEERS, order=order, last=3, before=cursor))["peers"]
    assert [node["peerId"] for node in back["nodes"]] == ORDERS[order][:3]
    assert not back["pageInfo"]["hasPreviousPage"]


async def test_a_cursor_of_another_order_is_refused(peers: Running) -> None:
    cursor = (await peers.ask(PEERS, first=1))["peers"]["pageInfo"]["endCursor"]
    answer = await peers.answer(PEERS, order="LAST_SEEN_AT_ASC", after=cursor)
    assert answer["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"


CONNECTIONS = """query ($first: Int, $after: String, $last: Int, $before: String) { peers(first: 9) { nodes { peerId
  connections(first: $first, after: $after, last: $last, before: $before) {
    totalCount nodes { ipAddress openedAt closedAt isAudit name } pageInfo { endCursor hasNextPage hasPreviousPage }
  }
} } }"""


async def test_connections_of_each_node_are_paged_newest_first(peers: Running) -> None:
    nodes = (await peers.ask(CONNECTIONS, first=1))["peers"]["nodes"]
    found = {node["peerId"]: node["connections"] for node in nodes}
    assert {peer: page["totalCount"] for peer, page in found.items()} == {"a": 1, "b": 1, "c": 2}
    (newest,) = found["c"]["nodes"]
    assert newest.pop("ipAddress").startswith("127.0.0.1:")
    times = {"openedAt": "2026-11-22T12:02:00Z", "closedAt": "2026-11-22T12:09:00Z"}
    assert newest == {**times, "isAudit": True, "name": "three"}
    assert found["c"]["pageInfo"]["hasNextPage"]
    assert not found["a"]["pageInfo"]["hasNextPage"]
    cursor = found["c"]["pageInfo"]["endCursor"]
    older = (await peers.ask(CONNECTIONS, first=1, after=cursor))["peers"]["nodes"][2]["connections"]
    assert [it["name"] for it in older["nodes"]] == ["old"]
    before = older["pageInfo"]["endCursor"]
    newer = (await peers.ask(CONNECTIONS, last=5, before=before))["peers"]["nodes"][2]["connections"]
    assert [it["name"] for it in newer["nodes"]] == ["three"]


async def test_a_wrong_cursor_fails_where_it_is_given_and_nowhere_else(peers: Running) -> None:
    query = """{ peer(peerId: "c") {
      right: connections(first: 1) { nodes { name } } wrong: connections(after: "WyJhIl0") { nodes { name } }
    } }"""
    answer = await peers.answer(query)
    assert [error["path"] for error in answer["errors"]] == [["peer", "wrong"]]


async def test_all_that_is_asked_of_many_nodes_takes_a_statement_for_each_kind(peers: Running) -> None:
    await peers.ask(LINK, peerId="b", orchestrator=ORCHESTRATOR)
    query = """{ peers(first: 9) { nodes {
      name chain isConnected firstSeenAt lastSeenAt orchestrator { peers { peerId } }
      connections(first: 5) { totalCount nodes { name } }
    } } }"""
    backend = peers.gateway.feeds.backend
    context = Context(backend, Identity(frozenset(Scope)))
    result: Any = await execute(GRAPHQL_SCHEMA, parse(query), context_value=context)  # type: ignore[misc]
    assert not result.errors
    statements = {"peers", "states", "last_seen", "orchestrators", "their peers", "connections", "their number"}
    assert context.reads.statements == len(statements)


async def test_a_node_and_its_orchestrator_are_found_from_each_other(peers: Running) -> None:
    linked = (await peers.ask(LINK, peerId="c", orchestrator=ORCHESTRATOR.upper()))["linkPeer"]
    assert linked == {"peer": {"peerId": "c", "orchestrator": {"address": ORCHESTRATOR}}, "errors": []}
    await peers.ask(LINK, peerId="a", orchestrator=ORCHESTRATOR)
    query = """query ($address: String!) { orchestrator(address: $address) {
      aggregates { samples } peers { peerId name orchestrator { address } }
    } }"""
    found = (await peers.ask(query, address=ORCHESTRATOR))["orchestrator"]
    assert found["aggregates"] == [{"samples": 1}]
    assert [(node["peerId"], node["name"]) for node in found["peers"]] == [("a", "one"), ("c", "three")]
    assert {node["orchestrator"]["address"] for node in found["peers"]} == {ORCHESTRATOR}
    assert (await peers.ask(query, address=OTHER))["orchestrator"]["peers"] == []


async def test_a_node_belongs_to_one_orchestrator_and_the_log_tells_of_each_change(peers: Running) -> None:
    for address in (ORCHESTRATOR, ORCHESTRATOR, OTHER, None, None):
        await peers.ask(LINK, peerId="later", orchestrator=address)
    entries = (await peers.ask(LOG))["auditLog"]["nodes"]
    assert {(entry["actor"], entry["affected"]) for entry in entries} == {("root", 1)}
    ends = [(it["details"]["previousOrchestrator"], it["details"]["orchestrator"]) for it in reversed(entries)]
    told = [tuple(end and end["address"] for end in both) for both in ends]
    assert told == [(None, ORCHESTRATOR), (ORCHESTRATOR, OTHER), (OTHER, None)]
    assert {entry["details"]["peer"]["peerId"] for entry in entries} == {"later"}


@pytest.mark.parametrize(
    ("peer_id", "address", "code", "field"),
    [
        ("a", "0xcc", "NOT_FOUND", "orchestrator"),
        ("nobody", None, "NOT_FOUND", "peerId"),
        ("", ORCHESTRATOR, "INVALID_ARGUMENT", "peerId"),
        ("x" * 257, ORCHESTRATOR, "INVALID_ARGUMENT", "peerId"),
        ("a\0", None, "INVALID_ARGUMENT", "peerId"),
    ],
)
async def test_what_cannot_be_linked_is_told_and_changes_nothing(
    peers: Running, peer_id: str, address: str | None, code: str, field: str
) -> None:
    answer = (await peers.ask(LINK, peerId=peer_id, orchestrator=address))["linkPeer"]
    assert answer == {"peer": None, "errors": [{"code": code, "field": field}]}
    assert await names(peers) == ["a", "b", "c"]
    assert (await peers.ask(LOG))["auditLog"]["nodes"] == []


async def test_linking_needs_the_scope_admin(peers: Running) -> None:
    token = bearer(sub="tester", scope="publish")
    answer = (await peers.graph(LINK, token, peerId="a", orchestrator=ORCHESTRATOR)).json()
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await peers.ask(LOG))["auditLog"]["nodes"] == []


async def test_an_answer_about_nodes_is_told_anew_when_one_was_linked(peers: Running) -> None:
    assert await names(peers) == ["a", "b", "c"]
    await peers.ask(LINK, peerId="later", orchestrator=ORCHESTRATOR)
    assert await names(peers) == ["a", "b", "c", "later"]
