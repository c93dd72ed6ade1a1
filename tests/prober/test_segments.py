"""Segments are examined without decoding: whole ones have their times, broken ones are found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from prober import fragmented_mp4, transport_stream
from prober.child import output_of
from prober.clip import QUIET, Clip
from prober.transport_stream import PACKET, CorruptSegment


@pytest.fixture(scope="module")
async def segment(ffmpeg: str, clip: Clip) -> bytes:
    """Two seconds of a transport stream, from the third on."""
    command = [ffmpeg, *QUIET, "-ss", "2", "-i", str(clip.path), "-t", "2", "-c", "copy", "-output_ts_offset", "95443"]
    return (await output_of([*command, "-f", "mpegts", "-"], within_s=20)).printed


@pytest.fixture(scope="module")
async def fragments(ffmpeg: str, clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """The init part, and a segment from 2 s to 4 s."""
    directory = tmp_path_factory.mktemp("fragments")
    command = [ffmpeg, *QUIET, "-i", str(clip.path), "-t", "6", "-c", "copy", "-f", "hls", "-hls_time", "2"]
    await output_of([*command, "-hls_segment_type", "fmp4", f"{directory}/a.m3u8"], within_s=20)
    return (Path(directory) / "init.mp4").read_bytes(), (Path(directory) / "a1.m4s").read_bytes()


def test_times_of_a_transport_stream_are_those_of_its_pictures_also_where_they_wrap(segment: bytes) -> None:
    span = transport_stream.examine(segment)
    assert (span.pictures, span.duration_s) == (60, pytest.approx(2.0, abs=0.001))
    assert span.begins_s == pytest.approx(95443 + 1.4, abs=1.6) or span.begins_s < 5


BREAKS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "a page": lambda data: b"<html>" * 100,
    "cut within a packet": lambda data: data[:-100],
    "overwritten": lambda data: data[: 20 * PACKET + 50] + b"\0" * 500 + data[20 * PACKET + 550 :],
    "a packet is missing": lambda data: data[: 30 * PACKET] + data[31 * PACKET :],
    "shifted": lambda data: b"x" * PACKET + data[:-1] + b"x",
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_transport_stream_is_found(name: str, segment: bytes) -> None:
    with pytest.raises(CorruptSegment):
        transport_stream.examine(BREAKS[name](segment))


def test_a_packet_that_comes_twice_is_no_harm(segment: bytes) -> None:
    twice = segment[: 31 * PACKET] + segment[30 * PACKET :]
    assert transport_stream.examine(twice).pictures in {60, 61}


def test_times_of_fragments_are_those_of_their_video(fragments: tuple[bytes, bytes]) -> None:
    init, data = fragments
    assert fragmented_mp4.looks_like(data)
    span = fragmented_mp4.examine(data, fragmented_mp4.track_of(init))
    assert (span.pictures, span.duration_s) == (60, pytest.approx(2.0, abs=0.001))
    assert span.begins_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("end", [10, 100, 1000, -1])
def test_broken_fragments_are_found(end: int, fragments: tuple[bytes, bytes]) -> None:
    init, data = fragments
    with pytest.raises(CorruptSegment):
        fragmented_mp4.examine(data[:end], fragmented_mp4.track_of(init))
    with pytest.raises(CorruptSegment):
        fragmented_mp4.track_of(init[:end])


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\0\0\0\x08moof" * 9, b"\xff" * 64])
def test_garbage_is_no_fragment(data: bytes, fragments: tuple[bytes, bytes]) -> None:
    with pytest.raises(CorruptSegment):
        fragmented_mp4.examine(data, fragmented_mp4.track_of(fragments[0]))
    with pytest.raises(CorruptSegment):
        fragmented_mp4.track_of(data)
