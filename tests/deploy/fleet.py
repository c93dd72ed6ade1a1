"""A fleet on this machine: the video network of deploy/demo, and a prober that tests it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prober.clip import ClipForm, find_ffmpeg, make_clip
from tests.deploy.monitoring import DEPLOY
from tests.harness import free_port
from tests.processes import PODIUM, ROOT

TARGET = DEPLOY / "demo" / "target.py"
SMALL = ClipForm(width=320, height=180, length_s=16, bitrate_k=300)


@dataclass(frozen=True)
class Fleet:
    """Where streams are configured, and how `podium probe` is run on them."""

    directory: Path
    environment: dict[str, str]

    @asynccontextmanager
    async def probing(self, *arguments: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A prober for the time of the block."""
        command = (PODIUM, "probe", "--config", self.directory / "streams.yaml", *arguments)
        async with _running(*command, env={**self.environment, **settings}) as process:
            yield process


@asynccontextmanager
async def fleet(directory: Path, *, duration: str) -> AsyncIterator[Fleet]:
    """A video network, and a configuration of a prober for it."""
    ffmpeg = find_ffmpeg(None)
    rtmp, http = free_port(), free_port()
    stream = {
        "name": "demo",
        "duration": duration,
        "pause": "1s",
        "injest_region": "LOCAL",
        "playback_region": "LOCAL",
        "injest_url": f"rtmp://127.0.0.1:{rtmp}/live/demo",
        "playback_url": f"http://127.0.0.1:{http}/master.m3u8",
    }
    (directory / "streams.yaml").write_text(json.dumps({"streams": [stream]}))
    ports = ("--rtmp-port", str(rtmp), "--http-port", str(http))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PODIUM_DATA_DIR": str(directory / "data"),
        "LOG_FORMAT": "json",
        "FFMPEG": ffmpeg,
        "SOURCE_FILE": str((await make_clip(ffmpeg, directory, SMALL)).path),
    }
    (directory / "hls").mkdir()
    (directory / "hls" / "mine").write_text("not of the demo")
    command = (sys.executable, TARGET, "--directory", directory / "hls", *ports, "--ffmpeg", ffmpeg)
    async with _running(*command, env=environment):
        yield Fleet(directory, environment)


@asynccontextmanager
async def _running(*command: str | Path, env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd="/", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 15)
