"""What writing statements call out, read and remembered; pure."""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from db.statements import TABLES
from resolvers.page import from_micros

RESULTS_CHANNEL = "podium_results"
CHANGES_CHANNEL = "podium_changes"
CHANNELS = (RESULTS_CHANNEL, CHANGES_CHANNEL)
# A result is announced at its commit, which is at most this long after its time of recording: DB_TIMEOUT unless set.
COMMIT_TIME = timedelta(seconds=20)
MAX_KNOWN = 100_000

Id = TypeVar("Id")

_RESULTS = re.compile(r"(\d{1,18}) (\{[\d\[),]{3,}\})")
_RANGE = re.compile(r"\[(\d+),(\d+)\)")


def changed_tables(channel: str, payload: str) -> frozenset[str]:
    """The tables that have changed; all of them for a payload that podium does not send."""
    if channel == RESULTS_CHANNEL:
        return frozenset(("results",))
    return TABLES.intersection(payload.split()) or TABLES


class Announcement(NamedTuple):
    """Results of one transaction: their time of recording, and their ids as the text of an int8multirange."""

    recorded_at: datetime
    ids: str
    size: int


def announcement_of(payload: str) -> Announcement | None:
    """What is announced; None for a payload that podium does not send."""
    match = _RESULTS.fullmatch(payload)
    if match is None:
        return None
    count = sum(int(end) - int(start) for start, end in _RANGE.findall(match[2]))
    return Announcement(from_micros(int(match[1])), match[2], count)


def first_of(announcements: Sequence[Announcement], max_results: int) -> Sequence[Announcement]:
    """As many as have not more results, at least one where there is one."""
    total = 0
    for position, announcement in enumerate(announcements):
        total += announcement.size
        if total > max_results:
            return announcements[: max(position, 1)]
    return announcements


class Known(Generic[Id]):
    """The ids of results that were delivered lately: those that may come a second time after a line was lost."""

    def __init__(self) -> None:
        self._rounds: deque[tuple[datetime, list[Id]]] = deque()
        self._ids: set[Id] = set()

    @property
    def ids(self) -> list[Id]:
        """All of them."""
        return list(self._ids)

    def new(self, rows: Iterable[Any]) -> list[Any]:
        """Those rows that are not known yet, which are known from now on."""
        new = [row for row in rows if row.id not in self._ids]
        if new:
            ids = [row.id for row in new]
            self._ids.update(ids)
            self._rounds.append((max(row.recorded_at for row in new), ids))
        return new

    def forget_before(self, moment: datetime) -> None:
        """Forget what was recorded before, and the oldest where there is too much."""
        while self._rounds and (self._rounds[0][0] < moment or len(self._ids) > MAX_KNOWN):
            self._ids.difference_update(self._rounds.popleft()[1])


def columns(announcements: Sequence[Announcement]) -> dict[str, list[Any]]:
    """The parameters of the statement that reads them."""
    return {
        "recorded_ats": [announcement.recorded_at for announcement in announcements],
        "ids": [announcement.ids for announcement in announcements],
    }
