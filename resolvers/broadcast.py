"""Tells subscribers what was recorded, as soon as the database calls it out; nothing is kept while there are none."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.announcements import (
    COMMIT_TIME,
    RESULTS_CHANNEL,
    Announcement,
    Known,
    announcement_of,
    changed_tables,
    columns,
    first_of,
)
from resolvers.errors import Internal, MayHaveMissed, PodiumError, Unavailable
from resolvers.filters import StatFilter, Window
from resolvers.loops import Loops
from resolvers.patience import Deadline, opening
from resolvers.sources import Event, State, States, Stream

ANNOUNCED_RESULTS = STATEMENTS["results.announced_results"]
RESULTS_MISSED = STATEMENTS["results.results_missed"]

ROUND_S = 0.04  # what comes within it is read, executed and sent together
PATIENCE_S = 1.5
MAX_CAUGHT_UP = 1000
MAX_READ = 1000  # results in one round
MAX_PENDING = 10_000
MAX_COMPUTING = 2  # states at once


class Broadcast:
    """Who listens to what. `listen` makes the loop that hears announcements, which runs while anybody listens."""

    def __init__(
        self,
        db: Runner,
        listen: Callable[["Hearing"], Coroutine[Any, Any, None]],
        report: Callable[..., None],
    ) -> None:
        self._db = db
        self._listen = listen
        self._report = report
        self._streams = _Streams({}, set())
        self._hearing: Hearing | None = None
        # The connections of the primary are for what is stored and told, whatever is computed beside.
        self._computing = asyncio.Semaphore(MAX_COMPUTING)
        self._loops = Loops()

    @property
    def is_listening(self) -> bool:
        """Whether anybody listens."""
        return self._hearing is not None

    async def results(self, wanted: StatFilter) -> Stream[Row]:
        """The matching results from now on, by round; Unavailable when they cannot be heard of."""
        stream: Stream[Row] = Stream(self._leave)
        self._streams.results[stream] = wanted.matches()
        return await self._opened(stream)

    async def states(self, compute: Callable[[], Awaitable[State]]) -> States[State]:
        """What is computed from the results: now, and again when any was recorded or withdrawn."""
        changes: Stream[None] = Stream(self._leave)
        self._streams.changes.add(changes)

        async def compute_in_turn() -> State:
            async with self._computing:
                return await compute()

        return States(await self._opened(changes), compute_in_turn)

    async def close(self) -> None:
        """End all streams."""
        for stream in self._streams.all():
            await stream.aclose()
        await self._loops.ended()

    async def _opened(self, stream: Stream[Event]) -> Stream[Event]:
        if self._hearing is None:
            self._hearing = Hearing(self._db, self._streams, self._report)
            self._loops.start(self._listen(self._hearing), self._hearing.deliver_rounds())
        async with opening(stream, PATIENCE_S):
            await self._hearing.is_up.wait()
            stream.since = self._hearing.present_time()
        return stream

    def _leave(self, stream: Stream[Any]) -> None:
        self._streams.results.pop(stream, None)
        self._streams.changes.discard(stream)
        if self._hearing and not self._streams.all():
            self._loops.stop()
            self._hearing.close()
            self._hearing = None


class _Streams(NamedTuple):
    results: dict[Stream[Any], Callable[[Any], bool]]
    changes: set[Stream[Any]]

    def all(self) -> list[Stream[Any]]:
        return [*self.results, *self.changes]


class Hearing:
    """What is heard from the first subscriber's coming to the last one's leaving, and passed on in rounds."""

    def __init__(self, db: Runner, streams: _Streams, report: Callable[..., None]) -> None:
        self._db = db
        self._streams = streams
        self._report = report
        self.is_up = asyncio.Event()
        self._pending: list[Announcement] = []
        self._has_changed = False
        self._wake = asyncio.Event()
        self._known: Known[int] = Known()
        self._heard_until: datetime | None = None
        self._answered_at: datetime | None = None
        self._answered_at_s = 0.0  # by the clock of the loop
        self._gap: Window | None = None
        self._deadline = Deadline(PATIENCE_S, self._give_up)

    def heard(self, channel: str, payload: str) -> None:
        """Something was announced."""
        if "results" not in changed_tables(channel, payload):
            return
        announcement = announcement_of(payload) if channel == RESULTS_CHANNEL else None
        if announcement and self._streams.results:
            self._pending.append(announcement)
        self._has_changed = True
        self._wake.set()
        if len(self._pending) > MAX_PENDING:
            self._end_all(MayHaveMissed(self._pending[0].recorded_at, self._pending[-1].recorded_at))

    def present_time(self) -> datetime | None:
        """The database's time, as far as the line has told."""
        elapsed_s = asyncio.get_running_loop().time() - self._answered_at_s
        return self._answered_at and self._answered_at + timedelta(seconds=elapsed_s)

    def line_answers(self, at: datetime) -> None:
        """The line works; everything announced before this time of the database's has been heard."""
        if not self.is_up.is_set() and self._heard_until:
            self._gap = self._gap or Window(self._heard_until - COMMIT_TIME)
            self._has_changed = True
            self._wake.set()
        self._answered_at, self._answered_at_s = at, asyncio.get_running_loop().time()
        self.is_up.set()
        if self._gap:
            self._gap = replace(self._gap, until=at)
        else:
            self._heard_until = at
            self._known.forget_before(at - COMMIT_TIME)

    def line_is_lost(self) -> None:
        """Nothing is heard from now on, until the line answers again."""
        self.is_up.clear()
        self._deadline.set()

    async def deliver_rounds(self) -> None:
        """Pass on what is heard, until cancelled."""
        while True:
            await self._wake.wait()
            await self.is_up.wait()  # what a new line brings comes after what was missed before it
            self._wake.clear()
            self._deadline.set()
            try:
                await self._deliver_round()
            except PodiumError:  # what is pending stays so; when it lasts, the deadline ends it
                self._wake.set()
            except Exception as error:  # a loop outlives every failure, and nobody is left waiting
                self._report("internal_error", error=error)
                self._end_all(Internal())
            else:
                if self.is_up.is_set():
                    self._deadline.clear()
            if self._pending:
                self._wake.set()
            await asyncio.sleep(0 if len(self._pending) > MAX_READ else ROUND_S)

    def close(self) -> None:
        """Worry no more."""
        self._deadline.clear()

    async def _deliver_round(self) -> None:
        if self._gap:
            await self._catch_up(self._gap)
        if self._pending:
            await self._read()
        if self._has_changed:
            self._has_changed = False
            for stream in self._streams.changes:
                stream.put([None])

    async def _read(self) -> None:
        announced = first_of(self._pending, MAX_READ)
        self._pending = self._pending[len(announced) :]
        try:
            rows = await self._db.fetch(ANNOUNCED_RESULTS, **columns(announced))
        except PodiumError:
            self._pending = [*announced, *self._pending]
            raise
        self._deliver(rows)

    async def _catch_up(self, gap: Window) -> None:
        rows: Sequence[Row] = ()
        if self._streams.results:
            question = {"since": gap.since, "known_ids": self._known.ids, "limit": MAX_CAUGHT_UP + 1}
            rows = await self._db.fetch(RESULTS_MISSED, **question)
        self._gap = None
        if len(rows) > MAX_CAUGHT_UP:
            self._end_all(MayHaveMissed(gap.since, gap.until))
        else:
            self._deliver(rows, is_late=True)

    def _deliver(self, rows: Sequence[Row], *, is_late: bool = False) -> None:
        new = self._known.new(rows)
        for stream, matches in self._streams.results.items():
            # What is late may be from before somebody subscribed.
            told = [row for row in new if stream.since and row.recorded_at >= stream.since] if is_late else new
            stream.put([row for row in told if matches(row)])

    def _give_up(self) -> None:
        since = self._heard_until and self._heard_until - COMMIT_TIME
        self._end_all(Unavailable("the database is not available", details={"since": since}))

    def _end_all(self, error: PodiumError) -> None:
        self._pending = []
        for stream in self._streams.all():
            stream.end(error)
