"""Plays a stream: its master playlist, and every rendition that it lists."""

import asyncio
from collections.abc import Callable, Collection
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from prober.content_clock import ContentClock
from prober.fetching import Fetcher
from prober.following import Following
from prober.judge import RenditionView, View
from prober.limits import Limits
from prober.playlists import MAX_RENDITIONS, Rendition, renditions_of, segments_of
from prober.problems import ProbeError, Problem
from prober.rendition import RenditionProbe
from prober.run import Clock
from prober.stopping import end_tasks
from prober.tally import Tally

REMEMBERING_S = 5.0  # two looks, on new connections, from the other end of the world


class Playing:
    """A stream that is played, from before its push on, so that what is listed then is known to be old."""

    def __init__(
        self, url: str, variants: tuple[str, ...], fetcher: Fetcher, limits: Limits, tell: Callable[..., None]
    ) -> None:
        self.first_at: float | None = None
        self.good_segments = 0
        self.expected = variants
        self._is_configured = bool(variants)
        self._url = url
        self._fetcher = fetcher
        self._limits = limits
        self._tell = tell
        self._old: dict[str, Following] = {}  # by paths, since queries may be of a session
        self._listed: tuple[Rendition, ...] = ()
        self._problem: Problem | None = None
        self._well_since = monotonic()
        self._probes: dict[str, RenditionProbe] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def remember(self) -> None:
        """Look at what is listed already; where nothing can be had, there is nothing old."""
        try:
            async with asyncio.timeout(REMEMBERING_S):
                answer = await self._fetcher.get(self._url, self._limits.playlist)
                await asyncio.gather(*map(self._remember, renditions_of(answer.url, answer.body)))
        except (ProbeError, TimeoutError):
            return

    def start(self, make_clock: Callable[[], ContentClock]) -> None:
        """Begin to play."""
        self._well_since = monotonic()
        self._tasks.append(asyncio.create_task(self._look_all(make_clock)))

    def check(self) -> None:
        """Raise what a task has raised, all of which go on until they are stopped."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """Play no more, and close the figures."""
        await end_tasks(self._tasks)
        for probe in self._probes.values():
            probe.finish()

    def view(self, started_at: float) -> View:
        """How it is."""
        return View(
            now=monotonic(),
            started_at=started_at,
            first_at=self.first_at,
            master_problem=self._problem,
            well_since=self._well_since,
            absent=self._absent(),
            strangers=self._strangers(),
            renditions=self._views(),
        )

    def tallies(self) -> list[Tally]:
        """The figures of all renditions, the first listed first."""
        return [probe.tally for probe in self._probes.values()]

    def clock(self) -> Clock | None:
        """The best that was used."""
        used = {probe.clock.used for probe in self._probes.values()}
        return next((clock for clock in Clock if clock in used), None)

    async def _remember(self, rendition: Rendition) -> None:
        try:
            answer = await self._fetcher.get(rendition.url, self._limits.playlist)
            following = Following()
            following.look(segments_of(answer.url, answer.body))
        except ProbeError:
            return
        self._old[urlsplit(rendition.url).path] = following

    async def _look_all(self, make_clock: Callable[[], ContentClock]) -> None:
        while True:
            await self._look(make_clock)
            is_waiting = self.first_at is None
            await asyncio.sleep(self._limits.waiting_look_s if is_waiting else self._limits.master_look_s)

    async def _look(self, make_clock: Callable[[], ContentClock]) -> None:
        try:
            answer = await self._fetcher.get(self._url, self._limits.playlist)
            self._listed = renditions_of(answer.url, answer.body)
        except ProbeError as error:
            self._problem = error.problem
            return
        self._problem = None
        if self.first_at is None and not self._is_configured:
            self.expected = tuple(rendition.name for rendition in self._listed)
        if not self._absent():
            self._well_since = monotonic()
        for rendition in self._listed:
            self._play(rendition, make_clock)

    def _play(self, rendition: Rendition, make_clock: Callable[[], ContentClock]) -> None:
        if probe := self._probes.get(rendition.name):
            probe.listed_at(rendition.url)
            return
        if len(self._probes) >= MAX_RENDITIONS:  # names that change at every look
            return
        following = self._old.get(urlsplit(rendition.url).path, Following())
        probe = RenditionProbe(
            rendition.name, rendition.url, self._fetcher, make_clock(), following, self._limits, self._hear
        )
        self._probes[rendition.name] = probe
        self._tasks += [asyncio.create_task(probe.look_all()), asyncio.create_task(probe.download_all())]

    def _hear(self, event: str, **facts: Any) -> None:
        if event == "probe_segment":
            self.good_segments += 1
            if self.first_at is None:
                self.first_at = facts["at"]
        self._tell(event, **facts)

    def _views(self) -> list[RenditionView]:
        listed = {rendition.name for rendition in self._listed}
        return [probe.view(is_listed=name in listed) for name, probe in self._probes.items()]

    def _absent(self) -> Collection[str]:
        listed = {name for rendition in self._listed for name in (rendition.name, rendition.also)}
        return [name for name in self.expected if name not in listed]

    def _strangers(self) -> Collection[str]:
        return [
            rendition.name
            for rendition in self._listed
            if rendition.name not in self.expected and rendition.also not in self.expected
        ]
