"""Asks the database for logs, in pages that are bounded by their number and their bytes."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from db.pool import Row, Runner
from db.statements import STATEMENTS, Statement
from resolvers.errors import TimedOut
from resolvers.telemetry.live_rows import LogRows, Pair, Position

CLOCK = STATEMENTS["feed.clock"]
PEERS = STATEMENTS["feed.peers"]
LOGS_BETWEEN = STATEMENTS["feed.logs_between"]
LOGS_SINCE = STATEMENTS["feed.logs_since"]

HIDDEN_FOR = timedelta(seconds=15)  # transactions of writers that this login must not look at
PAGE_ROWS = 2000
PAGE_BYTES = 4 << 20
MAX_PEER_ID_LENGTH = 256

Names = dict[int, str]  # of nodes, by their keys


class Kind(NamedTuple):
    """Logs of one node that are compared at once: those of a type, or all of them."""

    peer: int
    type: str | None
    is_whole: bool


@dataclass(slots=True)
class Wanted:
    """What is listened to, of the nodes that are known."""

    names: Names
    pairs: dict[Kind, list[Pair]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, pairs: Iterable[Pair], names: Names) -> "Wanted":
        """The logs of these pairs."""
        wanted = cls(names)
        keys = {name: key for key, name in names.items()}
        for pair in pairs:
            if (key := keys.get(pair.peer_id)) is not None:
                wanted.pairs[Kind(key, pair.type, pair.msg is None)].append(pair)
        return wanted

    def sorted_out(self, rows: Sequence[Row]) -> list[tuple[Pair, LogRows]]:
        """Logs by the pairs that they belong to."""
        found: dict[Kind, list[Row]] = defaultdict(list)
        for row in rows:
            for kind in (Kind(row.peer_id, row.type, False), Kind(row.peer_id, None, True)):
                if kind in self.pairs:
                    found[kind].append(row)
        shared = [(pair, LogRows(rows)) for kind, rows in found.items() for pair in self.pairs[kind]]
        return [(pair, rows.with_msg(pair.msg)) for pair, rows in shared]


class Reader:
    """Gives up what takes longer than `timeout_s`. What it answers, PodiumError apart, is from the primary."""

    def __init__(self, db: Runner, timeout_s: float) -> None:
        self._db = db
        self._timeout_s = timeout_s

    async def clock(self) -> Row:
        """The database's time, and until when what was stored is settled."""
        (row,) = await self._fetch(CLOCK, hidden_for=HIDDEN_FOR)
        return row

    async def names(self, peer_ids: Iterable[str]) -> Names:
        """Those nodes among these that are known."""
        storable = [name for name in peer_ids if "\0" not in name and 0 < len(name) <= MAX_PEER_ID_LENGTH]
        rows = await self._fetch(PEERS, peer_ids=storable) if storable else []
        return {row.id: row.peer_id for row in rows}

    async def between(self, wanted: Wanted, after: Position, until: Position) -> list[Row]:
        """The first page of what was stored after one position and until another, in this order."""
        return await self._fetch(
            LOGS_BETWEEN,
            peers=list(wanted.names),
            types=sorted({kind.type for kind in wanted.pairs if kind.type is not None}),
            whole_peers=[kind.peer for kind in wanted.pairs if kind.is_whole],
            after=after.stored_at,
            after_id=after.id,
            **_bounded(until),
        )

    async def past(self, peer: int, type_: str | None, since: Position, until: Position) -> list[Row]:
        """The first page of what a node has said after some time of its own, as far as it was stored until then."""
        since_columns = {"since": since.stored_at, "since_id": since.id}
        return await self._fetch(LOGS_SINCE, peer=peer, type=type_, **since_columns, **_bounded(until))

    async def _fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._db.fetch(statement, **parameters)
        except TimeoutError:
            raise TimedOut("the database took too long") from None


def has_more(page: Sequence[Row]) -> bool:
    """Whether a page may not be the last one: a limit has cut it off."""
    return bool(page) and (page[0].found >= PAGE_ROWS or page[0].found > len(page))


def _bounded(until: Position) -> dict[str, Any]:
    limits = {"limit": PAGE_ROWS, "max_bytes": PAGE_BYTES}
    return {"until": until.stored_at, "until_id": until.id, **limits}
