"""A probe: runs of one stream, one after the other; what comes of each is told to whoever wants to know."""

import asyncio
import gc
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from urllib.parse import urlsplit
from uuid import uuid4

from prober.addresses import AddressRule
from prober.clip import Clip
from prober.content_clock import ContentClock, Decoder
from prober.fetching import Fetcher
from prober.judge import fatal_problem, last_problem, present_problem, verdict
from prober.limits import Limits
from prober.playing import Playing
from prober.problems import Problem
from prober.push import Push, pushing
from prober.run import Reason, Run, Status
from prober.stopping import Stopping
from prober.streams import Stream

TICK_S = 0.5
REPORTING_S, HURRIED_S = 10.0, 1.0

Reporter = Callable[[Run], Awaitable[None]]
Report = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Tools:
    """What all probes share. `report` hears of every event at once, `reporters` get every run when it has ended."""

    clip: Clip
    decoder: Decoder
    tls: ssl.SSLContext
    report: Report
    reporters: Sequence[Reporter] = ()
    limits: Limits = field(default_factory=Limits)
    allowed: tuple[str, ...] = ()


class Probe:
    """Probes one stream; `stopping` ends the run that is under way, which is then aborted."""

    def __init__(self, stream: Stream, tools: Tools, stopping: Stopping) -> None:
        self._stream = stream
        self._tools = tools
        self._stopping = stopping
        self._tell = partial(tools.report, stream=stream.name)

    async def forever(self) -> None:
        """Run, pause, and again, until it is stopped."""
        while not self._stopping.is_wished:
            await self.once()
            gc.collect()  # cycles are left behind, with whole segments in some of them
            self._tell("probe_pauses", pause_s=self._stream.pause_s)
            await self._stopping.within(self._stream.pause_s)

    async def once(self) -> Run:
        """One run, told to everybody."""
        stream, rule = (
            self._stream,
            AddressRule(self._tools.allowed, urlsplit(self._stream.playback_url).hostname or ""),
        )
        self._tell("probe_started")
        started_at, began_at = datetime.now(UTC), monotonic()
        async with Fetcher(rule, self._tools.tls) as fetcher:
            playing = Playing(stream.playback_url, stream.variants, fetcher, self._tools.limits, self._tell)
            course = _Course(stream, self._tools, self._tell, playing)
            problem = await self._problem(course)
        took = timedelta(seconds=monotonic() - began_at)  # the clock may have been set meanwhile
        run = self._run(started_at, started_at + took, course, problem)
        await self._report(run)
        return run

    async def _problem(self, course: "_Course") -> Problem | None:
        """What went wrong; a mistake of our own is told like others, and does not end the probe."""
        try:
            return await course.take(self._stopping)
        except Exception as error:
            self._tell("internal_error", error=error)
            return Problem(Reason.INTERNAL, type(error).__name__)

    def _run(self, started_at: datetime, ended_at: datetime, course: "_Course", problem: Problem | None) -> Run:
        stream, playing = self._stream, course.playing
        is_whole = problem is not None or course.is_complete
        return Run(
            id=str(uuid4()),
            stream=stream.name,
            region=stream.region,
            ingest_region=stream.ingest_region,
            playback_region=stream.playback_region,
            orchestrator=stream.orchestrator,
            started_at=started_at,
            ended_at=ended_at,
            wanted_s=stream.duration_s,
            status=(Status.FAILURE if problem else Status.SUCCESS) if is_whole else Status.ABORTED,
            reason=problem.reason if problem else None,
            detail=problem.detail if problem else None,
            startup_s=course.startup_s,
            clock=playing.clock(),
            expected_renditions=playing.expected,
            renditions=tuple(tally.result() for tally in playing.tallies()),
        )

    async def _report(self, run: Run) -> None:
        """Tell of a run; whoever cannot be told, or takes too long for it, is no trouble to others."""
        self._tell("probe_ended", run=run)
        for reporter in self._tools.reporters:
            try:
                await asyncio.wait_for(reporter(run), HURRIED_S if self._stopping.is_wished else REPORTING_S)
            except Exception as error:
                self._tell("probe_report_failed", error=error)


class _Course:
    """The course of a run: it is complete when segments kept coming for as long as they should."""

    def __init__(self, stream: Stream, tools: Tools, tell: Callable[..., None], playing: Playing) -> None:
        self.playing = playing
        self.startup_s: float | None = None
        self.is_complete = False
        self._stream = stream
        self._tools = tools
        self._tell = tell
        self._good_before = 0

    async def take(self, stopping: Stopping) -> Problem | None:
        """Push and play; what went wrong, if anything did."""
        await stopping.during(self.playing.remember())
        tools, stream = self._tools, self._stream
        async with pushing(tools.decoder.ffmpeg, tools.clip, stream.ingest_url, tools.limits.push_silence_s) as push:
            self._tell("probe_pushes")
            make_clock = partial(ContentClock, tools.decoder, tools.clip, push.sent)
            self.playing.start(make_clock)
            try:
                problem = await self._watch(push, stopping)
            finally:
                await self.playing.stop()
        return problem or (verdict(self.playing.tallies()) if self.is_complete else None)

    async def _watch(self, push: Push, stopping: Stopping) -> Problem | None:
        while not await stopping.within(TICK_S):
            self.playing.check()
            if problem := push.problem or self._look(push):
                return problem
            if self._has_played_enough():
                self.is_complete = True
                return last_problem(self.playing.view(push.started_at), self._tools.limits)
        return None

    def _look(self, push: Push) -> Problem | None:
        view, limits = self.playing.view(push.started_at), self._tools.limits
        if view.first_at is not None and self.startup_s is None:
            self.startup_s = view.first_at - push.started_at
            self._tell("probe_first_segment", startup_s=self.startup_s)
        if problem := fatal_problem(view, limits, self._stream.wait_for_target_s):
            return problem
        if problem := present_problem(view, limits):
            self._tell("probe_sample", is_good=False, reason=problem.reason, detail=problem.detail)
        elif self.playing.good_segments > self._good_before:
            self._tell("probe_sample", is_good=True)
        self._good_before = self.playing.good_segments
        return None

    def _has_played_enough(self) -> bool:
        first_at = self.playing.first_at
        return first_at is not None and monotonic() - first_at >= self._stream.duration_s
