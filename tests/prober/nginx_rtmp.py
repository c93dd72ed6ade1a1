"""Debian's nginx with its RTMP module, as deploy/nginx/rtmp.conf has it."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import httpx

from tests.debian import PLACES, Program, Wanted, until_it_answers
from tests.harness import free_port

RECIPE = (Path(__file__).parents[2] / "deploy" / "nginx" / "rtmp.conf").read_text()
MODULE = "usr/lib/nginx/modules/ngx_rtmp_module.so"
NGINX_RTMP = Wanted("usr/sbin/nginx", ("nginx", "libnginx-mod-rtmp", "libpcre2-8-0", "libcrypt1"), (MODULE,))
KEY = "marker-of-the-key"
TAKING = "application live {"


class NginxRtmp:
    """An nginx that takes pushes at `ingest_url` while it runs, and is played at `playback_url`."""

    def __init__(self, program: Program, ffmpeg: str, home: Path) -> None:
        rtmp, web = free_port(), free_port()
        self.ingest_url = f"rtmp://127.0.0.1:{rtmp}/live/{KEY}"
        self.playback_url = f"http://127.0.0.1:{web}/hls/{KEY}.m3u8"
        self.nowhere_url = f"http://127.0.0.1:{web}/nowhere"
        self._program = program
        self._home = home
        self._recipe = _moved(
            {
                f"/{MODULE}": str(program.root / MODULE),
                "127.0.0.1:1935": f"127.0.0.1:{rtmp}",
                "127.0.0.1:8000": f"127.0.0.1:{web}",
                "/tmp/podium-rtmp": str(home),  # noqa: S108 - where the recipe writes
            }
        )
        (home / "bin").mkdir()
        (home / "bin" / "ffmpeg").symlink_to(ffmpeg)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, who_may: str = "") -> None:
        """Run, with these words about who may push."""
        configuration, log = self._home / "nginx.conf", self._home / "log"
        configuration.write_text(self._recipe.replace(TAKING, f"{TAKING} {who_may}"))
        words = ["-p", str(self._home), "-e", "stderr", "-c", str(configuration)]
        if os.geteuid() == 0:
            words += ["-g", "user root;"]  # who may read what is here
        environment = {**self._program.environment, "PATH": f"{self._home}/bin:{PLACES}"}
        with log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                self._program.binary, *words, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        async with httpx.AsyncClient() as client:
            await until_it_answers(self._process, log, partial(client.get, self.nowhere_url), httpx.ConnectError)

    async def kill(self) -> None:
        """End it by kill -9, with its workers and what it has run."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()


def _moved(places: dict[str, str]) -> str:
    """The recipe with other places in it."""
    recipe = RECIPE
    assert RECIPE.count(TAKING) == 1
    for here, there in places.items():
        assert here in RECIPE
        recipe = recipe.replace(here, there)
    return recipe


@asynccontextmanager
async def nginx_rtmp(program: Program, ffmpeg: str) -> AsyncIterator[NginxRtmp]:
    """One that is to be started, and leaves nothing behind."""
    home = Path(tempfile.mkdtemp(prefix="podium-nginx-rtmp-"))
    nginx = NginxRtmp(program, ffmpeg, home)
    try:
        yield nginx
    finally:
        await nginx.kill()
        shutil.rmtree(home)
