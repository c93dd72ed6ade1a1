"""Looks at what has been stored since the last look, page after page, and hands it to those who listen."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from resolvers.errors import PodiumError
from resolvers.telemetry.listening import Listening
from resolvers.telemetry.live_rows import LogRows, Pair, Position
from resolvers.telemetry.reader import Reader, Wanted, has_more

# A transaction has a time for a moment before others can see that it has begun.
MARGIN = timedelta(milliseconds=100)
STEP = timedelta(seconds=1)  # by which the database's clock goes back only when somebody sets it
PATIENCE_S = 0.25  # with those who are behind
PAUSE_S = 0.005
MAX_TOLD = 100  # listeners at once; then other work has its turn

Live = Mapping[Pair, Mapping[Listening, None]]


class Looking:
    """From the first listener's coming to the last one's leaving: how far was read, and what is read next."""

    def __init__(self, reader: Reader, live: Live, report: Callable[..., None]) -> None:
        self._reader = reader
        self._live = live
        self._report = report
        self._started_s = asyncio.get_running_loop().time()
        self._told: tuple[datetime, float] | None = (
            None  # the database's time, and when by the loop's clock it was told
        )
        self._position: Position | None = None
        self._is_away = False
        self._slow: set[Listening] = set()
        self.is_up = asyncio.Event()
        self.is_idle = asyncio.Event()  # nothing is being read: what is read next is after `position`
        self.is_idle.set()

    @property
    def position(self) -> Position:
        """How far was read for all."""
        assert self._position, "asked before it is up"
        return self._position

    def time_of(self, loop_s: float) -> datetime | None:
        """The database's time at one of the loop's, rather too early than too late; None before it is known."""
        if self._told is None:
            return None
        present, told_s = self._told
        return present + timedelta(seconds=loop_s - told_s)

    async def run(self, interval_s: float) -> None:
        """Look until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            began_s = clock()
            try:
                await self._look()
                self._is_away = False
            except PodiumError as error:  # what was not read yet is read next time
                self._report("feed_failed", error=error)
                self._tell_away(error)
            except Exception as error:  # a loop outlives every failure
                self._report("internal_error", error=error)
            await asyncio.sleep(max(0.0, began_s + interval_s - clock()))

    async def _look(self) -> None:
        until = await self._settled()
        self.is_idle.clear()
        try:
            names = await self._reader.names({pair.peer_id for pair in self._live})
            await self._read(Wanted.of(self._live, names), until)
        finally:
            self.is_idle.set()
        for listening in self._all():
            listening.settled(until.stored_at, self._report)

    async def _settled(self) -> Position:
        """Until when all that was stored can be read, by statements that begin from now on."""
        row = await self._reader.clock()
        has_stepped = self._told is not None and row.present < self._told[0] - STEP
        self._told = row.present, asyncio.get_running_loop().time()
        until = Position(row.settled - MARGIN)
        if self._position is None:
            began_at = self.time_of(self._started_s)
            self._position = min(until, Position(began_at)) if began_at else until
        elif has_stepped and until < self._position:
            self._report("feed_clock_stepped", back_to=until.stored_at)
            self._position = until
        for listening in self._all():
            listening.begin(self.time_of(listening.asked_s))
        self.is_up.set()
        return until

    async def _read(self, wanted: Wanted, until: Position) -> None:
        while wanted.pairs and self.position < until:
            page = await self._reader.between(wanted, self.position, until)
            # Before anything else is awaited: whoever begins here gets nothing of this page, and all of the next.
            self._position = Position(page[-1].stored_at, page[-1].id) if has_more(page) else until
            told = await self._deliver(wanted.sorted_out(page))
            if self.position < until:
                await self._wait_for(told)
        self._position = max(self.position, until)

    async def _deliver(self, sorted_out: list[tuple[Pair, LogRows]]) -> list[Listening]:
        told = [(listening, rows) for pair, rows in sorted_out for listening in self._live.get(pair, ())]
        for number, (listening, rows) in enumerate(told, 1):
            listening.deliver(rows, self._report)
            if number % MAX_TOLD == 0:
                await asyncio.sleep(0)
        return [listening for listening, _ in told]

    async def _wait_for(self, told: list[Listening]) -> None:
        """When much is to be told at once, let those read who do; others are waited for once, until they have read."""
        deadline_s = asyncio.get_running_loop().time() + PATIENCE_S
        self._slow = {listening for listening in self._slow if listening.is_behind}
        behind = [listening for listening in told if listening not in self._slow]
        while behind := [listening for listening in behind if listening.is_behind]:
            if asyncio.get_running_loop().time() > deadline_s:
                self._slow.update(behind)
                return
            await asyncio.sleep(PAUSE_S)

    def _tell_away(self, error: PodiumError) -> None:
        if not self._is_away:
            self._is_away = True
            for listening in self._all():
                listening.away(error, self._report)

    def _all(self) -> list[Listening]:
        return [listening for listeners in self._live.values() for listening in listeners]
