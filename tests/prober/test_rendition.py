"""One rendition is played, whatever its segments are made of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest

from prober.addresses import AddressRule
from prober.child import output_of
from prober.clip import QUIET, Clip
from prober.content_clock import ContentClock, Decoder
from prober.fetching import Fetcher
from prober.following import Following
from prober.rendition import RenditionProbe
from prober.run import Clock
from prober.send_times import SendTimes
from prober.stopping import end_tasks
from tests.harness import eventually
from tests.prober.network import Network, Served
from tests.prober.running import HASTY

SOUND = {
    "transport stream": "-f hls -hls_time 1 {0}/a.m3u8",
    "fMP4": "-f hls -hls_time 1 -hls_segment_type fmp4 {0}/a.m3u8",
    "packed audio": "-f segment -segment_format adts -segment_format_options write_id3v2=1 -segment_time 1"
    " -segment_list {0}/a.m3u8 {0}/%d.aac",
}


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(AddressRule(configured_host="127.0.0.1"), httpx.create_ssl_context()) as fetcher:
        yield fetcher


@asynccontextmanager
async def _played(
    served: Served, directory: Path, fetcher: Fetcher, clip: Clip, ffmpeg: str
) -> AsyncIterator[tuple[RenditionProbe, list[str]]]:
    """A rendition of files, while it is played, and what is missed of it."""
    served.networks["files"] = Network(ffmpeg, directory, f"{served.url}/files")
    sent = SendTimes()
    sent.note(10.0, monotonic())
    clock = ContentClock(Decoder(ffmpeg, asyncio.Semaphore(1)), clip, sent)
    missed: list[str] = []
    probe = RenditionProbe(
        *("files", f"{served.url}/files/a.m3u8", fetcher, clock, Following(), HASTY),
        lambda event, **facts: missed.append(facts["detail"]) if event == "probe_segment_missed" else None,
    )
    tasks = [asyncio.create_task(probe.look_all()), asyncio.create_task(probe.download_all())]
    try:
        yield probe, missed
    finally:
        await end_tasks(tasks)


@pytest.mark.parametrize("how", SOUND)
async def test_a_rendition_of_sound_alone_is_played(
    how: str, served: Served, fetcher: Fetcher, clip: Clip, ffmpeg: str, tmp_path: Path
) -> None:
    source = f"-i {clip.path} -t 4 -vn -c copy"
    command = [ffmpeg, *QUIET, *source.split(), *SOUND[how].format(tmp_path).split()]
    assert (await output_of(command, within_s=20)).status == 0
    async with _played(served, tmp_path, fetcher, clip, ffmpeg) as (probe, missed):
        await eventually(lambda: missed or probe.tally.received >= 4)
    assert missed == []
    assert probe.clock.used is (None if how == "packed audio" else Clock.TIMESTAMPS)
    assert sum(probe.tally.durations_s) == pytest.approx(0 if how == "packed audio" else 4.0, abs=1.0)


async def test_gaps_count_once_a_segment_has_come(
    served: Served, fetcher: Fetcher, clip: Clip, ffmpeg: str, tmp_path: Path
) -> None:
    source = f"-i {clip.path} -t 4 -c copy -f hls -hls_time 1 {tmp_path}/a.m3u8"
    assert (await output_of([ffmpeg, *QUIET, *source.split()], within_s=20)).status == 0
    text = (tmp_path / "a.m3u8").read_text()
    first, gap = text.index("#EXTINF"), "#EXT-X-GAP\n#EXTINF:1,\ngap.ts\n"
    (tmp_path / "a.m3u8").write_text(text[:first] + 7 * gap + text[first:].replace("a1.ts\n", f"a1.ts\n{gap}"))
    async with _played(served, tmp_path, fetcher, clip, ffmpeg) as (probe, missed):
        await eventually(lambda: probe.tally.received == 4)
    assert missed == ["a segment that is marked as missing"]
