"""Runs of the prober, for tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from prober.run import Clock, Reason, RenditionRun, Run, Status, spread_of

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
RENDITION = {
    "segments_expected": 10,
    "segments_received": 10,
    "segments_missed": 0,
    "segments_corrupt": 0,
    "gaps": 0,
    "discontinuities": 0,
    "bytes": 3_000_000_000,
    "download_s": 1.5,
}


def a_rendition(name: str = "1280x720", latencies: Sequence[float] = (1.0, 2.0, 3.0), **given: Any) -> RenditionRun:
    """A rendition that went well."""
    measured: dict[str, Any] = {
        "latency_s": spread_of(latencies),
        "duration_s": spread_of([2.0, 2.5]),
        "declared_duration_s": spread_of([2.0]),
    }
    return RenditionRun(name=name, **{**RENDITION, **measured, **given})


def a_run(id: str = "run-1", **given: Any) -> Run:
    """A run of 2 minutes that went well, unless it has a reason."""
    started_at = given.get("started_at", START)
    usual: dict[str, Any] = {
        "stream": "fra-to-lax",
        "region": "FRA",
        "ingest_region": "fra",
        "playback_region": "lax",
        "orchestrator": None,
        "started_at": started_at,
        "ended_at": started_at + timedelta(minutes=2),
        "wanted_s": 120.0,
        "status": Status.FAILURE if given.get("reason") else Status.SUCCESS,
        "reason": None,
        "detail": None,
        "startup_s": 4.5,
        "clock": Clock.PICTURE,
        "expected_renditions": ("1280x720", "640x360"),
        "renditions": (a_rendition(), a_rendition("640x360", (4.0,))),
    }
    return Run(id=id, **{**usual, **given})


def a_failed_run(id: str, reason: Reason = Reason.NO_FIRST_SEGMENT, **given: Any) -> Run:
    """A run in which nothing came."""
    nothing: dict[str, Any] = {"startup_s": None, "clock": None, "renditions": ()}
    return a_run(id, reason=reason, detail="nothing came within 120 s", **{**nothing, **given})
