"""What is pushed: a file of the operator's is copied where every ingest takes it."""

from pathlib import Path

import pytest

from prober.child import output_of
from prober.clip import COPIED, ENCODED, QUIET, ClipError, source_clip

PICTURE = "-f lavfi -i testsrc2=size=160x90:rate=10"
SOUND = "-f lavfi -i sine"
ENCODINGS = {
    "H.264 and AAC": (f"{PICTURE} {SOUND} -t 2 -c:v libx264 -c:a aac", COPIED),
    "no sound": (f"{PICTURE} -t 2 -c:v libx264", COPIED),
    "HEVC": (f"{PICTURE} {SOUND} -t 2 -c:v libx265 -x265-params log-level=none -c:a aac", ENCODED),
    "FLAC": (f"{PICTURE} {SOUND} -t 2 -c:v libx264 -c:a flac", ENCODED),
}


@pytest.mark.parametrize("name", ENCODINGS)
async def test_what_not_every_ingest_takes_is_encoded(name: str, ffmpeg: str, tmp_path: Path) -> None:
    how, expected = ENCODINGS[name]
    path = tmp_path / "source.mkv"
    assert (await output_of([ffmpeg, *QUIET, *how.split(), path], within_s=30)).status == 0
    assert (await source_clip(ffmpeg, path)).codecs == expected


async def test_what_is_no_video_is_refused(ffmpeg: str, tmp_path: Path) -> None:
    (tmp_path / "source.mkv").write_text("no video")
    for path in (tmp_path / "source.mkv", tmp_path / "absent.mkv"):
        with pytest.raises(ClipError, match="SOURCE_FILE: ffmpeg cannot read"):
            await source_clip(ffmpeg, path)
