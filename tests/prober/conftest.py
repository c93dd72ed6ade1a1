"""What tests of probes share: an ffmpeg, a small clip, networks that are served, and `podium probe` itself."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from prober.clip import Clip, ClipForm, find_ffmpeg, make_clip
from tests.prober.network import Served, serving_networks
from tests.processes import Podium, Start

SMALL = ClipForm(width=320, height=180, fps=30, length_s=16, bitrate_k=300)


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    return find_ffmpeg(None)


@pytest.fixture(scope="session")
async def clip(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """A test clip that takes little to make and to package."""
    return await make_clip(ffmpeg, tmp_path_factory.mktemp("clip"), SMALL)


@pytest.fixture(scope="module")
async def served(ffmpeg: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Makes networks, which last as long as the tests of a file."""
    directory: Path = tmp_path_factory.mktemp("networks")
    async with serving_networks(ffmpeg, directory) as served:
        yield served


@pytest.fixture
async def start(tmp_path: Path, clip: Clip) -> AsyncIterator[Start]:
    """Starts `podium probe`, which pushes the small clip."""
    async with AsyncExitStack() as stack:

        async def start(*arguments: str, **settings: str) -> Podium:
            given = {"SOURCE_FILE": str(clip.path), "METRICS_PORT": "0", "LOG_FORMAT": "json", **settings}
            podium = await Podium(tmp_path / "data", "probe", *arguments, **given).start()
            stack.push_async_callback(podium.close)
            return podium

        yield start
