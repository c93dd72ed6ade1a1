"""Networks for `podium bench probe`, in a process of their own: ffmpegs that package pushes, and a server of files."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from prober.child import running
from prober.clip import find_ffmpeg
from prober.stopping import end_tasks

FIRST_PORT = 21_000
SEGMENT_S = 2
RENDITIONS = 3


def ingest_url(number: int) -> str:
    """Where the push of a stream goes to."""
    return f"rtmp://127.0.0.1:{FIRST_PORT + number}/live/stream"


async def main(directory: Path, port: int, count: int) -> None:
    """Package and serve until the process ends."""
    for number in range(count):
        (directory / str(number)).mkdir(parents=True)
    app = Starlette(routes=[Route("/{path:path}", partial(_file, directory))])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off"))
    packagers = [asyncio.create_task(_package(directory / str(number), number)) for number in range(count)]
    try:
        await server.serve()
    finally:
        await end_tasks(packagers)


async def _file(directory: Path, request: Request) -> Response:
    """A file as it is now; playlists grow while they are sent."""
    try:
        return Response((directory / request.path_params["path"]).read_bytes())
    except OSError:
        return Response(status_code=404)


async def _package(directory: Path, number: int) -> None:
    """Take one push after the other, as it is, as if it were several renditions."""
    maps = [word for _ in range(RENDITIONS) for word in ("-map", "0:v", "-map", "0:a")]
    renditions = " ".join(f"v:{place},a:{place},name:r{place}" for place in range(RENDITIONS))
    command = [
        *(find_ffmpeg(None), "-hide_banner", "-loglevel", "quiet", "-y", "-listen", "1", "-i", ingest_url(number)),
        *(*maps, "-c", "copy", "-f", "hls", "-hls_time", str(SEGMENT_S), "-hls_list_size", "6"),
        *("-hls_flags", "delete_segments+temp_file", "-master_pl_name", "master.m3u8"),
        *("-var_stream_map", renditions, str(directory / "%v.m3u8")),
    ]
    while True:
        async with running(command, lambda _: None) as packager:
            await packager.ended()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
