"""Renditions come and go as the master playlist lists them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from prober.addresses import AddressRule
from prober.clip import Clip
from prober.content_clock import ContentClock
from prober.fetching import Fetcher
from prober.playing import Playing
from prober.playlists import MAX_RENDITIONS
from prober.run import Status
from tests.harness import eventually
from tests.prober.network import Fault, Network, Served
from tests.prober.running import HASTY, Prober, stream_of


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher(AddressRule(configured_host="127.0.0.1"), httpx.create_ssl_context()) as fetcher:
        yield fetcher


@pytest.fixture
def network(served: Served, ffmpeg: str, tmp_path: Path) -> Network:
    """One that takes nothing, and answers what a test says."""
    network = served.networks["made-up"] = Network(ffmpeg, tmp_path, f"{served.url}/made-up")
    return network


async def test_names_that_change_at_every_look_are_no_renditions_without_end(
    network: Network, fetcher: Fetcher, clip: Clip
) -> None:
    numbers = count()

    async def listing(path: str) -> Response | None:
        if path != "master.m3u8":
            return None
        entries = [f"#EXT-X-STREAM-INF:BANDWIDTH=1\nsession-{next(numbers)}.m3u8" for _ in range(9)]
        return Response("\n".join(["#EXTM3U", *entries]))

    network.fault = listing
    playing = Playing(network.playback_url, (), fetcher, replace(HASTY, waiting_look_s=0.01), lambda _event, **_: None)
    playing.start(lambda: ContentClock(None, clip, None))  # type: ignore[arg-type]
    await eventually(lambda: network.requests.count("master.m3u8") > 10)
    await playing.stop()
    assert len(playing.tallies()) == MAX_RENDITIONS


def _of_sessions(network: Network, path: str) -> Fault:
    """A master playlist that names `path` for a session, another at every look; all of them are the same."""
    numbers = count()

    async def listing(asked: str) -> Response | None:
        if asked == "master.m3u8":
            line = path.format(next(numbers))
            return Response(f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=320x180\n{line}\n")
        return Response(network.body(asked.rpartition("/")[2]))

    return listing


@pytest.mark.parametrize("path", ["{}/a.m3u8", "a.m3u8?session={}"])
async def test_a_server_that_names_sessions_is_played_as_one(
    served: Served, clip: Clip, ffmpeg: str, path: str
) -> None:
    network = served.network(f"sessions-{len(path)}")
    await network.listens()
    network.fault = _of_sessions(network, path)
    run = await Prober(stream_of(network, duration="4s"), clip, ffmpeg).probe.once()
    assert (run.status, run.detail, run.discontinuities) == (Status.SUCCESS, None, 0)
    assert run.segments_received <= 8


async def test_what_was_listed_before_is_old_far_away_and_in_another_session_as_well(
    network: Network, fetcher: Fetcher, clip: Clip, tmp_path: Path
) -> None:
    answer = _of_sessions(network, "a.m3u8?session={}")

    async def from_far_away(path: str) -> Response | None:
        await asyncio.sleep(far_s)
        return await answer(path)

    network.fault, far_s = from_far_away, 1.2
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nold.ts\n")
    playing = Playing(network.playback_url, (), fetcher, replace(HASTY, waiting_look_s=0.01), lambda _event, **_: None)
    await playing.remember()
    far_s = 0.0
    playing.start(lambda: ContentClock(None, clip, None))  # type: ignore[arg-type]
    await eventually(lambda: network.requests.count("a.m3u8") > 3)
    await playing.stop()
    assert "old.ts" not in network.requests
