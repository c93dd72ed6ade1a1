"""The audit log: what administrators did, who it was, and why."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.filters import Window
from resolvers.page import Page, PageRequest, page_of

ENTRIES = STATEMENTS["audit.entries"]
COUNT_ENTRIES = STATEMENTS["audit.count_entries"]
ENTRIES_BY_ID = STATEMENTS["audit.entries_by_id"]
NEWEST_ENTRIES = ENTRIES.pick(page="newest")
OLDEST_ENTRIES = ENTRIES.pick(page="oldest")

MAX_ENTRY_ID = 2**63 - 1

Action = Literal[
    "withdraw_stats",
    "restore_stats",
    "register_region",
    "rename_region",
    "link_peer",
    "set_stream_limit",
    "release_streams",
]


class EntryFilter(NamedTuple):
    """Conditions on entries that all hold; None holds for every entry."""

    action: Action | None = None
    actor: str | None = None
    window: Window = Window()

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of statements about entries."""
        window = self.window
        return {"action": self.action, "actor": self.actor, "since": window.since, "until": window.until}


async def entries_page(db: Runner, wanted: EntryFilter, request: PageRequest) -> Page[Row]:
    """A page of entries (id, recorded_at, actor, action, reason, affected, details), newest first."""
    statement = OLDEST_ENTRIES if request.backwards else NEWEST_ENTRIES
    cursor = _cursor(request)
    return page_of(await db.fetch(statement, **wanted.parameters, cursor=cursor, limit=request.size + 1), request)


async def count_entries(db: Runner, wanted: EntryFilter) -> int:
    """How many entries match."""
    return int(await db.fetchval(COUNT_ENTRIES, **wanted.parameters))


async def entries_by_id(db: Runner, ids: Sequence[int]) -> list[Row | None]:
    """The entries with these ids, in their order; None where there is none."""
    found = {row.id: row for row in await db.fetch(ENTRIES_BY_ID, ids=ids)}
    return [found.get(id_) for id_ in ids]


def _cursor(request: PageRequest) -> int | None:
    match request.cursor:
        case None:
            return None
        case [int(id_)] if 0 <= id_ <= MAX_ENTRY_ID:
            return id_
        case _:
            raise request.foreign_cursor()
