"""Who listens to nodes: told of what any gateway stores, by one look for all, and none while nobody listens."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

from db.pool import Runner
from resolvers.errors import Internal, PodiumError, TooManySubscriptions
from resolvers.patience import opening
from resolvers.sources import Stream
from resolvers.telemetry.catching_up import CatchingUp
from resolvers.telemetry.listening import Listener, Listening
from resolvers.telemetry.live_rows import LogRows, Pair
from resolvers.telemetry.looking import Looking
from resolvers.telemetry.reader import Reader

MAX_LISTENING = 10_000
MAX_CATCHING_UP = 2  # that ask the database at once
PATIENCE_S = 1.5
BEHIND = 1000  # logs that a stream's reader has not taken

Event = TypeVar("Event")


class LogFeed:
    """All who listen to nodes in this process. `db` leads to the primary, with the login of those who store logs.

    It looks every `interval_s`; what takes the database longer than `timeout_s` is given up, and tried again.
    """

    def __init__(self, db: Runner, report: Callable[..., None], *, interval_s: float, timeout_s: float) -> None:
        self._reader = Reader(db, timeout_s)
        self._report = report
        self._interval_s = interval_s
        self._everybody: set[Listening] = set()
        self._live: dict[Pair, dict[Listening, None]] = {}
        self._turns = asyncio.Semaphore(MAX_CATCHING_UP)
        self._looking: Looking | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def number(self) -> int:
        """How many listen."""
        return len(self._everybody)

    @property
    def is_looking(self) -> bool:
        """Whether anybody listens."""
        return self._looking is not None

    @property
    def ready(self) -> int:
        """How many are told what is stored from now on."""
        is_up = self._looking is not None and self._looking.is_up.is_set()
        return sum(map(len, self._live.values())) if is_up else 0

    def listen(self, pair: Pair, listener: Listener, start: datetime | None = None) -> Listening:
        """Tell of what is stored of a pair from now on; where there is a `start`, of what the node has said after that,
        by its own clock, whenever that was stored. TooManySubscriptions when this process has enough of them.
        """
        if self.number >= MAX_LISTENING:
            raise TooManySubscriptions(
                f"this server has {MAX_LISTENING} subscriptions to nodes", hint="try again later"
            )
        looking = self._looking or self._start()
        asked_s = asyncio.get_running_loop().time()
        listening = Listening(pair, listener, asked_s=asked_s, start=start)
        self._everybody.add(listening)
        if start is None:
            listening.begin(looking.time_of(asked_s))
            self._admit(listening)
        else:
            catching_up = CatchingUp(self._reader, looking, listening, self._turns, self._report)
            listening.task = asyncio.create_task(catching_up.run(start, partial(self._admit, listening)))
        return listening

    def leave(self, listening: Listening) -> None:
        """Tell no more."""
        if listening.is_over:
            return
        listening.is_over = True
        if listening.task:
            listening.task.cancel()
        if listening.is_live:
            del self._live[listening.pair][listening]
            if not self._live[listening.pair]:
                del self._live[listening.pair]
        self._everybody.discard(listening)
        if not self.number and self._task:
            self._task.cancel()
            self._looking = None

    async def stream(self, pair: Pair, make: Callable[[LogRows], Sequence[Event]]) -> Stream[Event]:
        """What is made of the logs of a pair from now on, by round; Unavailable when they cannot be told of."""
        stream: Stream[Event] = Stream(lambda _: self.leave(listening))
        listening = self.listen(pair, _Streamed(stream, make))
        assert self._looking
        async with opening(stream, PATIENCE_S):
            await self._looking.is_up.wait()
        return stream

    async def close(self) -> None:
        """Tell nobody any more."""
        everybody = tuple(self._everybody)
        for listening in everybody:
            listening.listener.end()
            self.leave(listening)
        tasks = [task for task in (self._task, *(listening.task for listening in everybody)) if task]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _admit(self, listening: Listening) -> None:
        listening.is_live = True
        self._live.setdefault(listening.pair, {})[listening] = None

    def _start(self) -> Looking:
        self._looking = Looking(self._reader, self._live, self._report)
        self._task = asyncio.create_task(self._looking.run(self._interval_s))
        return self._looking


class _Streamed(Generic[Event]):
    """A stream as a listener."""

    def __init__(self, stream: Stream[Event], make: Callable[[LogRows], Sequence[Event]]) -> None:
        self.stream = stream
        self.make = make

    @property
    def is_behind(self) -> bool:
        return self.stream.waiting > BEHIND

    def deliver(self, rows: LogRows) -> None:
        try:
            self.stream.put(self.make(rows))
        except Exception:
            self.stream.end(Internal())  # rather than to be silent about what it misses
            raise

    def settled(self, at: datetime | None) -> None:
        """Nothing waits for it."""

    def away(self, error: PodiumError) -> None:
        """It is told later."""

    def end(self) -> None:
        self.stream.end()

    async def drained(self) -> None:
        """Nobody waits for it."""
