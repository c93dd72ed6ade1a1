"""What tests of whole processes share: a data directory that is used already, and commands that end with their test."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.harness import eventually
from tests.processes import Podium, Start, is_running


@pytest.fixture(scope="session")
async def used_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after its first start, to be copied."""
    podium = await Podium(tmp_path_factory.mktemp("used") / "data", "serve", "--port", "0").start()
    try:
        await podium.ready()
        podium.process.terminate()
        await podium.end()
        await eventually(lambda: not is_running(podium.postmaster))
    finally:
        await podium.close()
    return podium.data_dir


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `podium` commands, and ends them with the test."""
    async with AsyncExitStack() as stack:

        async def start(*arguments: str, directory: Path = tmp_path / "data", **settings: str) -> Podium:
            podium = await Podium(directory, *arguments, **settings).start()
            stack.push_async_callback(podium.close)
            return podium

        yield start


@pytest.fixture
async def serving(start: Start, data_dir: Path) -> Podium:
    return await (await start("serve", "--port", "0", directory=data_dir)).ready()


@pytest.fixture
def data_dir(used_directory: Path, tmp_path: Path) -> Path:
    return shutil.copytree(used_directory, tmp_path / "data")
