"""Renditions come and go as the master playlist lists them."""

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
from tests.harness import eventually
from tests.prober.network import Network, Served
from tests.prober.running import HASTY


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
