"""What a run of a probe found out: the form in which everybody who is told of it gets it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import ceil


class Status(StrEnum):
    """How a run ended; an aborted one says nothing about the network."""

    SUCCESS = "success"
    FAILURE = "failure"
    ABORTED = "aborted"


class Reason(StrEnum):
    """Why a run failed: stable codes, explained in docs/probe.md."""

    PUSH_REFUSED = "push_refused"
    PUSH_DIED = "push_died"
    PUSH_HUNG = "push_hung"
    NO_FIRST_SEGMENT = "no_first_segment"
    PLAYLIST_UNREACHABLE = "playlist_unreachable"
    PLAYLIST_HTTP_ERROR = "playlist_http_error"
    PLAYLIST_ERROR = "playlist_error"
    PLAYLIST_EMPTY = "playlist_empty"
    PLAYLIST_INVALID = "playlist_invalid"
    ADDRESS_REFUSED = "address_refused"
    TOO_LARGE = "too_large"
    STALLED = "stalled"
    RENDITION_MISSING = "rendition_missing"
    RENDITION_RENAMED = "rendition_renamed"
    SEGMENTS_MISSED = "segments_missed"
    SEGMENTS_CORRUPT = "segments_corrupt"
    TOO_SLOW = "too_slow"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class Clock(StrEnum):
    """What told when the content of segments was sent, the best one first."""

    PICTURE = "picture"
    PROGRAM_DATE_TIME = "program_date_time"
    TIMESTAMPS = "timestamps"


@dataclass(frozen=True, slots=True)
class Spread:
    """How values lie, in seconds."""

    count: int
    least: float
    median: float
    mean: float
    p95: float
    most: float


@dataclass(frozen=True, slots=True)
class RenditionRun:
    """One rendition in a run; `name` is WIDTHxHEIGHT where the playlist tells it.

    `latency_s`: from when the last of a segment's content was sent until the segment could be seen in the playlist.
    `duration_s`: of what is in the segments; `declared_duration_s`: as the playlist says. `download_s` is their sum.
    A gap is a jump in the media sequence, so that segments came and went unseen; `missed` counts those too.
    """

    name: str
    segments_expected: int
    segments_received: int
    segments_missed: int
    segments_corrupt: int
    gaps: int
    discontinuities: int
    bytes: int
    download_s: float
    latency_s: Spread | None
    duration_s: Spread | None
    declared_duration_s: Spread | None


@dataclass(frozen=True, slots=True)
class Run:
    """A run from its start to its end. `reason` is None unless it failed; `detail` is for people, and has no secrets.

    `wanted_s`: for how long segments should keep coming. `startup_s`: from the start of the push to the first segment
    that could be played; None when there was none. `expected_renditions` are those that were
    configured, or else listed first.
    """

    id: str
    stream: str
    region: str | None
    ingest_region: str | None
    playback_region: str | None
    orchestrator: str | None
    started_at: datetime
    ended_at: datetime
    wanted_s: float
    status: Status
    reason: Reason | None
    detail: str | None
    startup_s: float | None
    clock: Clock | None
    expected_renditions: tuple[str, ...]
    renditions: tuple[RenditionRun, ...]

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def segments_expected(self) -> int:
        """Of all renditions."""
        return sum(rendition.segments_expected for rendition in self.renditions)

    @property
    def segments_received(self) -> int:
        """Those that were downloaded whole and can be played, of all renditions."""
        return sum(rendition.segments_received for rendition in self.renditions)

    @property
    def received_share(self) -> float:
        """Received segments by expected ones; 0 when none was expected."""
        return self.segments_received / self.segments_expected if self.segments_expected else 0.0

    @property
    def bytes(self) -> int:
        """Downloaded segments' bytes, of all renditions."""
        return sum(rendition.bytes for rendition in self.renditions)

    @property
    def gaps(self) -> int:
        """Jumps in the media sequences."""
        return sum(rendition.gaps for rendition in self.renditions)

    @property
    def discontinuities(self) -> int:
        """Those that playlists marked."""
        return sum(rendition.discontinuities for rendition in self.renditions)

    @property
    def latency_s(self) -> float | None:
        """The mean segment latency, of all renditions."""
        spreads = [rendition.latency_s for rendition in self.renditions if rendition.latency_s]
        count = sum(spread.count for spread in spreads)
        return sum(spread.mean * spread.count for spread in spreads) / count if count else None


def spread_of(values: Sequence[float]) -> Spread | None:
    """How values lie; None when there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return Spread(
        count=len(ordered),
        least=ordered[0],
        median=_ranked(ordered, 0.5),
        mean=sum(ordered) / len(ordered),
        p95=_ranked(ordered, 0.95),
        most=ordered[-1],
    )


def _ranked(ordered: Sequence[float], share: float) -> float:
    return ordered[ceil(share * len(ordered)) - 1]
