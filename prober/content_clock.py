"""When the content of segments was sent: by the clock in the picture, else by the playlist's, else by timestamps."""

import asyncio
import time
from dataclasses import dataclass
from time import monotonic

from prober.child import output_of
from prober.clip import Clip
from prober.picture_clock import frame_number, reading
from prober.playlists import Listed
from prober.run import Clock
from prober.send_times import SendTimes
from prober.transport_stream import CorruptSegment, Span

DECODING_S = 10.0
LOOKED_AT_EVERY = 29
JUMP_S = 0.5
AHEAD_S = 1.0
CLOCKS_APART_S = 5.0
OLD_FOR_S = 20.0  # what still comes later is not of an earlier push: its clock is another


class OldContent(Exception):
    """What was sent before this push, and comes out now."""


@dataclass(frozen=True, slots=True)
class Decoder:
    """An ffmpeg that shows the first picture of a segment; few at a time, so that they do not slow the pushes down."""

    ffmpeg: str
    turns: asyncio.Semaphore

    async def first_picture(self, data: bytes) -> bytes:
        """The cells of the clock; CorruptSegment where no picture can be decoded, nothing where it takes too long."""
        async with self.turns:
            try:
                output = await output_of(reading(self.ffmpeg), given=data, within_s=DECODING_S)
            except TimeoutError:
                return b""
        if output.status or not output.printed:
            raise CorruptSegment("its first picture cannot be decoded")
        return output.printed


class ContentClock:
    """The clock of one rendition.

    The picture is decoded at first, whenever timestamps jump, and from time to time; in between, timestamps go on from
    what it said. So neither where they begin nor how the content was transcoded makes a difference.
    """

    def __init__(self, decoder: Decoder, clip: Clip, sent: SendTimes) -> None:
        self.used: Clock | None = None
        self._decoder = decoder
        self._clip = clip
        self._sent = sent
        self._begins_s: float | None = None
        self._expected_s = 0.0
        self._until_look = 0
        self._began_at = monotonic()
        self._content_from_s: float | None = None  # what to add to timestamps
        self._is_apart = False

    async def sent_at(self, listed: Listed, span: Span | None, data: bytes, *, may_be_old: bool) -> float | None:
        """When the last of a segment was sent, by `monotonic`; None where nothing tells.

        OldContent where it `may_be_old` and was sent before this push.
        """
        if span is not None and span.has_pictures:
            await self._look(listed, span, data)
            if self._content_from_s is not None:
                self.used = Clock.PICTURE
                ends_s = span.ends_s + self._content_from_s
                self._refuse_old(may_be_old and ends_s > self._sent.sent_s + AHEAD_S)
                return self._sent.sent_at(ends_s)
        if listed.begins_at is not None:
            duration_s = span.duration_s if span else listed.duration_s
            return self._by_playlist(listed.begins_at + duration_s - time.time() + monotonic(), may_be_old=may_be_old)
        if span is None:
            return None
        self.used = Clock.TIMESTAMPS
        self._begins_s = span.begins_s if self._begins_s is None else self._begins_s
        return self._sent.sent_at(span.ends_s - self._begins_s)

    def _by_playlist(self, sent_at: float, *, may_be_old: bool) -> float | None:
        is_old = may_be_old and sent_at < self._began_at - CLOCKS_APART_S
        self._is_apart |= is_old and monotonic() - self._began_at > OLD_FOR_S
        if self._is_apart:
            return None
        self._refuse_old(is_old)
        self.used = Clock.PROGRAM_DATE_TIME
        return sent_at

    def _refuse_old(self, is_old: bool) -> None:
        if is_old:
            self._until_look, self._content_from_s = 0, None
            raise OldContent

    async def _look(self, listed: Listed, span: Span, data: bytes) -> None:
        is_continuous = abs(span.begins_s - self._expected_s) < JUMP_S and not listed.is_discontinuous
        self._expected_s = span.ends_s
        if is_continuous and self._until_look > 0:
            self._until_look -= 1
            return
        number = frame_number(await self._decoder.first_picture(data))
        self._until_look = LOOKED_AT_EVERY
        if number is not None and self._clip.fps:
            self._content_from_s = self._content_s(number / self._clip.fps) - span.begins_s
        elif not is_continuous:
            self._content_from_s = None

    def _content_s(self, place_s: float) -> float:
        """How long after the start of the push a place in the clip was sent, the last time that it was."""
        rounds = max(0.0, self._sent.sent_s + AHEAD_S - place_s) // self._clip.loop_s
        return rounds * self._clip.loop_s + place_s
