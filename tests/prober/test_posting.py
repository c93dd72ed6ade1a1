"""Runs as results of the leaderboard, in a real podium."""

from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from prober.posting import Poster, is_posted, result_of
from prober.run import Reason, RenditionRun, Run, Status, spread_of
from tests.harness import SECRET, Running

RENDITION = RenditionRun(
    name="1280x720",
    segments_expected=10,
    segments_received=10,
    segments_missed=0,
    segments_corrupt=0,
    gaps=0,
    discontinuities=0,
    bytes=1,
    download_s=1.5,
    latency_s=spread_of([1.0, 2.0]),
    duration_s=spread_of([2.0] * 10),
    declared_duration_s=None,
)
RUN = Run(
    id="8b0d3c9e",
    stream="a",
    region="FRA",
    ingest_region=None,
    playback_region=None,
    orchestrator="0xabc",
    started_at=datetime.now(UTC),
    ended_at=datetime.now(UTC),
    wanted_s=40,
    status=Status.SUCCESS,
    reason=None,
    detail=None,
    startup_s=3.0,
    clock=None,
    expected_renditions=("1280x720",),
    renditions=(RENDITION,),
)
FAILED = replace(RUN, status=Status.FAILURE, reason=Reason.STALLED, detail="nothing new")


async def test_podium_stores_a_run_once_however_often_it_comes(running: Running) -> None:
    async with httpx.AsyncClient() as client:
        poster = Poster(client, f"{running.url}/", SECRET)
        await poster.post(FAILED)
        await poster.post(FAILED)
        stored = (await client.get(f"{running.url}/api/raw_stats?orchestrator=0xabc")).json()["FRA"]
    (result,) = stored
    assert (result["success_rate"], result["round_trip_time"], result["seg_duration"]) == (0.5, 1.5, 2.0)
    assert (result["segments_sent"], result["segments_received"], result["download_time"]) == (10, 10, 1.5)
    assert result["errors"] == [{"error_code": "stalled", "message": "nothing new", "count": 1}]


async def test_a_wrong_secret_is_an_error_that_is_not_tried_again(running: Running) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.HTTPStatusError, match=r"401|403"):
            await Poster(client, running.url, "wrong").post(RUN)


def test_a_run_that_says_nothing_of_an_orchestrator_is_not_posted() -> None:
    assert is_posted(RUN)
    assert not is_posted(replace(RUN, orchestrator=None))
    assert not is_posted(replace(RUN, region=None))
    assert not is_posted(replace(RUN, status=Status.ABORTED))


def test_a_failed_run_counts_for_as_long_as_it_played() -> None:
    assert result_of(RUN)["success_rate"] == 1.0
    assert result_of(FAILED)["success_rate"] == 0.5
    assert result_of(replace(FAILED, renditions=()))["success_rate"] == 0.0
