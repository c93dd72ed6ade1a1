"""`podium probe` against an ingest that people run: nginx with its RTMP module takes the push, and makes HLS of it."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prober.clip import Clip, place_of
from tests.debian import program_for_tests
from tests.harness import eventually
from tests.prober.nginx_rtmp import KEY, NGINX_RTMP, NginxRtmp, nginx_rtmp
from tests.processes import Podium, Start

SEGMENT_S = 2.0
NO_FILE = {"SOURCE_FILE": ""}


@pytest.fixture
async def nginx(pytestconfig: pytest.Config, ffmpeg: str) -> AsyncIterator[NginxRtmp]:
    """An nginx, wherever it comes from, that does not run yet."""
    async with nginx_rtmp(program_for_tests(NGINX_RTMP, pytestconfig), ffmpeg) as nginx:
        yield nginx


@pytest.fixture
def config(nginx: NginxRtmp, clip: Clip, tmp_path: Path) -> str:
    """Streams of this nginx; the small clip is where `podium probe` keeps the test picture that it makes."""
    (tmp_path / "data").mkdir()
    shutil.copy(clip.path, place_of(tmp_path / "data"))
    file = tmp_path / "streams.yaml"
    file.write_text(
        f"streams: [{{name: nginx, duration: 12s, pause: 1s, wait_for_target: 60s, variants: [640x360, 320x180],"
        f" ingest_url: '{nginx.ingest_url}', playback_url: '{nginx.playback_url}'}}]"
    )
    return str(file)


def _reasons(podium: Podium) -> list[str | None]:
    return [run.get("reason") for run in podium.events("probe_ended")]


async def test_both_renditions_come_and_latency_is_measured(nginx: NginxRtmp, config: str, start: Start) -> None:
    await nginx.start()
    podium = await start("--config", config, "--once", **NO_FILE)
    assert await podium.end(within_s=120) == 0, podium.printed
    (run,) = podium.events("probe_ended")
    assert (run["status"], run["clock"]) == ("success", "picture")
    assert run["segments_expected"] >= 2 * 12 / SEGMENT_S - 2
    assert 0 < run["latency_s"] < SEGMENT_S < run["startup_s"]
    assert KEY not in podium.printed + "".join(podium.lines)


@pytest.mark.parametrize("who_may", ["deny publish all;", "on_publish {nowhere};"], ids=["deny", "on_publish"])
async def test_an_ingest_that_refuses_is_told_as_that(
    nginx: NginxRtmp, config: str, start: Start, who_may: str
) -> None:
    await nginx.start(who_may.format(nowhere=nginx.nowhere_url))
    podium = await start("--config", config, "--once", **NO_FILE)
    assert await podium.end(within_s=60) == 1
    assert _reasons(podium) == ["push_refused"]


async def test_an_ingest_that_dies_is_told_as_that_and_all_is_well_when_it_is_back(
    nginx: NginxRtmp, config: str, start: Start
) -> None:
    await nginx.start()
    podium = await start("--config", config, **NO_FILE)
    await eventually(lambda: podium.event("probe_first_segment"), within_s=60)
    await nginx.kill()
    await eventually(lambda: len(_reasons(podium)) > 1, within_s=30)
    await nginx.start()
    await eventually(lambda: podium.events("probe_ended")[-1]["status"] == "success", within_s=120)
    died, *refused, none = _reasons(podium)
    assert (died, set(refused), none) == ("push_died", {"push_refused"}, None)
