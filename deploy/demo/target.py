"""A video network in one process, to try `podium probe` on: takes a push by RTMP, and serves the HLS of it."""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

AGAIN_S = 0.2  # an ffmpeg that cannot listen ends at once
RENDITIONS = (
    *("-map", "0:v", "-map", "0:v", "-map", "0:a", "-map", "0:a"),
    *("-c:v:0", "copy", "-c:v:1", "libx264", "-preset:v:1", "ultrafast", "-tune:v:1", "zerolatency"),
    *("-filter:v:1", "scale=640:360", "-b:v:1", "600k", "-g:v:1", "30", "-c:a", "copy"),
)


class Playback(SimpleHTTPRequestHandler):
    """Files as they are at the moment."""

    def end_headers(self) -> None:
        """Say that playlists change."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a player asks every second."""


def packager(ffmpeg: str, host: str, port: int, directory: Path) -> list[str]:
    """The command that takes one push, and packages it."""
    return [
        *(ffmpeg, "-hide_banner", "-loglevel", "fatal", "-y"),
        *("-listen", "1", "-i", f"rtmp://{host}:{port}/live/demo", *RENDITIONS),
        *("-f", "hls", "-hls_time", "2", "-hls_list_size", "6", "-hls_flags", "delete_segments+temp_file"),
        *("-var_stream_map", "v:0,a:0,name:source v:1,a:1,name:360p", "-master_pl_name", "master.m3u8"),
        *("-hls_segment_filename", f"{directory}/%v-%d.ts", f"{directory}/%v.m3u8"),
    ]


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--rtmp-port", type=int, default=1935)
    arguments.add_argument("--http-port", type=int, default=8888)
    arguments.add_argument("--directory", type=Path, required=True)
    arguments.add_argument("--ffmpeg", default="ffmpeg")
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    directory = given.directory / "podium-demo"  # that of the operator may have files of others
    directory.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer((given.host, given.http_port), partial(Playback, directory=directory))
    Thread(target=server.serve_forever, daemon=True).start()
    while True:
        shutil.rmtree(directory)
        directory.mkdir()
        taking = subprocess.Popen(packager(given.ffmpeg, given.host, given.rtmp_port, directory))
        try:
            taking.wait()
        finally:
            taking.kill()
        time.sleep(AGAIN_S)


if __name__ == "__main__":
    main()
