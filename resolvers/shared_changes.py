"""What the workers of one gateway have changed, counted in memory that all of them see at once."""

from collections.abc import Collection

from db.statements import TABLES

COUNT_BYTES = 8
ORDER = sorted(TABLES)
ROW_BYTES = COUNT_BYTES * len(ORDER)


def size_bytes(workers: int) -> int:
    """How much memory so many workers share."""
    return ROW_BYTES * workers


class SharedChanges:
    """The counts of all workers, by worker and table. Each writes its own row only, so that none needs a lock.

    What is told before a post is acknowledged is seen by whoever asks after that, on any worker. Without it they would
    hear of it from Postgres, which is some milliseconds later.
    """

    def __init__(self, memory: memoryview, row: int) -> None:
        start = row * len(ORDER)
        self._own = memory.cast("Q")[start : start + len(ORDER)]
        self._without_own = memory[: row * ROW_BYTES], memory[(row + 1) * ROW_BYTES :]
        self._seen = self._now()

    def tell(self, tables: Collection[str]) -> None:
        """This worker may have changed these tables."""
        for position, table in enumerate(ORDER):
            if table in tables:
                self._own[position] += 1

    def news(self) -> Collection[str]:
        """The tables that others have changed since this was asked last."""
        now, seen = self._now(), self._seen
        if now == seen:
            return ()
        self._seen = now
        changed = (place for place in range(0, len(now), COUNT_BYTES) if _differ(now, seen, place))
        return {ORDER[place % ROW_BYTES // COUNT_BYTES] for place in changed}

    def _now(self) -> bytes:
        before, after = self._without_own
        return before.tobytes() + after.tobytes()


def _differ(now: bytes, seen: bytes, place: int) -> bool:
    return now[place : place + COUNT_BYTES] != seen[place : place + COUNT_BYTES]
