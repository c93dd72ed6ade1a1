"""Pushes the clip by RTMP in real time: an ffmpeg that is watched, and says how far it is."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from urllib.parse import urlsplit

from prober.child import Child, running
from prober.clip import Clip
from prober.problems import Problem
from prober.run import Reason
from prober.send_times import SendTimes

PROGRESS_S = 0.5
REFUSED_WITHIN_S = 1.0  # some ingests say that they take a push, and hang up on who may not
SHOWN_SAID = 300
LEAST_SECRET = 4
_SENT = re.compile(rb"^out_time_us=(\d+)\s*$", re.MULTILINE)
_URL = re.compile(r"\b\w+://\S+")


class Push:
    """A push that is under way; times are of `monotonic`."""

    def __init__(self, silence_s: float, url: str = "") -> None:
        self.started_at = monotonic()
        self.sent = SendTimes()
        self.problem: Problem | None = None
        self._silence_s = silence_s
        self._secrets = _secrets_of(url)
        self._moved_at = self.started_at
        self._heard = b""

    def hear(self, chunk: bytes) -> None:
        """Progress as ffmpeg prints it."""
        lines, _, self._heard = (self._heard + chunk).rpartition(b"\n")
        told = _SENT.findall(lines)
        if told and int(told[-1]) / 1e6 > self.sent.sent_s:
            self._moved_at = monotonic()
            self.sent.note(int(told[-1]) / 1e6, self._moved_at)

    async def watch(self, child: Child) -> None:
        """Wait until the push has ended or hangs, which is a problem in any case."""
        ending = asyncio.ensure_future(child.ended())
        try:
            while self.problem is None:
                rest_s = self._moved_at + self._silence_s - monotonic()
                if rest_s <= 0:
                    self.problem = self._hung()
                    return
                await asyncio.wait([ending], timeout=rest_s)
                if ending.done():
                    self.problem = self._ended(ending.result(), child.said)
        finally:
            ending.cancel()

    def _hung(self) -> Problem:
        done = "sent nothing more" if self.sent.sent_s else "could not begin to send"
        return Problem(Reason.PUSH_HUNG, f"ffmpeg {done} for {self._silence_s:g} s")

    def _ended(self, status: int, said: str) -> Problem:
        if status < 0:
            return Problem(Reason.PUSH_DIED, f"ffmpeg was killed by signal {-status}")
        reason = Reason.PUSH_REFUSED if self.sent.sent_s < REFUSED_WITHIN_S else Reason.PUSH_DIED
        return Problem(reason, f"ffmpeg ended with status {status}{_shown(said, self._secrets)}")


@asynccontextmanager
async def pushing(ffmpeg: str, clip: Clip, url: str, silence_s: float) -> AsyncIterator[Push]:
    """Push for the time of the context."""
    push = Push(silence_s, url)
    async with running(command(ffmpeg, clip, url), push.hear) as child:
        watching = asyncio.create_task(push.watch(child))
        try:
            yield push
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def command(ffmpeg: str, clip: Clip, url: str) -> list[str]:
    """What is executed."""
    return [
        *(ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "warning"),
        *("-progress", "pipe:1", "-stats_period", str(PROGRESS_S)),
        *("-re", "-stream_loop", "-1", "-i", str(clip.path)),
        *("-map", "0:v:0", "-map", "0:a:0?", *clip.codecs, "-flvflags", "no_duration_filesize", "-f", "flv", url),
    ]


def _secrets_of(url: str) -> list[str]:
    """What of a URL lets one push there: what follows the name of the application, values of its query, a password."""
    parts = urlsplit(url)
    application, _, key = parts.path.strip("/").partition("/")
    values = [word.rpartition("=")[2] for word in parts.query.split("&")]
    found = {key or application, *key.split("/"), parts.query, *values, parts.password or ""}
    return sorted((each for each in found if len(each) >= LEAST_SECRET), key=len, reverse=True)


def _shown(said: str, secrets: Sequence[str]) -> str:
    """What ffmpeg said, without URLs and keys: an ingest may name the key that it refuses."""
    said = _URL.sub("(URL)", said)
    for secret in secrets:
        said = said.replace(secret, "(key)")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f": {' / '.join(lines[-2:])[-SHOWN_SAID:]}" if lines else ""
