"""Puts what nodes have said into the database: their connections, and their messages, each batch exactly once."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import asyncpg

from db.copying import CopyLine
from db.statements import STATEMENTS
from resolvers.errors import Overloaded, Unavailable
from resolvers.page import from_micros
from resolvers.telemetry.encoding import COLUMNS, encoded
from resolvers.telemetry.messages import with_usual_numbers
from resolvers.telemetry.nodes import LogRow, Node

NEXT_WRITER = STATEMENTS["telemetry.next_writer"]
NAME_SESSION = STATEMENTS["telemetry.name_session"]
END_PREDECESSORS = STATEMENTS["telemetry.end_predecessors"]
HOLD_WRITER = STATEMENTS["telemetry.hold_writer"]
ADD_PEERS = STATEMENTS["telemetry.add_peers"]
STORE_CONNECTIONS = STATEMENTS["telemetry.store_connections"]
ADOPT_LOGS = STATEMENTS["telemetry.adopt_logs"]
IS_STORED = STATEMENTS["telemetry.is_stored"]

# Keys begin with a writer's number: those of connections, which programs read that know only doubles, have 20 bits
# behind it, and those of logs 32.
CONNECTION_BITS = 20
LOG_BITS = 32
ADOPTED_AT_ONCE = 20_000
_row_of = attrgetter(
    *("ip_addr", "is_audit", "has_logs", "name", "chain", "version", "implementation", "authority", "startup_time"),
    *("opened_at", "is_closed"),
)
# What is wrong with a row, and not with the database.
_UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, asyncpg.IntegrityConstraintViolationError)


LANES = 2  # lines over which batches are stored side by side


@dataclass(slots=True, eq=False)
class Batch:
    """What is stored at once: rows in their order, and nodes whose connections are new or have changed."""

    rows: Sequence[LogRow]
    nodes: Sequence[Node] = ()
    first_id: int = 0
    is_in_doubt: bool = False  # it was sent, and whether it was committed is not known
    unfinished: Sequence[Node] = ()  # of the nodes, those of which more is to be adopted than goes with one batch


@dataclass(slots=True)
class _Keys:
    """A writer's number, and how many keys were made of it."""

    writer: int
    connections: int = 0
    logs: int = 0

    @property
    def are_running_out(self) -> bool:
        return self.connections >> (CONNECTION_BITS - 1) > 0 or self.logs >> (LOG_BITS - 1) > 0


