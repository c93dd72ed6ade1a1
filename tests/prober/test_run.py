"""The sums that a run tells of its renditions."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from prober.clip import Clip
from prober.run import Clock, Reason, RenditionRun, Run, Status, spread_of
from tests.prober.network import Network
from tests.prober.running import Prober, stream_of


def _rendition(name: str, *, received: int, latencies: list[float]) -> RenditionRun:
    return RenditionRun(
        name=name,
        segments_expected=10,
        segments_received=received,
        segments_missed=10 - received,
        segments_corrupt=0,
        gaps=1,
        discontinuities=2,
        bytes=1000,
        download_s=0.5,
        latency_s=spread_of(latencies),
        duration_s=spread_of([2.0] * received),
        declared_duration_s=None,
    )


def test_a_run_sums_up_its_renditions() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    renditions = _rendition("1280x720", received=10, latencies=[1.0, 3.0]), _rendition("a", received=9, latencies=[8.0])
    run = Run(
        id="1",
        stream="a",
        region="FRA",
        ingest_region=None,
        playback_region=None,
        orchestrator=None,
        started_at=at,
        ended_at=at + timedelta(seconds=90),
        wanted_s=60,
        status=Status.SUCCESS,
        reason=None,
        detail=None,
        startup_s=4.5,
        clock=Clock.PICTURE,
        expected_renditions=("1280x720", "a"),
        renditions=renditions,
    )
    assert (run.duration_s, run.bytes, run.gaps, run.discontinuities) == (90, 2000, 2, 4)
    assert (run.segments_expected, run.segments_received, run.received_share) == (20, 19, 0.95)
    assert run.latency_s == pytest.approx(4.0)


async def test_a_run_ends_after_it_began_although_the_clock_is_set_back(
    clip: Clip, ffmpeg: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SetBack(datetime):
        hours = 0

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            cls.hours += 1
            return datetime(2026, 1, 2, tzinfo=tz) - timedelta(hours=cls.hours)

    monkeypatch.setattr("prober.probe.datetime", SetBack)
    prober = Prober(stream_of(Network(ffmpeg, tmp_path, "http://127.0.0.1:9")), clip, ffmpeg)
    run = await prober.probe.once()
    assert run.reason is Reason.PUSH_REFUSED
    assert 0 < run.duration_s < 60


def test_a_spread_has_ranks_that_are_values() -> None:
    spread = spread_of([float(number) for number in range(100, 0, -1)])
    assert spread is not None
    assert (spread.count, spread.least, spread.median, spread.p95, spread.most) == (100, 1, 50, 95, 100)
    assert spread.mean == 50.5
    assert spread_of([]) is None
