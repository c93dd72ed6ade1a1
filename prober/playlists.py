"""HLS playlists: what they list, or what is wrong with them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

import m3u8

from prober.problems import ProbeError
from prober.run import Reason

_SAID_ERROR = re.compile(r"^#EXT-X-ERROR:?[ \t]*(.*)$", re.MULTILINE)
SHOWN = 200
MAX_RENDITIONS = 32
MAX_LISTED = 5000


@dataclass(frozen=True, slots=True)
class Rendition:
    """A rendition that is listed, by WIDTHxHEIGHT where that is told; `also` is what its file is called."""

    name: str
    url: str
    also: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment in a playlist; `init_url` is of the part that fMP4 begins with. `begins_at` is in Unix seconds."""

    sequence: int
    url: str
    duration_s: float
    is_discontinuous: bool
    is_gap: bool
    is_encrypted: bool
    begins_at: float | None
    init_url: str | None


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """The segments of a rendition at a moment."""

    target_s: float
    first_sequence: int
    segments: tuple[Listed, ...]
    has_ended: bool

    @property
    def next_sequence(self) -> int:
        """What the next segment will have."""
        return self.first_sequence + len(self.segments)


def renditions_of(url: str, body: bytes) -> tuple[Rendition, ...]:
    """What a master playlist lists; a media playlist is its only rendition. ProbeError where it cannot be played."""
    playlist = _parsed(url, body)
    if not playlist.is_variant:
        return (Rendition(_stem(url), url, _stem(url)),)
    entries = [entry for entry in playlist.playlists if entry.uri][:MAX_RENDITIONS]
    if not entries:
        raise ProbeError(Reason.PLAYLIST_EMPTY, "the master playlist lists no rendition")
    try:
        return tuple(_named_apart([_rendition(url, entry) for entry in entries]))
    except ValueError:
        raise ProbeError(Reason.PLAYLIST_INVALID, "a rendition whose address cannot be read") from None


def segments_of(url: str, body: bytes) -> MediaPlaylist:
    """What a media playlist lists, nothing among it; ProbeError where it is none."""
    playlist = _parsed(url, body)
    if playlist.is_variant:
        raise ProbeError(Reason.PLAYLIST_INVALID, "a master playlist in the place of a rendition's")
    if any(segment.byterange for segment in playlist.segments):
        raise ProbeError(Reason.PLAYLIST_INVALID, "byte ranges, which are not played")
    whole = [segment for segment in playlist.segments if segment.uri]  # the last may be but parts so far
    listed = whole[-MAX_LISTED:]
    first = (playlist.media_sequence or 0) + len(whole) - len(listed)
    try:
        segments = tuple(_listed(url, first + place, segment) for place, segment in enumerate(listed))
        target_s = float(playlist.target_duration or max((segment.duration_s for segment in segments), default=0))
    except (TypeError, ValueError, OverflowError, AttributeError):
        raise ProbeError(Reason.PLAYLIST_INVALID, "a segment that cannot be read") from None
    return MediaPlaylist(target_s, first, segments, bool(playlist.is_endlist))


def _parsed(url: str, body: bytes) -> Any:
    text = body.decode("utf-8-sig", errors="replace").strip()
    if not text:
        raise ProbeError(Reason.PLAYLIST_EMPTY, "the playlist is empty")
    if said := _SAID_ERROR.search(text):
        raise ProbeError(Reason.PLAYLIST_ERROR, f"#EXT-X-ERROR: {said[1].strip()[:SHOWN]}")
    if not text.startswith("#EXTM3U"):
        raise ProbeError(Reason.PLAYLIST_INVALID, "what is answered is no playlist")
    try:
        return m3u8.loads(text)
    except Exception:  # of any kind: the parser converts numbers and times as it meets them
        raise ProbeError(Reason.PLAYLIST_INVALID, "the playlist cannot be read") from None


def _listed(url: str, sequence: int, segment: Any) -> Listed:
    begins_at: datetime | None = segment.current_program_date_time
    duration_s = float(segment.duration)
    if not 0 <= duration_s < 3600:
        raise ValueError("duration")
    return Listed(
        sequence=sequence,
        url=urljoin(url, segment.uri),
        duration_s=duration_s,
        is_discontinuous=bool(segment.discontinuity),
        is_gap=bool(segment.gap_tag),
        is_encrypted=bool(segment.key and segment.key.method and segment.key.method != "NONE"),
        begins_at=_unix_s(begins_at) if begins_at else None,
        init_url=urljoin(url, segment.init_section.uri) if segment.init_section else None,
    )


def _unix_s(time: datetime) -> float:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)


def _rendition(url: str, entry: Any) -> Rendition:
    found = urljoin(url, entry.uri)
    resolution = entry.stream_info.resolution
    name = "x".join(map(str, resolution))[:SHOWN] if resolution else _stem(found)
    return Rendition(name, found, _stem(found))


def _stem(url: str) -> str:
    path = PurePosixPath(urlsplit(url).path)
    return (path.stem if path.stem not in {"index", "playlist", ""} else path.parent.name)[:SHOWN] or "stream"


def _named_apart(renditions: Sequence[Rendition]) -> Iterator[Rendition]:
    """Those of one name get numbers, in the order in which they are listed."""
    seen: dict[str, int] = {}
    for rendition in renditions:
        count = seen[rendition.name] = seen.get(rendition.name, 0) + 1
        yield rendition if count == 1 else replace(rendition, name=f"{rendition.name}-{count}")
