"""MPEG transport streams: whether one is whole, and from when to when its pictures are.

Nothing is decoded: packets are looked through by slices, so that a megabyte takes about a millisecond.
"""

from collections.abc import Iterator
from functools import cache
from itertools import compress, pairwise
from typing import NamedTuple

PACKET = 188
SYNC = 0x47
CLOCK_HZ = 90_000
WRAP = 1 << 33
VIDEO_TYPES = frozenset({0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0xD1, 0xEA})
AUDIO_TYPES = frozenset({0x03, 0x04, 0x0F, 0x11, 0x81})
SHOWN_OUT_OF_ORDER = 16  # pictures that may be shown in another order than they come in, at most
_COUNTERS = bytes(range(16))
_PID_HIGH = bytes(byte & 0x1F for byte in range(256))
_BROKEN = bytes(bool(byte & 0x80) for byte in range(256))
_STARTS = bytes(bool(byte & 0x40) for byte in range(256))
_HAS_PAYLOAD = bytes(bool(byte & 0x10) for byte in range(256))
_COUNTER = bytes(byte & 0x0F for byte in range(256))


class CorruptSegment(Exception):
    """A segment that no player can play as it should; the message says what is wrong."""


class Span(NamedTuple):
    """From when to when the pictures of a segment are, or its sound where it has none, in seconds of its own clock."""

    begins_s: float
    ends_s: float
    pictures: int
    has_pictures: bool = True

    @property
    def duration_s(self) -> float:
        """How long they are."""
        return self.ends_s - self.begins_s


def examine(data: bytes) -> Span:
    """The span of a segment; CorruptSegment unless it is whole."""
    if not data or len(data) % PACKET:
        raise CorruptSegment(f"{len(data)} bytes are no whole number of packets")
    count = len(data) // PACKET
    if data[::PACKET].count(SYNC) != count:
        raise CorruptSegment("packets that do not begin as they should")
    flags, low, control = data[1::PACKET], data[2::PACKET], data[3::PACKET]
    if 1 in flags.translate(_BROKEN):
        raise CorruptSegment("packets that are marked as broken")
    pids = flags.translate(_PID_HIGH), low
    shown, has_pictures = _shown(data, *pids)
    of_shown = _packets_of(shown, *pids)
    _check_counters(data, _both(of_shown, control.translate(_HAS_PAYLOAD)), control)
    starts = [*compress(range(count), _both(of_shown, flags.translate(_STARTS)))]
    first, last = starts[:SHOWN_OUT_OF_ORDER], starts[SHOWN_OUT_OF_ORDER:][-SHOWN_OUT_OF_ORDER:]
    span = _span([time for place in (*first, *last) for time in _times(data, place * PACKET)], len(starts))
    return span._replace(has_pictures=has_pictures)


def _packets_of(pid: int, high: bytes, low: bytes) -> bytes:
    """1 for each packet with this PID, of whose halves there are all, and 0 for each other one."""
    return _both(high.translate(_is(pid >> 8)), low.translate(_is(pid & 0xFF)))


@cache
def _is(wanted: int) -> bytes:
    return bytes(byte == wanted for byte in range(256))


def _both(one: bytes, other: bytes) -> bytes:
    """1 where both are 1."""
    return (int.from_bytes(one) & int.from_bytes(other)).to_bytes(len(one))


def _shown(data: bytes, high: bytes, low: bytes) -> tuple[int, bool]:
    """What carries the pictures, or the sound where there are none, and which of them it is."""
    try:
        pat = _section(data, _packets_of(0, high, low).index(1) * PACKET)
        programs = [
            (pat[i] << 8 | pat[i + 1], (pat[i + 2] & 0x1F) << 8 | pat[i + 3]) for i in range(8, len(pat) - 4, 4)
        ]
        pmt_pid = next(pid for number, pid in programs if number)
        pmt = _section(data, _packets_of(pmt_pid, high, low).index(1) * PACKET)
        streams = [*_streams(pmt)]
        found = (
            (pid, kinds is VIDEO_TYPES)
            for kinds in (VIDEO_TYPES, AUDIO_TYPES)
            for kind, pid in streams
            if kind in kinds
        )
        return next(found)
    except (ValueError, IndexError, StopIteration):
        raise CorruptSegment("neither video nor audio") from None


def _section(data: bytes, start: int) -> bytes:
    """A table of one packet, as those of a program are."""
    place = _payload(data, start)
    place += 1 + data[place]
    length = (data[place + 1] & 0x0F) << 8 | data[place + 2]
    return data[place : min(place + 3 + length, start + PACKET)]


def _streams(pmt: bytes) -> Iterator[tuple[int, int]]:
    place = 12 + ((pmt[10] & 0x0F) << 8 | pmt[11])
    while place + 5 <= len(pmt) - 4:
        yield pmt[place], (pmt[place + 1] & 0x1F) << 8 | pmt[place + 2]
        place += 5 + ((pmt[place + 3] & 0x0F) << 8 | pmt[place + 4])


def _payload(data: bytes, start: int) -> int:
    has_adaptation = data[start + 3] & 0x20
    return start + 4 + (1 + data[start + 4] if has_adaptation else 0)


def _check_counters(data: bytes, carrying: bytes, control: bytes) -> None:
    """Each packet with a payload counts on; one may come twice, and one may say that it begins anew."""
    counters = bytes(compress(control, carrying)).translate(_COUNTER)
    rounds = len(counters) // 16 + 2
    if counters and (_COUNTERS * rounds)[counters[0] : counters[0] + len(counters)] == counters:
        return
    places = [*compress(range(len(control)), carrying)]
    for (before, counter), place in zip(pairwise(counters), places[1:], strict=True):
        if (counter - before) % 16 > 1 and not _begins_anew(data, place * PACKET):
            raise CorruptSegment("packets are missing")


def _begins_anew(data: bytes, start: int) -> bool:
    return bool(data[start + 3] & 0x20 and data[start + 4] and data[start + 5] & 0x80)


def _times(data: bytes, start: int) -> Iterator[int]:
    """The time at which the picture that begins in this packet is shown."""
    place = _payload(data, start)
    if place + 14 > start + PACKET or data[place : place + 3] != b"\x00\x00\x01":
        raise CorruptSegment("a picture that does not begin as it should")
    if data[place + 7] & 0x80:
        high, middle, low = data[place + 9], data[place + 10 : place + 12], data[place + 12 : place + 14]
        yield (high >> 1 & 7) << 30 | int.from_bytes(middle) >> 1 << 15 | int.from_bytes(low) >> 1


def _span(times: list[int], count: int) -> Span:
    """From the first and last times of as many pictures; the last one is shown for as long as one is on average."""
    if not times:
        raise CorruptSegment("no pictures with times")
    first = times[0]
    since = sorted((time - first + WRAP // 2) % WRAP - WRAP // 2 for time in times)
    least, most = since[0], since[-1]
    picture = (most - least) / (count - 1) if count > 1 else 0.0
    begins = (first + least) / CLOCK_HZ
    return Span(begins, begins + (most - least + picture) / CLOCK_HZ, count)
