"""What nodes think of each other, in the graph: what others said of one, what it said of others, and over time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from graphql import execute, parse

from resolvers.identity import Identity, Scope
from resolvers.telemetry.opinions import FIRST_STATES
from schema.context import Context
from schema.root import GRAPHQL_SCHEMA
from tests.harness import Running
from tests.telemetry import add_connection, network_state

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHOWN = """nodes { at reporterPeerId remotePeerId reputation isConnected }
  pageInfo { hasNextPage hasPreviousPage endCursor startCursor }"""
ARGUMENTS = "$id: String!, $during: TimeRange, $first: Int, $after: String, $last: Int, $before: String"
PASSED = "during: $during, first: $first, after: $after, last: $last, before: $before"
SEEN = f"query ({ARGUMENTS}) {{ peer(peerId: $id) {{ found: reputation({PASSED}) {{ totalCount {SHOWN} }} }} }}"
GIVEN = f"query ({ARGUMENTS}) {{ peer(peerId: $id) {{ found: reputationGiven({PASSED}) {{ totalCount {SHOWN} }} }} }}"


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def wrapped(message: dict[str, Any]) -> dict[str, Any]:
    said = {key: value for key, value in message.items() if key != "ts"}
    return {"id": 1, "ts": message["ts"], "payload": said}


@pytest.fixture
async def thinking(running: Running, connection: asyncpg.Connection) -> Running:
    """a thinks of b and c, twice, the second time wrapped; b thinks of a and of an unknown z; c has no opinion."""
    later = network_state(at(2), b=(-5, False), c=(7, True))
    await add_connection(connection, "a", network_state(at(0), b=(1, True)), wrapped(later), opened_at=NOON)
    await add_connection(connection, "b", network_state(at(1), a=(3, True), z=(2**31, False)), opened_at=NOON)
    broken = {"a": {"reputation": "x", "connected": True}, "b": 5, "z": {"reputation": 1.5, "connected": True}}
    strange = {**network_state(at(3)), "state": {"peerset": {"nodes": broken}}}
    listed = {**network_state(at(4)), "state": {"peerset": {"nodes": [1]}}}
    await add_connection(connection, "c", strange, listed, opened_at=NOON)
    await add_connection(connection, None, network_state(at(5), b=(9, True)), opened_at=NOON)
    return running


async def found(running: Running, query: str, peer_id: str, **variables: Any) -> Any:
    return (await running.ask(query, id=peer_id, **variables))["peer"]["found"]


def short(page: Any) -> list[tuple[Any, ...]]:
    return [(it["reporterPeerId"], it["remotePeerId"], it["reputation"], it["isConnected"]) for it in page["nodes"]]


async def test_what_others_said_is_shown_newest_first(thinking: Running) -> None:
    page = await found(thinking, SEEN, "b")
    assert short(page) == [("a", "b", -5, False), ("a", "b", 1, True)]
    assert page["nodes"][0]["at"] == "2026-11-22T12:02:00Z"
    assert page["totalCount"] == 2
    during = {"since": "2026-11-22T12:00:00Z", "until": "2026-11-22T12:01:00Z"}
    page = await found(thinking, SEEN, "b", during=during)
    assert (short(page), page["totalCount"]) == ([("a", "b", 1, True)], 1)
    assert short(await found(thinking, SEEN, "a")) == [("b", "a", 3, True)]


async def test_what_it_said_is_that_of_the_latest_state_or_of_a_time(thinking: Running) -> None:
    page = await found(thinking, GIVEN, "a")
    latest = [("a", "b", -5, False), ("a", "c", 7, True)]
    assert (short(page), page["totalCount"]) == (latest, 2)
    page = await found(thinking, GIVEN, "a", during={})
    assert (short(page), page["totalCount"]) == ([*latest, ("a", "b", 1, True)], 3)
    page = await found(thinking, GIVEN, "a", during={"until": "2026-11-22T12:01:00Z"})
    assert (short(page), page["totalCount"]) == ([("a", "b", 1, True)], 1)
    assert short(await found(thinking, GIVEN, "b")) == [("b", "a", 3, True), ("b", "z", None, False)]
    page = await found(thinking, GIVEN, "c", during={})
    assert (page["nodes"], page["totalCount"]) == ([], 0)


@pytest.mark.parametrize(("query", "during"), [(SEEN, {}), (GIVEN, {}), (GIVEN, None)])
async def test_pages_lead_through_opinions_both_ways(
    thinking: Running, connection: asyncpg.Connection, query: str, during: Any
) -> None:
    same = [network_state(at(10), b=(n, True), **{f"p{n}": (n, True)}) for n in range(4)]
    await add_connection(connection, "b", *[network_state(at(10), b=(n, True)) for n in range(3)], opened_at=NOON)
    await add_connection(
        connection, "b", network_state(at(11), **{f"p{n}": (n, True) for n in range(7)}), opened_at=NOON
    )
    await add_connection(connection, "a", *same, opened_at=NOON)
    everything = short(await found(thinking, query, "b", during=during, first=100))
    assert len(everything) >= 7
    forwards: list[Any] = []
    page = await found(thinking, query, "b", during=during, first=2)
    while forwards := forwards + short(page):
        if not page["pageInfo"]["hasNextPage"]:
            break
        page = await found(thinking, query, "b", during=during, first=2, after=page["pageInfo"]["endCursor"])
    assert forwards == everything
    last = query.replace("first: $first, after: $after, ", "").replace("$first: Int, $after: String, ", "")
    backwards: list[Any] = []
    page = await found(thinking, last, "b", during=during, last=3)
    while backwards := short(page) + backwards:
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        page = await found(thinking, last, "b", during=during, last=3, before=page["pageInfo"]["startCursor"])
    assert backwards == everything


async def test_further_pages_are_of_the_network_state_of_the_first(
    thinking: Running, connection: asyncpg.Connection
) -> None:
    cursor = (await found(thinking, GIVEN, "a", first=1))["pageInfo"]["endCursor"]
    await add_connection(connection, "a", network_state(at(30), b=(100, True), c=(100, True)), opened_at=NOON)
    assert short(await found(thinking, GIVEN, "a", first=5, after=cursor)) == [("a", "c", 7, True)]


async def test_a_rarely_mentioned_node_is_found_among_many_states(
    thinking: Running, connection: asyncpg.Connection
) -> None:
    states = [network_state(at(60 + n), x=(n, True)) for n in range(FIRST_STATES + 1)]
    await add_connection(connection, "d", *states, opened_at=NOON)
    await add_connection(connection, "x", opened_at=NOON)
    query = """query ($ids: [String!]!) { peers(filter: { peerId: { in: $ids } }) { nodes {
      reputation(first: 3) { nodes { reputation } }
    } } }"""
    b, x = (await thinking.ask(query, ids=["b", "x"]))["peers"]["nodes"]
    assert [it["reputation"] for it in b["reputation"]["nodes"]] == [-5, 1]
    assert [it["reputation"] for it in x["reputation"]["nodes"]] == [200, 199, 198]


async def test_opinions_lead_to_the_nodes_and_of_many_take_few_statements(thinking: Running) -> None:
    query = """{ peers(first: 9) { nodes {
      reputation(first: 1) { totalCount nodes { reporter { peerId } remotePeer { peerId } } }
      reputationGiven(first: 5) { totalCount nodes { remotePeerId remotePeer { peerId } } }
    } } }"""
    context = Context(thinking.gateway.feeds.backend, Identity(frozenset(Scope)))
    result: Any = await execute(GRAPHQL_SCHEMA, parse(query), context_value=context)  # type: ignore[misc]
    assert not result.errors
    counts = ["seen", "given"]
    pages = ["peers", "about in some", "about those with fewer", "given"]
    assert context.reads.statements <= len(counts) + len(pages) + len(["those that are named, once or twice"]) * 2
    a, b, _ = (await thinking.ask(query))["peers"]["nodes"]
    assert a["reputation"]["nodes"] == [{"reporter": {"peerId": "b"}, "remotePeer": {"peerId": "a"}}]
    named = {it["remotePeerId"]: it["remotePeer"] for it in b["reputationGiven"]["nodes"]}
    assert named == {"a": {"peerId": "a"}, "z": None}


async def test_reports_of_all_may_be_of_the_last_moments(thinking: Running, connection: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    await add_connection(connection, "b", network_state(now, c=(4, True), a=(5, False)), opened_at=NOON)
    query = """query ($age: Duration) { reputations(maxAge: $age, first: 9) { at reporterPeerId
      reputations { at remotePeerId reputation isConnected reporter { peerId } }
    } }"""
    reports = (await thinking.ask(query))["reputations"]
    assert [report["reporterPeerId"] for report in reports] == ["a", "b"]
    (recent,) = (await thinking.ask(query, age="1m"))["reputations"]
    shown = {"at": recent["at"], "isConnected": True, "remotePeerId": "c", "reporter": {"peerId": "b"}, "reputation": 4}
    assert recent["reputations"][1] == shown
