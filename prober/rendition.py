"""Plays one rendition: looks at its playlist as often as it changes, and downloads every new segment once."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

from prober import fragmented_mp4, transport_stream
from prober.content_clock import ContentClock, OldContent
from prober.fetching import Answer, Fetcher
from prober.following import Following
from prober.judge import RenditionView, of_segment
from prober.limits import Limits
from prober.playlists import Listed, MediaPlaylist, segments_of
from prober.problems import ProbeError, Problem
from prober.run import Reason
from prober.tally import Tally
from prober.transport_stream import CorruptSegment, Span

LOOKS_A_SEGMENT = 8
LEAST_LOOK_S, MOST_LOOK_S = 0.1, 0.5
SURE_S = 0.3
EARLY_STEPS = 1.25
QUIET_S = 4.0
MOST_WAITING = 60
PACKED_AUDIO = b"ID3"  # what segments that are nothing but sound begin with


class _Seen(NamedTuple):
    """A segment that was seen in the playlist; `available_at` where that is known well enough."""

    listed: Listed
    at: float
    available_at: float | None


class RenditionProbe:
    """One rendition during a run; `tell` gets what was found of each segment."""

    def __init__(
        self,
        name: str,
        url: str,
        fetcher: Fetcher,
        clock: ContentClock,
        following: Following,
        limits: Limits,
        tell: Callable[..., None],
    ) -> None:
        self._url = url
        self.tally = Tally(name)
        self.clock = clock
        self._fetcher = fetcher
        self._following = following
        self._limits = limits
        self._tell = tell
        self._playlist_problem: Problem | None = None
        self._segment_problem: Problem | None = None
        self._news_at = self._looked_at = monotonic()
        self._body = b""
        self._target_s = 0.0
        self._segment_s = 0.0
        self._is_unsure = True
        self._has_begun = False
        self._rested_s = limits.waiting_look_s
        self._waiting: asyncio.Queue[_Seen] = asyncio.Queue(MOST_WAITING)
        self._init: tuple[str, bytes] = ("", b"")

    def view(self, *, is_listed: bool) -> RenditionView:
        """How it is."""
        return RenditionView(
            name=self.tally.name,
            is_listed=is_listed,
            quiet_since=self._news_at,
            target_s=self._target_s,
            playlist_problem=self._playlist_problem,
            segment_problem=self._segment_problem,
        )

    def listed_at(self, url: str) -> None:
        """It is listed there now. While it is well, it is played where it was: some servers name new sessions."""
        is_same = urlsplit(url).path == urlsplit(self._url).path
        if is_same or self._playlist_problem or monotonic() - self._news_at > max(QUIET_S, 1.25 * self._target_s):
            self._url = url

    async def look_all(self) -> None:
        """Look at the playlist until cancelled."""
        while True:
            await self._look()
            self._rested_s = self._rest_s()
            await asyncio.sleep(self._rested_s)

    async def download_all(self) -> None:
        """Download what is seen until cancelled."""
        while True:
            seen = await self._waiting.get()
            try:
                answer = await self._fetcher.get(seen.listed.url, self._limits.segment)
                await self._examine(seen.listed, answer, seen.available_at)
            except ProbeError as error:
                self._miss(of_segment(error.problem))
            except CorruptSegment as error:
                self._miss(Problem(Reason.SEGMENTS_CORRUPT, str(error)))
            except OldContent:
                continue  # of the push before this one

    def finish(self) -> None:
        """Count what waits for its download for too long as missed."""
        while not self._waiting.empty():
            seen = self._waiting.get_nowait()
            if monotonic() - seen.at > 1 + 2 * seen.listed.duration_s:
                self._miss(Problem(Reason.TOO_SLOW, "not downloaded in time"))

    async def _look(self) -> None:
        before, self._looked_at = self._looked_at, monotonic()
        try:
            answer = await self._fetcher.get(self._url, self._limits.playlist)
            self._playlist_problem = None
            if answer.body != self._body:
                self._read(segments_of(answer.url, answer.body), before)
                self._body = answer.body
        except ProbeError as error:
            self._playlist_problem = error.problem

    def _read(self, playlist: MediaPlaylist, before: float) -> None:
        """Take note of what is new, which became available between the last look and this one."""
        now = monotonic()
        self._is_unsure = self._rested_s > max(SURE_S, 1.1 * self._step_s())
        available_at = None if self._is_unsure else (before + now) / 2
        self._target_s = playlist.target_s
        news = self._following.look(playlist)
        self.tally.gaps += bool(news.skipped)
        self.tally.discontinuities += news.has_restarted
        for _ in range(min(news.skipped, MOST_WAITING)):
            self._miss(Problem(Reason.SEGMENTS_MISSED, "segments came and went unseen"))
        for listed in news.segments:
            self._news_at = now
            self._segment_s = listed.duration_s
            self.tally.discontinuities += listed.is_discontinuous
            self._take(listed, available_at)
        if not playlist.segments and not self.tally.expected:
            raise ProbeError(Reason.PLAYLIST_EMPTY, "the playlist lists no segments")

    def _take(self, listed: Listed, available_at: float | None) -> None:
        if listed.is_gap:
            if self._has_begun:  # else low-latency servers fill the list with them, since some players want a long one
                self._miss(Problem(Reason.SEGMENTS_MISSED, "a segment that is marked as missing"))
            return
        self._has_begun = True
        if self._waiting.full():
            self._miss(Problem(Reason.TOO_SLOW, "too many segments wait for their download"))
        else:
            self._waiting.put_nowait(_Seen(listed, monotonic(), available_at))

    def _rest_s(self) -> float:
        """Until the next look: somewhat before the next segment should come, then often."""
        if self._playlist_problem or not self._segment_s:
            return self._limits.waiting_look_s
        step_s = self._step_s()
        early_s = self._segment_s / 2 if self._is_unsure else EARLY_STEPS * step_s
        return max(step_s, self._news_at + self._segment_s - early_s - monotonic())

    def _step_s(self) -> float:
        return min(max(self._segment_s / LOOKS_A_SEGMENT, LEAST_LOOK_S), MOST_LOOK_S)

    async def _examine(self, listed: Listed, answer: Answer, available_at: float | None) -> None:
        downloaded_at = monotonic()
        data = answer.body
        span: Span | None = None
        if not listed.is_encrypted and not data.startswith(PACKED_AUDIO):
            data, span = await self._span(listed, answer.body)
        sent_at = await self.clock.sent_at(listed, span, data, may_be_old=not self.tally.received)
        self._segment_problem = None
        tally = self.tally
        tally.received += 1
        tally.bytes += len(answer.body)
        tally.download_s += answer.took_s
        tally.declared_s.append(listed.duration_s)
        latency_s = None if sent_at is None or available_at is None else available_at - sent_at
        duration_s = span.duration_s if span else None
        tally.latencies_s += [] if latency_s is None else [latency_s]
        tally.durations_s += [] if duration_s is None else [duration_s]
        self._tell(
            "probe_segment",
            rendition=tally.name,
            at=downloaded_at,
            latency_s=latency_s,
            duration_s=listed.duration_s if duration_s is None else duration_s,
        )

    async def _span(self, listed: Listed, data: bytes) -> tuple[bytes, Span]:
        """What a player is given, and when its pictures are."""
        if listed.init_url is None and not fragmented_mp4.looks_like(data):
            return data, transport_stream.examine(data)
        init = await self._init_of(listed)
        return init + data, fragmented_mp4.examine(data, fragmented_mp4.track_of(init or data))

    async def _init_of(self, listed: Listed) -> bytes:
        url = listed.init_url or ""
        if url and self._init[0] != url:
            self._init = url, (await self._fetcher.get(url, self._limits.segment)).body
        return self._init[1] if url else b""

    def _miss(self, problem: Problem) -> None:
        self._segment_problem = problem
        self.tally.missed[problem.reason] += 1
        self._tell("probe_segment_missed", rendition=self.tally.name, reason=problem.reason, detail=problem.detail)
