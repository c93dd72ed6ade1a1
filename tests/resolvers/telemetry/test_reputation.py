"""What nodes think of each other, whatever they write."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from db.pool import Database, Row
from resolvers.telemetry import reputation
from resolvers.telemetry.reputation import ReputationFilter, latest_reputations, reputations_of
from tests.resolvers.telemetry.conftest import NOON
from tests.telemetry import network_state

LATER = NOON + timedelta(hours=1)


def at(minutes: float) -> datetime:
    """A time some minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def state(minutes: float, nodes: Any) -> dict[str, Any]:
    """A network state with anything in the place of its nodes."""
    return {**network_state(at(minutes)), "state": {"peerset": {"nodes": nodes}}}


async def latest(db: Database, after: datetime | None = None, limit: int = 100, **given: Any) -> list[Row]:
    """What the resolver answers an hour after noon."""
    return await latest_reputations(db.read, after, LATER, limit, **given)


async def reporting(db: Database, after: datetime | None = None, limit: int = 100) -> list[str]:
    """The nodes that report."""
    return [row.reporting_peer for row in await latest(db, after, limit)]


async def test_the_latest_state_of_each_node_counts(db: Database, add: Any) -> None:
    await add("b", network_state(at(3), x=(3, True)), network_state(at(1), x=(1, True)))
    await add("b", network_state(at(2), x=(2, True)), is_audit=True)
    await add("a", network_state(at(2), x=(5, False)), network_state(at(2), x=(6, True)))
    shown = [(row.reporting_peer, row.ts, row.remote_peer, row.reputation, row.connected) for row in await latest(db)]
    assert shown == [("a", at(2), ["x"], [6], [True]), ("b", at(3), ["x"], [3], [True])]


async def test_remote_peers_are_in_the_order_of_jsonb(db: Database, add: Any) -> None:
    names = ["QmX", "Qm99999999", "Qz", "Qa", "é", "B", "a"]
    await add("a", network_state(at(1), **{name: (len(name), name < "Q") for name in names}))
    (row,) = await latest(db)
    expected = sorted(names, key=lambda name: (len(name.encode()), name.encode()))
    assert row.remote_peer == expected
    assert row.reputation == [len(name) for name in expected]
    assert row.connected == [name < "Q" for name in expected]


@pytest.mark.parametrize("minutes", [3, 50, 55])
async def test_states_count_that_are_younger_than_a_time(db: Database, add: Any, minutes: float) -> None:
    for name, offset in {"a": -1, "b": 0, "c": 1}.items():
        await add(name, network_state(at(minutes + offset), x=(1, True)))
    assert await reporting(db, at(minutes)) == ["c"]


async def test_the_limit_counts_nodes_that_report_of_somebody(db: Database, add: Any) -> None:
    for name in "abcdef":
        nodes = {"x": (1, True)} if name in "bdf" else {}
        await add(name, network_state(at(59), **nodes))
    for after in (None, at(58)):
        assert await reporting(db, after, 2) == ["b", "d"]
    assert await reporting(db, limit=0) == []


@pytest.mark.parametrize("nodes", [None, [], "x", 5, {}, [{"x": {"reputation": 1, "connected": True}}]])
async def test_a_node_whose_latest_state_tells_of_nobody_is_left_out(db: Database, add: Any, nodes: Any) -> None:
    await add("a", network_state(at(1), x=(1, True)), state(2, nodes))
    await add("b", network_state(at(1), x=(1, True)))
    await add("c", {"msg": "system.network_state", "ts": at(1).isoformat(), "state": 5})
    assert await reporting(db) == ["b"]
    assert [row.reporting_peer for row in await reputations_of(db.read, "x", ReputationFilter(), 9)] == ["b", "a"]


ODD = [
    *({"reputation": value, "connected": True} for value in (1.5, None, "high", [], 10**18, 1e300, "", True)),
    *({"reputation": 1, "connected": value} for value in (None, 1, "yes", {})),
    *({"reputation": 1}, {"connected": True}, {}, None, 7, "x", ["reputation"]),
]


