"""One rendition is played, whatever its segments are made of."""

import asyncio
from collections.abc import AsyncIterator
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


@pytest.mark.parametrize("how", SOUND)
async def test_a_rendition_of_sound_alone_is_played(
    how: str, served: Served, fetcher: Fetcher, clip: Clip, ffmpeg: str, tmp_path: Path
) -> None:
    command = [
        ffmpeg,
        *QUIET,
        "-i",
        str(clip.path),
        "-t",
        "4",
        "-vn",
        "-c",
        "copy",
        *SOUND[how].format(tmp_path).split(),
    ]
    assert (await output_of(command, within_s=20)).status == 0
    network = Network(ffmpeg, tmp_path, f"{served.url}/sound")
    served.networks["sound"] = network
    sent = SendTimes()
    sent.note(10.0, monotonic())
    clock = ContentClock(Decoder(ffmpeg, asyncio.Semaphore(1)), clip, sent)
    missed: list[object] = []
    probe = RenditionProbe(
        *("sound", f"{served.url}/sound/a.m3u8", fetcher, clock, Following(), HASTY),
        lambda event, **facts: missed.append(facts) if event == "probe_segment_missed" else None,
    )
    tasks = [asyncio.create_task(probe.look_all()), asyncio.create_task(probe.download_all())]
    await eventually(lambda: missed or probe.tally.received >= 4)
    await end_tasks(tasks)
    assert missed == []
    assert clock.used is (None if how == "packed audio" else Clock.TIMESTAMPS)
    assert sum(probe.tally.durations_s) == pytest.approx(0 if how == "packed audio" else 4.0, abs=1.0)
