"""One who listens to a node, as those who tell see it."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

from resolvers.errors import PodiumError
from resolvers.telemetry.live_rows import LogRows, Pair

Report = Callable[..., None]


class Listener(Protocol):
    """Who is told; only `drained` may wait."""

    @property
    def is_behind(self) -> bool:
        """Whether much of what was delivered was not taken yet."""

    def deliver(self, rows: LogRows) -> None:
        """Logs of the pair, shared with all others who listen to it."""

    def settled(self, at: datetime | None) -> None:
        """All that was stored until then was delivered; None while more of what was stored before is to come."""

    def away(self, error: PodiumError) -> None:
        """The database cannot be asked at the moment; nothing is lost."""

    def end(self) -> None:
        """The server stops."""

    async def drained(self) -> None:
        """Return when what was delivered has been taken."""


class Listening:
    """A listener's place. It is live when it gets what is read for all; before, one may catch up in a task."""

    def __init__(self, pair: Pair, listener: Listener, *, asked_s: float, start: datetime | None) -> None:
        self.pair = pair
        self.listener = listener
        self.asked_s = asked_s  # by the clock of the loop
        self.is_live = self.is_over = False
        self.task: asyncio.Task[None] | None = None
        self._start = start  # by the node's clock; None is from now on
        self._since: datetime | None = None

    @property
    def is_behind(self) -> bool:
        """Whether it is there, and has not taken much of what was delivered."""
        return self.listener.is_behind and not self.is_over

    def begin(self, at: datetime | None) -> None:
        """What is from now on is stored from this time of the database's clock on; None if it is not known yet."""
        if self._start is None:
            self._since = self._since or at

    def deliver(self, rows: LogRows, report: Report) -> None:
        """Hand over the logs that are from after its beginning."""
        wanted = rows.said_after(self._start) if self._start else rows
        wanted = wanted.stored_since(self._since) if self._since else wanted
        if wanted.rows:
            self._tell(partial(self.listener.deliver, wanted), report)

    def settled(self, at: datetime | None, report: Report) -> None:
        """All that was stored until then was delivered."""
        self._tell(partial(self.listener.settled, at), report)

    def away(self, error: PodiumError, report: Report) -> None:
        """The database is away."""
        self._tell(partial(self.listener.away, error), report)

    def _tell(self, tell: Callable[[], None], report: Report) -> None:
        if self.is_over:
            return
        try:
            tell()
        except Exception as error:  # it must not take the others along
            report("internal_error", error=error)
