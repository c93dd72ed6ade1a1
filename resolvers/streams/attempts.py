"""Whether the database is there, as those found out who asked it last: so that others need not wait to be told."""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, TypeVar

from resolvers.errors import TimedOut, Unavailable

PATIENCE_S = 1.5
PAUSE_S = 0.1

Found = TypeVar("Found")


class Attempts:
    """Once an attempt has failed because of the database, whoever comes is refused at once, but for one every so often
    who tries again. No attempt is waited for longer than `PATIENCE_S`.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._next_trial_at: float | None = None
        self._is_trial = False
        self._abandoned: set[asyncio.Task[Any]] = set()

    @property
    def is_away(self) -> bool:
        """Whether the last attempt failed."""
        return self._next_trial_at is not None

    def admit(self) -> None:
        """Raise Unavailable for whoever must not try now."""
        if self._next_trial_at is None:
            return
        if self._clock() < self._next_trial_at:
            raise Unavailable
        self._next_trial_at = self._clock() + PATIENCE_S + PAUSE_S
        self._is_trial = True

    async def run(self, work: Callable[[], Coroutine[Any, Any, Found]]) -> Found:
        """What the work of those finds who were admitted; Unavailable where others have failed since."""
        if self.is_away and not self._is_trial:
            raise Unavailable
        self._is_trial = False
        try:
            found = await self._in_time(asyncio.create_task(work()))
        except Unavailable:
            self._next_trial_at = self._clock() + PAUSE_S
            raise
        except Exception:  # the database is there, and says so
            self._next_trial_at = None
            raise
        self._next_trial_at = None
        return found

    async def _in_time(self, task: asyncio.Task[Found]) -> Found:
        try:
            done, _ = await asyncio.wait((task,), timeout=PATIENCE_S)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            raise TimedOut("the database took too long")
        return task.result()

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        # Nobody waits: of a Postgres that hangs, even to cancel a statement has no end.
        self._abandoned.add(task)
        task.add_done_callback(self._forget)
        task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()
