"""Tells subscribers which runs of the prober were stored, as soon as the database calls it out; it polls for nobody."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.announcements import COMMIT_TIME, Known, changed_tables
from resolvers.errors import Internal, MayHaveMissed, PodiumError, Unavailable
from resolvers.loops import Loops
from resolvers.patience import Deadline, opening
from resolvers.probes import ProbeFilter
from resolvers.sources import Stream

RUNS_STORED = STATEMENTS["probes.runs_stored"]
PATIENCE_S = 1.5
ROUND_S = 0.04
MAX_READ = 1000  # in one round, also after the database was away


class ProbeFeed:
    """Who wants to know of which runs. `listen` makes the loop that hears of them, which runs while anybody does."""

    def __init__(
        self,
        db: Runner,
        listen: Callable[["RunHearing"], Coroutine[Any, Any, None]],
        report: Callable[..., None],
    ) -> None:
        self._db = db
        self._listen = listen
        self._report = report
        self._streams: dict[Stream[Any], Callable[[Any], bool]] = {}
        self._hearing: RunHearing | None = None
        self._loops = Loops()

    @property
    def is_listening(self) -> bool:
        """Whether anybody listens."""
        return self._hearing is not None

    async def runs(self, wanted: ProbeFilter) -> Stream[Row]:
        """The matching runs that are stored from now on, by round; Unavailable when they cannot be heard of."""
        stream: Stream[Row] = Stream(self._leave)
        self._streams[stream] = wanted.matches
        if self._hearing is None:
            self._hearing = RunHearing(self._db, self._streams, self._report)
            self._loops.start(self._listen(self._hearing), self._hearing.deliver())
        async with opening(stream, PATIENCE_S):
            await self._hearing.is_ready.wait()
        return stream

    async def close(self) -> None:
        """End all subscriptions."""
        for stream in list(self._streams):
            await stream.aclose()
        await self._loops.ended()

    def _leave(self, stream: Stream[Any]) -> None:
        self._streams.pop(stream, None)
        if self._hearing and not self._streams:
            self._loops.stop()
            self._hearing.close()
            self._hearing = None


class RunHearing:
    """What is heard from the first subscriber's coming to the last one's leaving.

    Each time it is read what was stored lately and is not known: so it does not matter what was called out while there
    was no line, and in which order transactions ended.
    """

    def __init__(
        self, db: Runner, streams: dict[Stream[Any], Callable[[Any], bool]], report: Callable[..., None]
    ) -> None:
        self._db = db
        self._streams = streams
        self._report = report
        self.is_ready = asyncio.Event()
        self._is_up = asyncio.Event()
        self._has_news = asyncio.Event()
        self._known: Known[str] = Known()
        self._line_at: datetime | None = None
        self._read_until: datetime | None = None
        self._deadline = Deadline(PATIENCE_S, self._give_up)

    def heard(self, channel: str, payload: str) -> None:
        """Something was announced."""
        if "probe_runs" in changed_tables(channel, payload):
            self._has_news.set()

    def line_answers(self, at: datetime) -> None:
        """The line works; everything announced before this time of the database's has been heard."""
        self._line_at = at
        if not self._is_up.is_set():
            self._is_up.set()
            self._has_news.set()

    def line_is_lost(self) -> None:
        """Nothing is heard from now on, until the line answers again."""
        self._is_up.clear()
        self._deadline.set()

    async def deliver(self) -> None:
        """Pass on what is stored, until cancelled."""
        while True:
            await self._has_news.wait()
            await self._is_up.wait()
            self._has_news.clear()
            self._deadline.set()
            try:
                await self._read()
            except PodiumError:  # when it lasts, the deadline ends it
                self._has_news.set()
            except Exception as error:  # a loop outlives every failure, and nobody is left waiting
                self._report("internal_error", error=error)
                self._end_all(Internal())
            else:
                if self._is_up.is_set():
                    self._deadline.clear()
            await asyncio.sleep(ROUND_S)

    def close(self) -> None:
        """Worry no more."""
        self._deadline.clear()

    async def _read(self) -> None:
        at, since = self._line_at, self._read_until or self._line_at
        assert at is not None
        assert since is not None
        rows = await self._db.fetch(
            RUNS_STORED, since=since - COMMIT_TIME, known_ids=self._known.ids, limit=MAX_READ + 1
        )
        if len(rows) > MAX_READ:
            self._end_all(MayHaveMissed(since - COMMIT_TIME, at))
        new = self._known.new(rows)
        if self._read_until is not None:  # else they were stored before anybody listened
            for stream, matches in self._streams.items():
                stream.put([row for row in new if matches(row)])
        self._read_until = at
        self._known.forget_before(at - COMMIT_TIME)
        self.is_ready.set()

    def _give_up(self) -> None:
        since = self._read_until and self._read_until - COMMIT_TIME
        self._end_all(Unavailable("the database is not available", details={"since": since}))

    def _end_all(self, error: PodiumError) -> None:
        for stream in list(self._streams):
            stream.end(error)
