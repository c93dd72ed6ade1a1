"""What has changed, and when: a counter that every change of a table moves on, so that old answers are known."""

from collections.abc import Callable, Collection
from datetime import datetime
from time import monotonic

from db.statements import TABLES
from resolvers.announcements import changed_tables
from resolvers.shared_changes import SharedChanges

# The line is tried every second, and may take a second to answer.
TRUST_S = 2.5
PRESENT_S = 1.0


class Versions:
    """When each table was last changed, counted in changes. An audience of workers/listener.py.

    What this process writes is told by its pool, what others write by the line, and what other workers of this gateway
    write by memory that they share, at once. Without the line, or when it has not answered for `TRUST_S`, `are_heard`
    is false: others may have changed anything. `present_s` is for how long what is of the present may be used.
    """

    def __init__(
        self, clock: Callable[[], float] = monotonic, shared: SharedChanges | None = None, present_s: float = PRESENT_S
    ) -> None:
        self._shared = shared
        self.present_s = present_s
        self.moment = 0
        self._reads_are_fresh = True
        self._changed_at = dict.fromkeys(TABLES, 0)
        self._clock = clock
        self._trusted_until = 0.0

    @property
    def are_heard(self) -> bool:
        """Whether every change is known, but for those of other gateways in the last moments."""
        self.catch_up()
        return self._clock() < self._trusted_until and self._reads_are_fresh

    def wrote(self, tables: Collection[str]) -> None:
        """This process may have changed these tables."""
        if self._shared:
            self._shared.tell(tables)
        self.bump(tables)

    def catch_up(self) -> None:
        """Know what other workers have changed; asked for and not always, so that whoever compares moments in one go
        sees one state.
        """
        if self._shared and (tables := self._shared.news()):
            self.bump(tables)

    def bump(self, tables: Collection[str]) -> None:
        """These tables may have changed."""
        self.moment += 1
        for table in tables:
            self._changed_at[table] = self.moment

    def are_unchanged(self, tables: Collection[str], since: int) -> bool:
        """Whether none of these tables has changed since that moment."""
        return since == self.moment or all(self._changed_at[table] <= since for table in tables)

    def reads_lead_elsewhere(self, *, are_fresh: bool) -> None:
        """Questions are asked of another server from now on; not of a fresh one, if it is told of changes later."""
        if are_fresh != self._reads_are_fresh:
            self.bump(TABLES)  # so that nothing counts that was read before, in part or in whole
        self._reads_are_fresh = are_fresh

    def heard(self, channel: str, payload: str) -> None:
        """Something was announced."""
        self.bump(changed_tables(channel, payload))

    def line_answers(self, at: datetime) -> None:
        """The line works; everything announced before this time of the database's has been heard."""
        now = self._clock()
        if now >= self._trusted_until:
            self.bump(TABLES)
        self._trusted_until = now + TRUST_S

    def line_is_lost(self) -> None:
        """Nothing is heard from now on, until the line answers again."""
        self._trusted_until = 0.0
