"""Old URLs and the graph say the same of nodes, of what they said, and of what they think of each other."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.harness import Running
from tests.telemetry import add_connection, network_state

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
END = "end_time=2100-01-01T00:00:00"
LONG = "y" * 200


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes, microseconds=1)


def said(minutes: float, msg: str | None, **more: Any) -> dict[str, Any]:
    return {"ts": at(minutes).isoformat(), **({} if msg is None else {"msg": msg}), **more}


@pytest.fixture
async def filled(running: Running, connection: asyncpg.Connection) -> Running:
    """Two nodes that know each other, with messages in both forms, of all kinds."""
    inner = {"msg": "block.import", "target": "db", "height": 7}
    messages = [
        *(said(n, "block.import", target="db", height=n) for n in range(4)),
        *(said(n, "system.interval") for n in range(3)),
        *(said(5, None, note=1), said(6, LONG, target=LONG), {"id": 1, "ts": at(7).isoformat(), "payload": inner}),
        *(network_state(at(8), b=(1, True), z=(-4, False)), network_state(at(9), b=(2, False), c=(3, True))),
    ]
    await add_connection(connection, "a", *messages, opened_at=NOON, name="one")
    await add_connection(connection, "b", network_state(at(9), a=(5, True)), opened_at=at(1), closed_at=at(2))
    await add_connection(connection, "b", opened_at=at(3), is_audit=True, name="two")
    return running


async def old(running: Running, path: str) -> Any:
    response = await running.client.get(path)
    assert response.status_code == 200, response.text
    return response.json()


async def test_the_latest_connection_of_a_node_is_the_same(filled: Running) -> None:
    nodes = await old(filled, "/nodes")
    query = """{ peers(first: 9) { nodes { peerId name chain version implementation authority
      connections(first: 1) { nodes { id ipAddress openedAt isAudit } }
    } } }"""
    same = []
    for peer in (await filled.ask(query))["peers"]["nodes"]:
        (latest,) = peer.pop("connections")["nodes"]
        shown = {"id": int(latest["id"]), "ip_addr": latest["ipAddress"], "audit": latest["isAudit"]}
        same.append({**shown, "peer_id": peer.pop("peerId"), "created_at": latest["openedAt"].rstrip("Z"), **peer})
    assert [{key: node[key] for key in same[0]} for node in nodes] == same


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("", {}),
        ("&msg=block.import", {"msg": {"in": ["block.import"]}}),
        ("&msg=block.import&target=db", {"msg": {"in": ["block.import"]}, "target": {"in": ["db"]}}),
        (f"&msg={LONG}", {"msg": {"in": [LONG]}}),
        (f"&msg={LONG}z", {"msg": {"in": [LONG + "z"]}}),
        ("&start_time=2026-11-22T12:03:00.000001", {"during": {"since": "2026-11-22T12:03:00.000002Z"}}),
    ],
)
async def test_logs_are_the_same(filled: Running, asked: str, wanted: dict[str, Any]) -> None:
    query = """query ($wanted: PeerLogFilter) { peer(peerId: "a") { logs(filter: $wanted) {
      nodes { at msg message }
    } } }"""
    there = (await filled.ask(query, wanted=wanted))["peer"]["logs"]["nodes"]
    here = await old(filled, f"/nodes/logs?peer_id=a&limit=100&{END}{asked}")
    assert [(it["created_at"] + "Z", it["msg"], it["logs"]) for it in here] == [tuple(it.values()) for it in there]


async def test_counts_of_logs_are_the_same(filled: Running) -> None:
    stats = (await filled.ask('{ peer(peerId: "a") { logStats { msg count } } }'))["peer"]["logStats"]
    counted = {it["log_type"]: it["qty"] for it in await old(filled, "/nodes/log_stats?peer_id=a")}
    assert counted == {it["msg"]: it["count"] for it in stats}
    assert sum(counted.values()) == 12


async def test_opinions_are_the_same(filled: Running) -> None:
    query = '{ peer(peerId: "b") { reputation { nodes { isConnected reporterPeerId reputation at } } } }'
    about = await old(filled, f"/reputation/b?{END}")
    there = (await filled.ask(query))["peer"]["reputation"]["nodes"]
    assert len(there) == 2
    assert [tuple(it.values()) for it in there] == [
        (it["connected"], it["reporting_peer"], it["reputation"], it["ts"] + "Z") for it in about
    ]
    query = """{ reputations(first: 9) { at reporterPeerId reputations { isConnected remotePeerId reputation } } }"""
    reports = await old(filled, f"/reputation?max_age_s={10**9}")
    latest = [
        {
            "connected": [it["isConnected"] for it in report["reputations"]],
            "remote_peer": [it["remotePeerId"] for it in report["reputations"]],
            "reputation": [it["reputation"] for it in report["reputations"]],
            "reporting_peer": report["reporterPeerId"],
            "ts": report["at"].rstrip("Z"),
        }
        for report in (await filled.ask(query))["reputations"]
    ]
    assert reports == latest
    given = "{ peers { nodes { reputationGiven(first: 5) { nodes { remotePeerId } } } } }"
    nodes = (await filled.ask(given))["peers"]["nodes"]
    of_each = [[it["remotePeerId"] for it in node["reputationGiven"]["nodes"]] for node in nodes]
    assert of_each == [report["remote_peer"] for report in latest] == [["b", "c"], ["a"]]