async def test_what_is_no_integer_or_no_boolean_is_left_out_alone(db: Database, add: Any) -> None:
    nodes = {f"odd{number}": opinion for number, opinion in enumerate(ODD)}
    fine = {"a": (-(10**18) + 1, False), "zzzzzzzzzzzz": (10**18 - 1, True)}
    said = network_state(at(1), **fine)
    said["state"]["peerset"]["nodes"] |= nodes
    await add("a", said)
    (row,) = await latest(db)
    assert (row.remote_peer, row.reputation) == (["a", "zzzzzzzzzzzz"], [-(10**18) + 1, 10**18 - 1])
    for name in nodes:
        assert await reputations_of(db.read, name, ReputationFilter(), 9) == []


async def test_messages_of_the_newer_form_count(db: Database, add: Any) -> None:
    bare = network_state(at(1), x=(4, True))
    ts = bare.pop("ts")
    await add("a", {"id": 1, "ts": ts, "payload": bare})
    await add("b", {**network_state(at(1), x=(5, True)), "payload": {"state": 1}})
    assert [row.reputation for row in await latest(db)] == [[4], [5]]
    assert [row.reputation for row in await reputations_of(db.read, "x", ReputationFilter(), 9)] == [5, 4]


async def test_of_logged_nodes_are_those_that_were_connected_here(db: Database, add: Any) -> None:
    everybody = dict.fromkeys(("a", "b", "c", "nobody"), (1, True))
    await add("a", network_state(at(1), **everybody))
    await add("b", network_state(at(1), nobody=(1, True)))
    await add("c", closed_at=LATER)
    assert [(row.reporting_peer, row.remote_peer) for row in await latest(db, of_logged=True)] == [
        ("a", ["a", "b", "c"])
    ]


async def test_reputations_of_a_node_are_its_own_newest_first(db: Database, add: Any) -> None:
    await add("a", network_state(at(1), x=(1, True), y=(100, False)), network_state(at(4), y=(100, False)))
    await add("b", network_state(at(3), x=(3, False), y=(100, False)), network_state(at(2), x=(2, True)))
    shown = [
        (row.reporting_peer, row.ts, row.reputation, row.connected)
        for row in await reputations_of(db.read, "x", ReputationFilter(), 9)
    ]
    assert shown == [("b", at(3), 3, False), ("b", at(2), 2, True), ("a", at(1), 1, True)]


async def test_bounds_and_limits_of_reputations(db: Database, add: Any) -> None:
    await add("a", *(network_state(at(minutes), x=(minutes, True)) for minutes in range(6)))
    for wanted, limit, expected in [
        (ReputationFilter(after=at(1), before=at(4)), 9, [3, 2]),
        (ReputationFilter(before=at(4)), 2, [3, 2]),
        (ReputationFilter(after=at(3)), 9, [5, 4]),
        (ReputationFilter(), 0, []),
    ]:
        assert [row.reputation for row in await reputations_of(db.read, "x", wanted, limit)] == expected


async def test_a_node_that_few_mention_is_found_behind_many_states(
    db: Database, add: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reputation, "FIRST_STATES", 3)
    await add("a", *(network_state(at(minutes), x=(minutes, True)) for minutes in range(9)))
    await add("b", network_state(at(0.5), rare=(7, True), x=(0, True)))
    assert [row.reputation for row in await reputations_of(db.read, "rare", ReputationFilter(), 9)] == [7]
    assert len(await reputations_of(db.read, "x", ReputationFilter(), 9)) == 9


async def test_names_may_hold_anything_and_be_long(db: Database, add: Any) -> None:
    long = "l" * 300
    names = ["it's", 'a "quote"', "a/b", "%2F", "\\", "é\U0001f600", "{}", long, ""]
    await add("a", network_state(at(1), **{name: (number, True) for number, name in enumerate(names)}))
    for number, name in enumerate(names):
        assert [row.reputation for row in await reputations_of(db.read, name, ReputationFilter(), 9)] == [number]
    assert await reputations_of(db.read, long[:256], ReputationFilter(), 9) == []
