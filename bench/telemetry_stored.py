"""What of the messages that were sent is in the database, and when it came there."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter, time

import asyncpg

from bench.telemetry_messages import kinds, peer_id
from bench.telemetry_node import Node

POLL_S = 0.02
WATCH_S = 0.005
COUNT_EVERY_S = 0.5
PATIENCE_S = 30.0  # without any progress

COUNT = "SELECT count(*) FROM podium.peer_logs"
OPEN = "SELECT count(*) FROM podium.peer_connections WHERE closed_at IS NULL AND peer_id IS NOT NULL"
COUNT_BY_KIND = "SELECT type, count(*) FROM podium.peer_logs GROUP BY 1"
COUNT_BY_PEER = """
SELECT p.peer_id, count(*) FROM podium.peer_logs AS l LEFT JOIN podium.peers AS p ON p.id = l.peer_id GROUP BY 1
"""
CLEAR = "TRUNCATE podium.peer_logs, podium.peer_connections, podium.peers RESTART IDENTITY"
NEWEST = """
SELECT (SELECT max(l.ts) FROM podium.peer_logs AS l WHERE l.peer_id = p.id)
FROM unnest($1::text[]) WITH ORDINALITY AS named (peer_id, place) LEFT JOIN podium.peers AS p USING (peer_id)
ORDER BY place
"""
STORED_AFTER_S = """
SELECT percentile_disc(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM stored_at - ts)::double precision)
FROM podium.peer_logs WHERE $1::text IS NULL OR peer_id = (SELECT id FROM podium.peers WHERE peer_id = $1)
"""
TIMES = "SELECT ts FROM podium.peer_logs WHERE peer_id = (SELECT id FROM podium.peers WHERE peer_id = $1)"


class LostError(Exception):
    """Messages that were sent are not stored as they should be; the message says how many."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How long messages took: half of them, 99 of 100, and the slowest."""

    p50_ms: float
    p99_ms: float
    max_ms: float


class Stored:
    """Asks a database, on a connection of its own, which is opened anew when it was lost."""

    def __init__(self, url: str, *, by_index: bool = False) -> None:
        self._url = url
        # The newest time of a node is at an end of an index, whatever the planner knows of a table that has just grown.
        self._settings = {"enable_seqscan": "off", "enable_bitmapscan": "off"} if by_index else {}
        self._connection: asyncpg.Connection | None = None

    async def ask(self, sql: str, *values: object) -> list[asyncpg.Record]:
        """The rows of a question."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url, timeout=5, server_settings=self._settings)
        return await self._connection.fetch(sql, *values)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._connection:
            self._connection.terminate()

    async def count(self) -> int:
        """How many messages there are."""
        return int((await self.ask(COUNT))[0][0])

    async def newest(self, peers: list[str]) -> list[datetime | None]:
        """The time of the newest message of each of these nodes."""
        return [row[0] for row in await self.ask(NEWEST, peers)]

    async def delay(self, peer: str | None = None) -> Delay:
        """From a message's own time until the transaction that stored it began, of one node or of all."""
        return Delay(*(1000 * seconds for seconds in (await self.ask(STORED_AFTER_S, peer))[0][0]))


@asynccontextmanager
async def asking(url: str, *, by_index: bool = False) -> AsyncIterator[Stored]:
    """A `Stored` for the time of the block."""
    stored = Stored(url, by_index=by_index)
    try:
        yield stored
    finally:
        await stored.close()


async def until_stored(url: str, nodes: Sequence[Node]) -> float:
    """When all that these nodes have sent was there, by `perf_counter`; LostError when no more of it comes.

    The newest message of each node is looked for, which is cheap; when all are there, everything is counted.
    """
    names, last = [peer_id(node.number) for node in nodes], [node.last_ts for node in nodes]
    total, progress = sum(node.sent for node in nodes), _Progress()
    async with asking(url, by_index=True) as newest, asking(url) as counted:
        while True:
            found, number = await newest.newest(names), None
            at = perf_counter()
            if all(ts and ts >= sent for ts, sent in zip(found, last, strict=True)):
                number = await counted.count()
                if number == total:
                    return at
            if (number is not None and number > total) or progress.has_ended((found, number)):
                raise LostError(f"{total:,} messages were sent, {await counted.count():,} are stored")
            await asyncio.sleep(POLL_S if number is None else COUNT_EVERY_S)


class _Progress:
    """Whether something has stayed as it is for PATIENCE_S."""

    def __init__(self) -> None:
        self._last: object = None
        self._changed_at = perf_counter()

    def has_ended(self, now: object) -> bool:
        if now != self._last:
            self._last, self._changed_at = now, perf_counter()
        return perf_counter() - self._changed_at > PATIENCE_S


async def verify(url: str, nodes: Sequence[Node]) -> None:
    """LostError unless there is what was sent: of each node, and of each kind."""
    expected_kinds, expected_peers = Counter[str | None](), Counter[str | None]()
    for node in nodes:
        expected_kinds.update(kinds(node.sent))
        expected_peers[peer_id(node.number)] += node.sent
    async with asking(url) as stored:
        for sql, expected in ((COUNT_BY_KIND, expected_kinds), (COUNT_BY_PEER, expected_peers)):
            found = Counter[str | None]({row[0]: row[1] for row in await stored.ask(sql)})
            if found != expected:
                missing, surplus = (expected - found).most_common(3), (found - expected).most_common(3)
                raise LostError(f"stored otherwise than sent: missing {missing}, too many {surplus}")


class Watch:
    """Looks again and again for the newest message of a node, so as to know from when on each could be seen."""

    def __init__(self, url: str, peer: str) -> None:
        self._url, self._peer = url, peer
        self._seen_at: list[float] = []
        self._newest: list[datetime] = []

    async def run(self) -> None:
        """Look, until cancelled; a database that is away is waited for."""
        async with asking(self._url, by_index=True) as stored:
            while True:
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                    (newest,) = await stored.newest([self._peer])
                    if newest and (not self._newest or newest > self._newest[-1]):
                        self._seen_at.append(time())
                        self._newest.append(newest)
                await asyncio.sleep(WATCH_S)

    async def delay(self) -> Delay:
        """From a message's own time until it was seen, WATCH_S and the time of a question too late at most."""
        async with asking(self._url) as stored:
            times = [row[0] for row in await stored.ask(TIMES, self._peer)]
        places = [(bisect_left(self._newest, ts), ts.timestamp()) for ts in times]
        delays_s = sorted(self._seen_at[place] - at for place, at in places if place < len(self._seen_at))
        return Delay(*(1000 * delays_s[min(int(len(delays_s) * part), len(delays_s) - 1)] for part in (0.5, 0.99, 1)))


@asynccontextmanager
async def watching(url: str, peer: str) -> AsyncIterator[Watch]:
    """A `Watch` that looks for the time of the block."""
    watch = Watch(url, peer)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.wait([task])
