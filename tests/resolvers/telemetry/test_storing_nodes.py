"""Who nodes are, stored with what they say."""

from collections import Counter
from typing import Any

import asyncpg

from db.copying import CopyLine
from db.pool import Row
from db.statements import Statement
from resolvers.telemetry.nodes import Node
from resolvers.telemetry.storing import ADD_PEERS, Batch, LogStore
from tests.harness import Database


async def test_a_node_that_says_who_it_is_while_others_are_stored_has_its_turn_later(
    database: Database, connection: asyncpg.Connection
) -> None:
    async def none() -> int:
        return 0

    async def open_line(name: str) -> CopyLine:
        return await Interrupted.open(database.logins.writer, name)

    class Interrupted(CopyLine):
        async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
            if statement is ADD_PEERS:
                late.peer_id = "late"
            return await super().fetch(statement, **parameters)

    store = LogStore(open_line, none, lambda: None, Counter(), lambda node: None)
    await store.open()
    try:
        early, late = (Node(id=store.new_connection_id(), ip_addr="192.0.2.1:1", is_audit=False) for _ in range(2))
        early.peer_id = "early"
        assert await store.store(Batch([], [early, late])) == []
        assert (early.peer_key > 0, late.peer_key) == (True, 0)
        assert await store.store(Batch([], [late])) == []
    finally:
        await store.close()
    said = "SELECT p.peer_id FROM podium.peer_connections JOIN podium.peers AS p ON p.id = peer_connections.peer_id"
    assert sorted(row[0] for row in await connection.fetch(said)) == ["early", "late"]
