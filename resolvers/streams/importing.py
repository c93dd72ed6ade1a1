"""Brings over what a Redis of the original canWatch holds; safe to interrupt, and to repeat."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from db.pool import Pool
from db.statements import STATEMENTS
from resolvers.leaderboard_import import Counts, Refusal
from resolvers.streams.deciding import MAX_ID_LENGTH
from resolvers.streams.original import Original

WAIT_FOR_OTHERS = STATEMENTS["streams_import.wait_for_others"]
STORE_STREAMS = STATEMENTS["streams_import.store_streams"]
STORE_VIEWERS = STATEMENTS["streams_import.store_viewers"]
STORE_ACTIVE = STATEMENTS["streams_import.store_active"]


class Taken(NamedTuple):
    """What became of some viewers, and of what they watch; how much was ended at the original since the last import."""

    viewers: Counts = Counts()
    active: Counts = Counts()
    ended: int = 0

    def plus(self, other: "Taken") -> "Taken":
        """The sum of both."""
        return Taken(self.viewers.plus(other.viewers), self.active.plus(other.active), self.ended + other.ended)


class StreamsImport:
    """One run of an import. What is watched has a lease from now on, where there are leases.

    `report` is told `table_opened` (table, rows to read), `rows_taken` (table, Counts of a batch) and `row_refused`
    (Refusal).
    """

    def __init__(self, original: Original, db: Pool, lease_s: float | None, report: Callable[..., None]) -> None:
        self._original = original
        self._db = db
        self._lease_s = lease_s
        self._report = report

    async def run(self) -> tuple[dict[str, Counts], int]:
        """Import everything; what was read, by kind, and how much ended that an earlier run has started."""
        streams, taken = await self._import_streams(), await self._import_viewers()
        return {"streams": streams, "viewers": taken.viewers, "active": taken.active}, taken.ended

    async def _import_streams(self) -> Counts:
        total, key = Counts(), self._original.streams
        self._report("table_opened", table="streams", rows=await self._original.count(key))
        async for ids in self._original.ids(key):
            known = self._known("streams", ids)
            new = await self._db.fetchval(STORE_STREAMS, ids=list(known.values()))
            total = total.plus(self._told("streams", _counts(ids, known, new)))
        return total

    async def _import_viewers(self) -> Taken:
        total, key = Taken(), self._original.users
        self._report("table_opened", table="viewers", rows=await self._original.count(key))
        async for ids in self._original.ids(key):
            known = self._known("viewers", ids)
            taken = await self._store(ids, known, await self._watched(known))
            self._told("viewers", taken.viewers)
            total = total.plus(taken)
        return total

    async def _watched(self, known: dict[bytes, str]) -> dict[str, list[bytes]]:
        """What each viewer watches; without those of whom that cannot be told."""
        found = await self._original.watched(list(known))
        for viewer, streams in zip(known.values(), found, strict=True):
            if streams is None:
                self._refuse("active", viewer, "what has this key is no set")
        return {viewer: streams for viewer, streams in zip(known.values(), found, strict=True) if streams is not None}

    async def _store(self, ids: Sequence[bytes], known: dict[bytes, str], watched: dict[str, list[bytes]]) -> Taken:
        streams = {viewer: self._known("active", found) for viewer, found in watched.items()}
        pairs = [(viewer, stream) for viewer, found in streams.items() for stream in found.values()]
        async with self._db.transaction() as transaction:
            await transaction.fetch(WAIT_FOR_OTHERS)
            new = await transaction.fetchval(STORE_VIEWERS, ids=list(known.values()))
            changed = await transaction.fetchrow(
                STORE_ACTIVE,
                ids=list(watched),
                viewers=[viewer for viewer, _ in pairs],
                streams=[stream for _, stream in pairs],
                lease_s=self._lease_s,
            )
        started, ended = changed or (0, 0)
        read, unreadable = sum(map(len, watched.values())), len(known) - len(watched)
        refused = read - len(pairs) + unreadable
        active = Counts(read + unreadable, started, len(pairs) - started, refused)
        return Taken(_counts(ids, known, new), active, ended)

    def _known(self, table: str, ids: Sequence[bytes]) -> dict[bytes, str]:
        """Those that can be ids here, as they are here."""
        return dict(self._readable(table, ids))

    def _readable(self, table: str, ids: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
        for id_ in ids:
            text = id_.decode(errors="backslashreplace")
            if why := _wrong(id_, text):
                self._refuse(table, text[:MAX_ID_LENGTH], why)
            else:
                yield id_, text

    def _refuse(self, table: str, id_: str, reason: str) -> None:
        self._report("row_refused", refusal=Refusal(table, id_, reason, None))

    def _told(self, table: str, counts: Counts) -> Counts:
        self._report("rows_taken", table=table, counts=counts)
        return counts


def _wrong(id_: bytes, text: str) -> str | None:
    if not 1 <= len(text) <= MAX_ID_LENGTH:
        return f"an id has 1 to {MAX_ID_LENGTH} characters"
    return "an id is UTF-8, without NUL" if b"\0" in id_ or text.encode() != id_ else None


def _counts(ids: Sequence[bytes], known: dict[bytes, str], new: int) -> Counts:
    return Counts(len(ids), imported=new, present=len(known) - new, refused=len(ids) - len(known))
