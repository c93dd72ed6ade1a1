"""A video network of the tests' own: an ffmpeg that takes a push and packages it, and a server that can be faulty."""

import asyncio
import signal
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.harness import free_port

SIZES = {"a": "320x180", "b": "160x90"}
Fault = Callable[[str], Awaitable[Response | None]]

COPYING = ("-map", "0:v", "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy")
TRANSCODING = (
    *("-filter_complex", "[0:v]split=2[x][y];[x]scale=320:180[a];[y]scale=160:90[b]"),
    *("-map", "[a]", "-map", "[b]", "-map", "0:a", "-map", "0:a"),
    *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-r", "15", "-g", "15", "-crf", "30"),
    *("-c:a", "aac", "-b:a", "48k"),
)


class Network:
    """Takes pushes at `ingest_url`, one after the other, and is played at `playback_url`.

    What a run leaves behind stays there, as it does with many packagers, and the next one uses the same names.
    `fault` may answer in its place; `delay_s` is how late a playlist shows what there is.
    """

    def __init__(
        self, ffmpeg: str, directory: Path, url: str, how: Sequence[str] = COPYING, delay_s: float = 0.0
    ) -> None:
        self.port = free_port()
        self.ingest_url = f"rtmp://127.0.0.1:{self.port}/live/marker-of-the-key"
        self.playback_url = f"{url}/master.m3u8"
        self.hook_url = f"{url}/hook"
        self.hooks: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.fault: Fault | None = None
        self.delay_s = delay_s
        self.listed = dict(SIZES)
        self._taking = asyncio.Event()
        self._taking.set()
        self.packager: asyncio.subprocess.Process | None = None
        self._ffmpeg = ffmpeg
        self._directory = directory
        self._how = how
        self._versions: dict[str, deque[tuple[float, bytes]]] = {}

    async def serve(self) -> None:
        """Take pushes until cancelled."""
        self._directory.mkdir(parents=True, exist_ok=True)
        keeping = asyncio.create_task(self._keep_versions()) if self.delay_s else None
        try:
            while True:
                await self._taking.wait()
                self.packager = await asyncio.create_subprocess_exec(*self._command(), stdin=asyncio.subprocess.DEVNULL)
                await self.packager.wait()
        finally:
            if keeping:
                keeping.cancel()
            await self.refuse()

    async def refuse(self) -> None:
        """Take no push any more."""
        self._taking.clear()
        if self.packager and self.packager.returncode is None:
            with suppress(ProcessLookupError):
                self.packager.kill()
            await self.packager.wait()

    async def mend(self) -> None:
        """Be as it should, and ready for a push."""
        self.fault = None
        self.listed = dict(SIZES)
        if self.packager and self.packager.returncode is None:
            await self.refuse()  # it may be stopped, or wait for a push that has ended
        self._taking.set()
        await self.listens()

    async def listens(self) -> None:
        """Wait until a push would be taken; to try would take the place of one."""
        async with asyncio.timeout(20):
            while not self._is_listening():
                await asyncio.sleep(0.1)

    def stop_packager(self, number: int = signal.SIGSTOP) -> None:
        """Send a signal to what packages."""
        assert self.packager
        self.packager.send_signal(number)

    def pusher(self) -> psutil.Process | None:
        """The ffmpeg that pushes here."""
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if process.pid != getattr(self.packager, "pid", 0) and self.ingest_url in process.cmdline():
                    return process
        return None

    async def answer(self, request: Request) -> Response:
        """What is asked for, unless something is wrong."""
        path = request.path_params["path"]
        if request.method == "POST":
            self.hooks.append(await request.json())
            return PlainTextResponse("ok")
        self.requests.append(path)
        if self.fault and (faulty := await self.fault(path)):
            return faulty
        if path == "master.m3u8":
            return self._master()
        body = self._version(path) if path.endswith(".m3u8") else _read(self._directory / path)
        return PlainTextResponse("not there", 404) if body is None else Response(body)

    def body(self, path: str) -> bytes:
        """A file as it is."""
        return _read(self._directory / path) or b""

    def _master(self) -> Response:
        if self._version("a.m3u8") is None:
            return PlainTextResponse("not there", 404)
        lines = [f"#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION={size}\n{name}.m3u8" for name, size in self.listed.items()]
        return PlainTextResponse("\n".join(["#EXTM3U", *lines, ""]))

    def _version(self, path: str) -> bytes | None:
        """The playlist as it was `delay_s` ago."""
        if not self.delay_s:
            return _read(self._directory / path)
        latest = time.monotonic() - self.delay_s
        known = [body for at, body in self._versions.get(path, ()) if at <= latest]
        return known[-1] if known else None

    async def _keep_versions(self) -> None:
        while True:
            for name in SIZES:
                path, body = f"{name}.m3u8", _read(self._directory / f"{name}.m3u8")
                versions = self._versions.setdefault(path, deque(maxlen=50))
                if body and (not versions or versions[-1][1] != body):
                    versions.append((time.monotonic(), body))
            await asyncio.sleep(0.03)

    def _is_listening(self) -> bool:
        if self.packager is None or self.packager.returncode is not None:
            return False
        with suppress(psutil.Error):
            found = psutil.Process(self.packager.pid).net_connections("tcp")
            return any(each.status == psutil.CONN_LISTEN for each in found)
        return False

    def _command(self) -> list[str]:
        return [
            *(self._ffmpeg, "-hide_banner", "-loglevel", "quiet", "-y", "-listen", "1", "-i", self.ingest_url),
            *(*self._how, "-f", "hls", "-hls_time", "1", "-hls_list_size", "5"),
            *("-hls_flags", "delete_segments+temp_file", "-hls_delete_threshold", "5"),
            *("-var_stream_map", "v:0,a:0,name:a v:1,a:1,name:b"),
            *("-hls_segment_filename", f"{self._directory}/%v-%d.ts", f"{self._directory}/%v.m3u8"),
        ]


class Served:
    """Makes networks, each below a path of its own on one server, and ends them."""

    def __init__(self, ffmpeg: str, directory: Path) -> None:
        self.url = ""
        self.networks: dict[str, Network] = {}
        self._ffmpeg = ffmpeg
        self._directory = directory
        self._tasks: list[asyncio.Task[None]] = []

    def network(self, name: str, how: Sequence[str] = COPYING, delay_s: float = 0.0) -> Network:
        """A network that takes pushes from now on."""
        network = Network(self._ffmpeg, self._directory / name, f"{self.url}/{name}", how, delay_s)
        self.networks[name] = network
        self._tasks.append(asyncio.create_task(network.serve()))
        return network

    async def close(self) -> None:
        """Leave no packager behind."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def serving_networks(ffmpeg: str, directory: Path) -> AsyncIterator[Served]:
    """A server for networks."""
    served = Served(ffmpeg, directory)

    async def answer(request: Request) -> Response:
        network = served.networks.get(request.path_params["network"])
        return await network.answer(request) if network else PlainTextResponse("not there", 404)

    app = Starlette(routes=[Route("/{network}/{path:path}", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    served.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([listening]))
    try:
        yield served
    finally:
        await served.close()
        server.should_exit = True
        await task


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
