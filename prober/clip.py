"""The clip that is pushed: a test picture with a clock, and a tone; made once by ffmpeg, then only copied."""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from prober.child import output_of
from prober.picture_clock import BITS, drawing

MAKING_S = 300
READING_S = 60
QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")
COPIED = ("-c", "copy")
H264_AND_AAC = ("-bsf:v", "h264_metadata", "-bsf:a", "aac_adtstoasc")  # filters that take nothing else
ENCODED = (
    *("-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "60", "-pix_fmt", "yuv420p"),
    *("-c:a", "aac", "-ar", "48000"),
)
_FIRST_STREAM = re.compile(rb"^0,\s*-?\d+,\s*(-?\d+),", re.MULTILINE)
_TIME_BASE = re.compile(rb"^#tb 0: (\d+)/(\d+)", re.MULTILINE)


class ClipError(Exception):
    """There is no ffmpeg, or it cannot make or read the clip; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What is pushed, over and over. One without a clock has no `fps`; `loop_s` is from one start to the next."""

    path: Path
    fps: int | None
    loop_s: float = 0.0
    codecs: tuple[str, ...] = COPIED


@dataclass(frozen=True, slots=True)
class ClipForm:
    """How the test clip looks; audio of 48 kHz ends with the picture when the length is a multiple of 8/375 s."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    length_s: int = 64
    bitrate_k: int = 1500


TEST_PICTURE = ClipForm()


def find_ffmpeg(named: str | None) -> str:
    """The ffmpeg that is named, or on the PATH, or that of the wheel imageio-ffmpeg."""
    found = shutil.which(named or "ffmpeg")
    if found:
        return found
    if named:
        raise ClipError(f"FFMPEG: {named} is no program")
    if find_spec("imageio_ffmpeg"):
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    raise ClipError("there is no ffmpeg: install it, name it in FFMPEG, or install podium[ffmpeg]")


async def make_clip(ffmpeg: str, directory: Path, form: ClipForm = TEST_PICTURE) -> Clip:
    """The clip in this form, made unless it is there."""
    if form.fps * form.length_s > 2**BITS:
        raise ClipError("the clock in the picture cannot count so many frames")
    path = place_of(directory, form)
    if not path.exists():
        await _make(ffmpeg, _making(form), path)
    return Clip(path, form.fps, await _loop_s(ffmpeg, path))


def place_of(directory: Path, form: ClipForm = TEST_PICTURE) -> Path:
    """Where the clip in this form is kept, once it is made."""
    name = hashlib.sha256(" ".join(_making(form)).encode()).hexdigest()[:12]
    return directory / f"probe-clip-{name}.mp4"


async def source_clip(ffmpeg: str, path: Path) -> Clip:
    """A file of the operator's, which has no clock; it is copied where every ingest takes it as it is."""
    start = [ffmpeg, *QUIET, "-i", str(path), "-t", "1"]
    copying = [*start, "-map", "0:v:0", "-map", "0:a:0?", *COPIED, *H264_AND_AAC, "-f", "flv", "pipe:1"]
    if (await output_of(copying, within_s=READING_S)).status == 0:
        return Clip(path, fps=None)
    seen = await output_of([*start, "-map", "0:v:0", "-f", "null", "-"], within_s=READING_S)
    if seen.status:
        raise ClipError(f"SOURCE_FILE: ffmpeg cannot read {path} as a video: {seen.said.strip()[-300:]}")
    return Clip(path, fps=None, codecs=ENCODED)


async def _make(ffmpeg: str, command: list[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    try:
        made = await output_of([ffmpeg, *command, str(part)], within_s=MAKING_S)
        if made.status:
            raise ClipError(f"ffmpeg cannot make the test clip: {made.said.strip()[-300:]}")
        part.replace(path)
    except (OSError, TimeoutError) as error:
        raise ClipError(f"the test clip cannot be made in {path.parent}: {error or 'it takes too long'}") from None
    finally:
        part.unlink(missing_ok=True)


def _making(form: ClipForm) -> list[str]:
    picture = f"testsrc2=size={form.width}x{form.height}:rate={form.fps},{drawing()},format=yuv420p"
    gop = str(form.fps)
    video = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", gop, "-keyint_min", gop, "-sc_threshold", "0"]
    rate = ["-b:v", f"{form.bitrate_k}k", "-maxrate", f"{form.bitrate_k}k", "-bufsize", f"{2 * form.bitrate_k}k"]
    return [
        *(*QUIET, "-y"),
        *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
        *(*video, *rate, "-c:a", "aac", "-b:a", "96k", "-t", str(form.length_s)),
    ]


async def _loop_s(ffmpeg: str, path: Path) -> float:
    """How long ffmpeg takes for a loop, which is the longest of audio and video, as it says itself."""
    once, twice = [await _frame_times(ffmpeg, path, loops) for loops in (0, 1)]
    if not once or len(twice) <= len(once):
        raise ClipError(f"ffmpeg cannot read the test clip {path}: remove it, and it is made again")
    return twice[len(once)] - twice[0]


async def _frame_times(ffmpeg: str, path: Path, loops: int) -> list[float]:
    command = [ffmpeg, *QUIET, "-stream_loop", str(loops), "-i", str(path), "-map", "0:v", "-map", "0:a", "-c", "copy"]
    printed = (await output_of([*command, "-f", "framecrc", "pipe:1"], within_s=READING_S)).printed
    base = _TIME_BASE.search(printed)
    return [int(time) * int(base[1]) / int(base[2]) for time in _FIRST_STREAM.findall(printed)] if base else []
