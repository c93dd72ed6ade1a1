"""What an answer is made of, noted while it is made: tables, the present time, and who asks."""

from collections.abc import Awaitable, Callable, Collection
from functools import cache
from time import monotonic, perf_counter
from typing import Any, TypeVar

from db.pool import Row, Runner
from db.statements import ALWAYS_CHANGING, Statement
from resolvers.versions import Versions

# How long an answer may be used where nothing has changed, unless it is of the present: what is changed past podium, as
# by hand, is announced by nobody.
ANY_S = 60.0

Found = TypeVar("Found")


class Reads:
    """What one answer has read so far.

    `is_of_the_present` and `is_personal` say that it depends on the present time, and on who asks; `database_s` and
    `statements` how long it has waited for the database, waits at the same time added up, and how many times.
    """

    def __init__(self, versions: Versions, clock: Callable[[], float] = monotonic) -> None:
        self.is_of_the_present = False
        self.is_personal = False
        self.database_s = 0.0
        self.statements = 0
        self._versions = versions
        self._clock = clock
        self._began_at = clock()
        self._moments: dict[str, int] = {}  # at which each table was read first

    @property
    def tables(self) -> frozenset[str]:
        """The tables that were read."""
        return _one_set(frozenset(self._moments))

    @property
    def good_until(self) -> float:
        """When it is too old even if nothing changes, by the clock."""
        return self._began_at + (self._versions.present_s if self.is_of_the_present else ANY_S)

    def note(self, tables: Collection[str]) -> None:
        """These tables are about to be read."""
        if not ALWAYS_CHANGING.isdisjoint(tables):
            self.is_of_the_present = True
        for table in tables:
            self._moments.setdefault(table, self._versions.moment)

    def are_current(self) -> bool:
        """Whether all of it would be read the same again, as far as is known."""
        unchanged = (self._versions.are_unchanged((table,), moment) for table, moment in self._moments.items())
        return all(unchanged) and self._clock() < self.good_until


@cache
def _one_set(tables: frozenset[str]) -> frozenset[str]:
    """The same object for equal sets, as thousands of answers have them."""
    return tables


class NotingRunner:
    """Runs statements for an answer, and notes what they read."""

    def __init__(self, runner: Runner, reads: Reads) -> None:
        self._runner = runner
        self._reads = reads

    async def fetch(self, statement: Statement, **parameters: Any) -> list[Row]:
        """All rows."""
        return await self._noted(statement, self._runner.fetch(statement, **parameters))

    async def fetchrow(self, statement: Statement, **parameters: Any) -> Row | None:
        """The first row, None where there is none."""
        return await self._noted(statement, self._runner.fetchrow(statement, **parameters))

    async def fetchval(self, statement: Statement, **parameters: Any) -> Any:
        """The first column of the first row."""
        return await self._noted(statement, self._runner.fetchval(statement, **parameters))

    async def _noted(self, statement: Statement, found: Awaitable[Found]) -> Found:
        self._reads.note(statement.tables)
        self._reads.statements += 1
        began = perf_counter()
        try:
            return await found
        finally:
            self._reads.database_s += perf_counter() - began
