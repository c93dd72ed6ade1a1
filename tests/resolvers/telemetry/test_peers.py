"""The latest connection of every node."""

from datetime import timedelta
from typing import Any

from db.pool import Database
from resolvers.telemetry.peers import id_of, latest_connections
from tests.resolvers.telemetry.conftest import NOON


async def test_the_latest_connection_counts_however_they_were_stored(db: Database, add: Any) -> None:
    for minutes in (1, 3, 2):
        await add("QmA", opened_at=NOON + timedelta(minutes=minutes), name=f"after {minutes}")
    (row,) = await latest_connections(db.read)
    assert (row.peer_id, row.name, row.opened_at) == ("QmA", "after 3", NOON + timedelta(minutes=3))


async def test_of_connections_at_the_same_time_the_last_id_counts(db: Database, add: Any) -> None:
    ids = [await add("QmA") for _ in range(3)]
    assert [row.id for row in await latest_connections(db.read)] == [max(ids)]


async def test_nodes_are_ordered_by_the_bytes_of_their_names(db: Database, add: Any) -> None:
    names = ["é", "a", "B", "Qm'", '"', "aa", "A/", "\U0001f600"]
    for name in names:
        await add(name)
    expected = sorted(names, key=str.encode)
    assert [row.peer_id for row in await latest_connections(db.read)] == expected


async def test_of_unidentified_connections_the_latest_comes_last(db: Database, add: Any) -> None:
    await add("z")
    latest = await add(None, opened_at=NOON + timedelta(hours=1))
    await add(None)
    assert [(row.peer_id, row.id == latest) for row in await latest_connections(db.read)] == [
        ("z", False),
        (None, True),
    ]


async def test_a_node_is_known_by_its_exact_name(db: Database, add: Any) -> None:
    await add("QmA")
    assert await id_of(db.read, "QmA") is not None
    for other in ("qma", "QmA ", "Qm", "", "x" * 100_000):
        assert await id_of(db.read, other) is None
