"""When content was sent: notes of a push, and the clocks that tell which content it is."""

import asyncio
import time
from time import monotonic

import pytest

from prober import content_clock
from prober.clip import Clip
from prober.content_clock import ContentClock, Decoder, OldContent
from prober.picture_clock import COLUMNS, ROWS, SAMPLES, frame_number
from prober.playlists import Listed
from prober.run import Clock
from prober.send_times import KEPT, SendTimes
from prober.transport_stream import Span


def _sent(*notes: tuple[float, float]) -> SendTimes:
    times = SendTimes()
    for content_s, at in notes:
        times.note(content_s, at)
    return times


def _listed(begins_at: float | None = None) -> Listed:
    return Listed(
        sequence=1,
        url="",
        duration_s=2.0,
        is_discontinuous=False,
        is_gap=False,
        is_encrypted=False,
        begins_at=begins_at,
        init_url=None,
    )


def test_content_between_two_notes_was_sent_between_them() -> None:
    times = _sent((1.0, 101.0), (2.0, 102.0), (3.0, 105.0))
    assert [times.sent_at(content) for content in (0.5, 1.0, 1.5, 2.5, 3.0, 4.0)] == [
        100.5,
        101,
        101.5,
        103.5,
        105,
        106,
    ]


def test_content_that_is_not_sent_yet_or_not_known_any_more_has_no_time() -> None:
    assert SendTimes().sent_at(0.0) is None
    assert _sent((1.0, 101.0)).sent_at(9.0) is None
    assert _sent(*((float(second), 100.0 + second) for second in range(KEPT + 10))).sent_at(5.0) is None


def test_progress_that_goes_back_is_not_believed() -> None:
    assert _sent((2.0, 102.0), (1.0, 103.0)).sent_s == 2.0


def _cells(number: int, bright: int = 235, dark: int = 16) -> bytes:
    bits = [number >> place & 1 for place in range(11)]
    cells = [1, 0, *bits, sum(bits) % 2]
    rows = [
        bytes(bright if cell != row else dark for cell in cells for _ in range(SAMPLES))
        for row in (0, 1)
        for _ in range(SAMPLES)
    ]
    return b"".join(rows)


@pytest.mark.parametrize("number", [0, 1, 2, 1023, 1919, 2047])
def test_a_number_is_read_whatever_happened_to_the_contrast(number: int) -> None:
    assert frame_number(_cells(number)) == number
    assert frame_number(_cells(number, bright=140, dark=90)) == number


@pytest.mark.parametrize(
    "samples",
    [b"", b"\0" * (COLUMNS * ROWS * SAMPLES**2), _cells(5, bright=100, dark=90), _cells(5)[::-1]],
)
def test_a_picture_without_a_clock_has_no_number(samples: bytes) -> None:
    assert frame_number(samples) is None


def test_a_wrong_bit_is_noticed() -> None:
    good, bad = _cells(8), _cells(9)
    column = slice(2 * SAMPLES, 3 * SAMPLES)
    rows = [bytearray(good[start : start + COLUMNS * SAMPLES]) for start in range(0, len(good), COLUMNS * SAMPLES)]
    for place, row in enumerate(rows):
        row[column] = bad[place * COLUMNS * SAMPLES :][column]
    assert frame_number(b"".join(rows)) is None


@pytest.fixture
def clock(ffmpeg: str, clip: Clip) -> ContentClock:
    """One for a push that began 10 s ago, of a source without a clock."""
    now = monotonic()
    return ContentClock(
        Decoder(ffmpeg, asyncio.Semaphore(1)), Clip(clip.path, fps=None), _sent((0.0, now - 10), (10.0, now))
    )


async def test_what_cannot_be_examined_has_the_time_of_the_playlist(clock: ContentClock) -> None:
    sent_at = await clock.sent_at(_listed(time.time() - 5.0), None, b"", may_be_old=True)
    assert sent_at == pytest.approx(monotonic() - 3.0, abs=0.1)
    assert clock.used is Clock.PROGRAM_DATE_TIME


async def test_what_the_playlist_says_to_be_older_than_the_push_is_old(clock: ContentClock) -> None:
    with pytest.raises(OldContent):
        await clock.sent_at(_listed(time.time() - 60.0), None, b"", may_be_old=True)
    assert await clock.sent_at(_listed(time.time() - 60.0), None, b"", may_be_old=False) is not None


async def test_a_playlist_whose_clock_is_wrong_keeps_no_stream_from_beginning(
    clock: ContentClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_clock, "OLD_FOR_S", 0.0)
    for may_be_old in (True, False):
        assert await clock.sent_at(_listed(time.time() - 60.0), None, b"", may_be_old=may_be_old) is None
    assert clock.used is None


async def test_nothing_is_said_where_nothing_tells(clock: ContentClock) -> None:
    assert await clock.sent_at(_listed(), None, b"", may_be_old=True) is None
    assert clock.used is None


def test_spans_are_as_long_as_they_are() -> None:
    assert Span(1.0, 3.0, 60).duration_s == 2.0
