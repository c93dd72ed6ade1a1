"""Fragmented MP4 (CMAF): whether a segment is whole, and from when to when its pictures are."""

from collections.abc import Iterator
from dataclasses import dataclass

from prober.transport_stream import CorruptSegment, Span

_HAS_DATA_OFFSET, _HAS_FIRST_FLAGS = 0x01, 0x04
_HAS_DURATION, _OTHERS = 0x100, (0x200, 0x400, 0x800)
_OF_HEADER = {0x01: 8, 0x02: 4}  # what comes before the default duration in `tfhd`, by flag: bytes
_HAS_DEFAULT_DURATION = 0x08


@dataclass(frozen=True, slots=True)
class Track:
    """The track with the pictures, or the first one where there is none."""

    id: int
    hz: int
    sample_duration: int
    has_pictures: bool


def looks_like(data: bytes) -> bool:
    """Whether this begins as MP4 does."""
    return data[4:8] in {b"styp", b"moof", b"ftyp", b"sidx", b"emsg", b"prft", b"moov"}


def track_of(init: bytes) -> Track:
    """What the part says that every segment needs."""
    try:
        moov = _box(init, "moov")
        extends = {_u32(box, 4): _u32(box, 12) for mvex in _boxes(moov, "mvex") for box in _boxes(mvex, "trex")}
        tracks = [(_number(_box(trak, "tkhd")), *_media(trak)) for trak in _boxes(moov, "trak")]
        number, hz, has_pictures = next((track for track in tracks if track[2]), tracks[0])
    except (IndexError, ValueError):
        raise CorruptSegment("an init segment without tracks") from None
    if not hz:
        raise CorruptSegment("a track without a clock")
    return Track(number, hz, extends.get(number, 0), has_pictures)


def examine(data: bytes, track: Track) -> Span:
    """The span of a segment; CorruptSegment unless it is whole."""
    try:
        parts = [part for moof in _boxes(data, "moof") for part in _fragments(moof, track)]
        has_media = any(True for _ in _boxes(data, "mdat"))
    except (IndexError, ValueError):
        raise CorruptSegment("boxes that are not whole") from None
    if not parts or not has_media:
        raise CorruptSegment("no fragment of the video")
    begins = min(begin for begin, _, _ in parts)
    ends = max(begin + length for begin, length, _ in parts)
    return Span(begins / track.hz, ends / track.hz, sum(count for _, _, count in parts), track.has_pictures)


def _number(tkhd: bytes) -> int:
    return _u32(tkhd, 20 if tkhd[0] else 12)


def _media(trak: bytes) -> tuple[int, bool]:
    """How fast a track's clock is, and whether it is a video."""
    mdia = _box(trak, "mdia")
    mdhd, hdlr = _box(mdia, "mdhd"), _box(mdia, "hdlr")
    return _u32(mdhd, 20 if mdhd[0] else 12), hdlr[8:12] == b"vide"


def _fragments(moof: bytes, track: Track) -> Iterator[tuple[int, int, int]]:
    """Begin, length and number of samples of what a fragment has of the track."""
    for traf in _boxes(moof, "traf"):
        tfhd = _box(traf, "tfhd")
        if _u32(tfhd, 4) != track.id:
            continue
        tfdt = _box(traf, "tfdt")
        begin = int.from_bytes(tfdt[4:12]) if tfdt[0] else _u32(tfdt, 4)
        for trun in _boxes(traf, "trun"):
            length, count = _length(trun, _default_duration(tfhd, track))
            yield begin, length, count
            begin += length


def _default_duration(tfhd: bytes, track: Track) -> int:
    flags = int.from_bytes(tfhd[1:4])
    if not flags & _HAS_DEFAULT_DURATION:
        return track.sample_duration
    return _u32(tfhd, 8 + sum(size for flag, size in _OF_HEADER.items() if flags & flag))


def _length(trun: bytes, default: int) -> tuple[int, int]:
    flags, count = int.from_bytes(trun[1:4]), _u32(trun, 4)
    if not flags & _HAS_DURATION:
        return count * default, count
    start = 8 + 4 * bool(flags & _HAS_DATA_OFFSET) + 4 * bool(flags & _HAS_FIRST_FLAGS)
    size = 4 + 4 * sum(bool(flags & other) for other in _OTHERS)
    if start + count * size > len(trun):
        raise ValueError("samples")
    return sum(_u32(trun, start + place * size) for place in range(count)), count


def _box(data: bytes, wanted: str) -> bytes:
    """The contents of the first one; ValueError where there is none."""
    found = next(_boxes(data, wanted), None)
    if found is None:
        raise ValueError(wanted)
    return found


def _boxes(data: bytes, wanted: str) -> Iterator[bytes]:
    """The contents of the boxes of this name, not those inside of others; ValueError where one is cut short."""
    place, name = 0, wanted.encode()
    while place < len(data):
        size, head = _u32(data, place), 8
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16]), 16
        elif size == 0:
            size = len(data) - place
        if size < head or place + size > len(data):
            raise ValueError("size")
        if data[place + 4 : place + 8] == name:
            yield data[place + head : place + size]
        place += size


def _u32(data: bytes, place: int) -> int:
    if place + 4 > len(data):
        raise IndexError(place)
    return int.from_bytes(data[place : place + 4])