class LogStore:
    """Stores batches over lines of its own, each opened when it is wanted, and anew when it is lost.

    `open_line` opens one by its name; `make_partitions` is called when there is none for what is to be stored, and
    `reconnected` when the first line was lost, which says that this writer lives: then connections may have been taken
    for dead, and must be stored again. `counts` are of rows that cannot be stored; `changed` is told of nodes that are
    to come again with another batch.
    """

    def __init__(
        self,
        open_line: Callable[[str], Awaitable[CopyLine]],
        make_partitions: Callable[[], Awaitable[int]],
        reconnected: Callable[[], None],
        counts: Counter[str],
        changed: Callable[[Node], None],
    ) -> None:
        self._open_line = open_line
        self._changed = changed
        self._reconnected = reconnected
        self._make_partitions = make_partitions
        self._counts = counts
        self._lines: list[CopyLine | None] = [None] * LANES
        self._keys: list[_Keys] = []

    async def open(self) -> None:
        """Connect, and take a number, without which no key can be made."""
        await self._connected(0)

    async def close(self) -> None:
        """Hang up."""
        for line in filter(None, self._lines):
            await line.close()

    def new_connection_id(self) -> int:
        """A key for a connection, without asking the database. Overloaded after a million while it was away."""
        keys = self._keys[-1]
        if keys.connections >> CONNECTION_BITS:
            raise Overloaded("too many connections were opened while the database was away")
        keys.connections += 1
        return (keys.writer << CONNECTION_BITS) + keys.connections - 1

    async def store(self, batch: Batch, lane: int = 0) -> list[Batch]:
        """Store all of it, or fail: then the same batch may be tried again, over the same lane. What it answers is to
        be stored instead: where something in it cannot be stored, the same with numbers written otherwise, and then its
        halves. What alone cannot is counted, and gone.
        """
        line = await self._connected(lane)
        if batch.is_in_doubt and await self._is_stored(line, batch):
            self._note(batch)
            return []
        try:
            await self._send(line, batch)
        except asyncpg.CheckViolationError:
            await self._make_partitions()
            raise
        except _UNSTORABLE:
            return self._with_usual_numbers(batch) or self._halves(batch)
        return []

    def _with_usual_numbers(self, batch: Batch) -> list[Batch]:
        # Numbers are the one thing that anybody can send and Postgres refuses: halving for each would cost all others.
        bodies = [with_usual_numbers(row[4]) for row in batch.rows]
        changed = sum(body != row[4] for body, row in zip(bodies, batch.rows, strict=True))
        if not changed:
            return []
        self._counts["escaped"] += changed
        rows = [(*row[:4], body) for body, row in zip(bodies, batch.rows, strict=True)]
        return [Batch(rows, batch.nodes)]

    def _halves(self, batch: Batch) -> list[Batch]:
        rows, nodes = batch.rows, batch.nodes
        if len(rows) > 1:
            middle = len(rows) // 2
            return [Batch(rows[:middle], nodes), Batch(rows[middle:])]
        if rows and nodes:
            return [Batch((), nodes), Batch(rows)]
        self._counts["unstorable"] += len(rows)
        return [Batch((), [node]) for node in nodes] if len(nodes) > 1 else []

    async def _send(self, line: CopyLine, batch: Batch) -> None:
        batch.first_id = batch.first_id or self._log_ids(len(batch.rows))
        for node in {row[0] for row in batch.rows}:
            node.has_logs = True
        if not batch.nodes:
            await self._copy(line, batch)
        else:
            async with line.transaction():
                await self._store_nodes(line, batch)
                await self._copy(line, batch)
        batch.is_in_doubt = False
        self._note(batch)

    async def _copy(self, line: CopyLine, batch: Batch) -> None:
        batch.is_in_doubt = True
        if batch.rows:
            await line.copy("peer_logs", COLUMNS, encoded(batch.rows, batch.first_id))

    async def _store_nodes(self, line: CopyLine, batch: Batch) -> None:
        nodes = batch.nodes
        if names := {node: node.peer_id for node in nodes if node.peer_id}:  # more may say who they are meanwhile
            keys = {row.peer_id: row.id for row in await line.fetch(ADD_PEERS, peer_ids=list(names.values()))}
            for node, peer_id in names.items():
                node.belongs_to(keys[peer_id])
        await line.fetch(STORE_CONNECTIONS, **_columns_of(nodes))
        batch.unfinished = [
            node
            for node in nodes
            if node.has_unidentified_logs and node.peer_key and await self._adopt(line, node) >= ADOPTED_AT_ONCE
        ]

    async def _adopt(self, line: CopyLine, node: Node) -> int:
        # Not all at once, where a node has said very much before: nobody else's messages are stored meanwhile.
        given = {"peer_id": node.peer_key, "connection_id": node.id, "batch": ADOPTED_AT_ONCE}
        return int(await line.fetchval(ADOPT_LOGS, **given))

    def _note(self, batch: Batch) -> None:
        """It is stored: where a node has not said yet who it is, or has said very much before, there is more to do."""
        for node in batch.nodes:
            node.has_unidentified_logs = node.has_unidentified_logs and (not node.peer_key or node in batch.unfinished)
        for node in {row[0] for row in batch.rows}:
            node.has_unidentified_logs = node.has_unidentified_logs or not node.peer_key
        for node in batch.unfinished:
            self._changed(node)

    async def _is_stored(self, line: CopyLine, batch: Batch) -> bool:
        if not batch.rows:
            return False  # of nodes, the same can be stored again
        node, ts_us, *_ = batch.rows[0]
        stored: bool = await line.fetchval(IS_STORED, peer_id=node.peer_key, ts=from_micros(ts_us), id=batch.first_id)
        return stored

    def _log_ids(self, count: int) -> int:
        keys = self._keys[-1]
        first = (keys.writer << LOG_BITS) + keys.logs
        keys.logs += count
        return first

    async def _connected(self, lane: int) -> CopyLine:
        line = self._lines[lane]
        if line is None or line.is_lost:
            line = self._lines[lane] = await self._new_line(lane)
        if lane == 0 and self._keys[-1].are_running_out:
            await self._take_number(line)
        return line

    async def _new_line(self, lane: int) -> CopyLine:
        name = self._session_name(lane)
        line = await self._open_line(name)
        try:
            if not self._keys:
                await self._take_number(line)
                return line
            if not all(row.has_ended for row in await line.fetch(END_PREDECESSORS, name=name)):
                raise Unavailable("a session that was lost still runs, and may store something yet")
            if lane == 0:
                await self._come_back(line)
        except BaseException:
            await line.close()
            raise
        return line

    async def _come_back(self, line: CopyLine) -> None:
        for keys in self._keys:
            await line.fetch(HOLD_WRITER, writer=keys.writer)
        self._reconnected()

    def _session_name(self, lane: int) -> str:
        names = ["podium telemetry", *(str(keys.writer) for keys in self._keys[:1]), *(["beside"] if lane else [])]
        return " ".join(names)

    async def _take_number(self, line: CopyLine) -> None:
        writer = await line.fetchval(NEXT_WRITER)
        await line.fetch(HOLD_WRITER, writer=writer)
        self._keys.append(_Keys(writer))
        await line.fetch(NAME_SESSION, name=self._session_name(0))


def _columns_of(nodes: Sequence[Node]) -> dict[str, Any]:
    names = STORE_CONNECTIONS.parameters[3:]
    columns = zip(*map(_row_of, nodes), strict=True)
    return {
        "ids": [node.id for node in nodes],
        "writers": [node.id >> CONNECTION_BITS for node in nodes],
        "peer_ids": [node.peer_key or None for node in nodes],
        **dict(zip(names, map(list, columns), strict=True)),
    }
