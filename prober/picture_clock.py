"""A clock in the picture: the number of a frame as bright and dark cells, which outlives transcoding and scaling.

Two rows at the top: the bits of the number, the lowest first, and below each its opposite, so that a cell is told from
its pair whatever happened to brightness and contrast. A mark and the parity of the bits make sure of it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

BITS = 11
MARK = (1, 0)
COLUMNS = len(MARK) + BITS + 1
ROWS = 2
SAMPLES = 3  # a side, of each cell; the one in the middle counts
STRIP = 10  # parts of the height that both rows take one of
LEAST_CONTRAST = 48


def drawing() -> str:
    """The filters of ffmpeg that draw it."""
    height = f"ih/{STRIP * ROWS}"
    cells = [f"drawbox=x=0:y=0:w=iw:h=ih/{STRIP}:color=black:t=fill"]
    for column, bit in enumerate(_bits()):
        for row, shown in enumerate((bit, f"1-{bit}")):
            place = f"x=iw*{column}/{COLUMNS}:y={height}*{row}:w=iw/{COLUMNS}:h={height}"
            cells.append(f"drawbox={place}:color=white:t=fill:enable='{shown}'")
    return ",".join(cells)


def reading(ffmpeg: str | Path) -> list[str | Path]:
    """The command that reads the cells of the first picture of what it is given."""
    scale = f"crop=iw:ih/{STRIP}:0:0,scale={COLUMNS * SAMPLES}:{ROWS * SAMPLES}:flags=area,format=gray"
    quiet = ["-hide_banner", "-nostdin", "-loglevel", "error"]
    return [ffmpeg, *quiet, "-i", "pipe:0", "-map", "0:v:0", "-frames:v", "1", "-vf", scale, "-f", "rawvideo", "pipe:1"]


def frame_number(samples: bytes) -> int | None:
    """The number that cells say, read by `reading`; None where there is no clock, or none that can be read."""
    if len(samples) != COLUMNS * ROWS * SAMPLES**2:
        return None
    upper, lower = _row(samples, 0), _row(samples, 1)
    if any(abs(bright - dark) < LEAST_CONTRAST for bright, dark in zip(upper, lower, strict=True)):
        return None
    cells = [int(bright > dark) for bright, dark in zip(upper, lower, strict=True)]
    bits, parity = cells[len(MARK) : -1], cells[-1]
    if tuple(cells[: len(MARK)]) != MARK or sum(bits) % 2 != parity:
        return None
    return sum(bit << place for place, bit in enumerate(bits))


def _bits() -> Iterator[str]:
    """Expressions of ffmpeg's, of the frame's number n, that are 0 or 1."""
    places = [f"mod(floor(n/{2**place}),2)" for place in range(BITS)]
    yield from (str(bit) for bit in MARK)
    yield from places
    yield f"mod({'+'.join(places)},2)"


def _row(samples: bytes, row: int) -> Sequence[int]:
    middle = row * SAMPLES + SAMPLES // 2
    line = samples[middle * COLUMNS * SAMPLES : (middle + 1) * COLUMNS * SAMPLES]
    return line[SAMPLES // 2 :: SAMPLES]
