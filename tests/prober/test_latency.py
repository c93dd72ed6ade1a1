"""Latency is right: a known delay is measured, whatever packagers make of the stream. All networks run side by side."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from prober.clip import Clip, ClipForm, make_clip
from prober.run import Clock, Run, Status
from tests.prober.network import COPYING, TRANSCODING, Served
from tests.prober.running import Prober, stream_of

WITHIN_S = 0.3


@dataclass(frozen=True)
class Case:
    """A network with a delay, how it packages, and what is pushed."""

    delay_s: float
    how: tuple[str, ...] = TRANSCODING
    loop_s: int = 16
    has_clock: bool = True


CASES = {
    "no delay": Case(0.0),
    "1.5 s": Case(1.5),
    "3 s": Case(3.0),
    "timestamps that begin elsewhere": Case(1.5, (*TRANSCODING, "-output_ts_offset", "70000")),
    "timestamps that wrap around": Case(1.5, (*COPYING, "-output_ts_offset", "95438")),
    "a clip that is over and over": Case(1.5, loop_s=4),
    "no clock in the picture": Case(1.5, COPYING, has_clock=False),
}


@pytest.fixture(scope="module")
async def runs(
    served: Served, clip: Clip, ffmpeg: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, asyncio.Task[Run]]:
    """All cases, under way."""
    directory = tmp_path_factory.mktemp("latency")
    short = await make_clip(ffmpeg, directory, ClipForm(width=320, height=180, length_s=4, bitrate_k=300))

    async def run(number: int, case: Case) -> Run:
        network = served.network(f"n{number}", case.how, case.delay_s)
        await network.listens()
        pushed = short if case.loop_s == 4 else clip
        pushed = pushed if case.has_clock else Clip(pushed.path, fps=None)
        prober = Prober(stream_of(network, duration="7s", wait_for_target="15s"), pushed, ffmpeg)
        (run,) = await prober.runs(network, directory / f"{number}.json", 1)
        return run

    return {name: asyncio.create_task(run(number, case)) for number, (name, case) in enumerate(CASES.items())}


@pytest.mark.parametrize("name", CASES)
async def test_a_known_delay_is_measured(name: str, runs: dict[str, asyncio.Task[Run]]) -> None:
    run, case = await runs[name], CASES[name]
    assert (run.status, run.detail) == (Status.SUCCESS, None)
    assert run.clock is (Clock.PICTURE if case.has_clock else Clock.TIMESTAMPS)
    for rendition in run.renditions:
        assert rendition.latency_s
        assert rendition.latency_s.count >= 3
        assert case.delay_s - 0.1 < rendition.latency_s.median < case.delay_s + WITHIN_S, name


@pytest.mark.parametrize("name", CASES)
async def test_start_up_is_as_late_as_the_delay_makes_it(name: str, runs: dict[str, asyncio.Task[Run]]) -> None:
    run = await runs[name]
    assert run.startup_s
    assert 1.0 + CASES[name].delay_s < run.startup_s < 5.0 + CASES[name].delay_s


async def test_durations_are_those_of_the_content(runs: dict[str, asyncio.Task[Run]]) -> None:
    for run in await asyncio.gather(*runs.values()):
        spreads = [spread for rendition in run.renditions if (spread := rendition.duration_s)]
        assert [spread.median for spread in spreads] == pytest.approx([1.0, 1.0], abs=0.05)


async def test_a_clip_is_made_once(ffmpeg: str, tmp_path: Path) -> None:
    form = ClipForm(width=160, height=90, length_s=2, bitrate_k=100)
    first = await make_clip(ffmpeg, tmp_path, form)
    made_at = first.path.stat().st_mtime_ns
    assert await make_clip(ffmpeg, tmp_path, form) == first
    assert first.path.stat().st_mtime_ns == made_at
    assert first.loop_s == pytest.approx(2.0, abs=0.1)
