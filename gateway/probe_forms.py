"""Runs of the prober in the forms in which they are stored: in this process, and through the graph of a gateway."""

from collections.abc import Mapping
from typing import Any

import msgspec

from prober.run import Run
from resolvers.probe_runs import MAX_DETAIL_LENGTH, MAX_RENDITIONS, ProbeRun, RenditionRun, Spread

RECORD_PROBE_RUN = """mutation RecordProbeRun($input: RecordProbeRunInput!) {
  recordProbeRun(input: $input) { replayed errors { code field message } }
}"""


def stored_form(run: Run) -> ProbeRun:
    """A run as the database keeps it; what is too much of it is cut, so that the rest is stored."""
    found = msgspec.convert(msgspec.to_builtins(run), ProbeRun)
    return msgspec.structs.replace(
        found,
        detail=found.detail and found.detail.replace("\0", "\ufffd")[:MAX_DETAIL_LENGTH],
        expected_renditions=found.expected_renditions[:MAX_RENDITIONS],
        renditions=found.renditions[:MAX_RENDITIONS],
    )


def input_of(run: ProbeRun) -> Mapping[str, Any]:
    """The input of `recordProbeRun`."""
    return {
        "runId": run.id,
        "stream": run.stream,
        "region": run.region,
        "ingestRegion": run.ingest_region,
        "playbackRegion": run.playback_region,
        "orchestrator": run.orchestrator,
        "startedAt": run.started_at.isoformat(),
        "endedAt": run.ended_at.isoformat(),
        "wantedDuration": run.wanted_s,
        "status": run.status.name,
        "reason": run.reason,
        "detail": run.detail,
        "startupTime": run.startup_s,
        "clock": run.clock and run.clock.name,
        "expectedRenditions": run.expected_renditions,
        "renditions": [_rendition(rendition) for rendition in run.renditions],
    }


def _rendition(rendition: RenditionRun) -> dict[str, Any]:
    return {
        "name": rendition.name,
        "segmentsExpected": rendition.segments_expected,
        "segmentsReceived": rendition.segments_received,
        "segmentsMissed": rendition.segments_missed,
        "segmentsCorrupt": rendition.segments_corrupt,
        "gaps": rendition.gaps,
        "discontinuities": rendition.discontinuities,
        "bytes": rendition.bytes,
        "downloadTime": rendition.download_s,
        "latency": _spread(rendition.latency_s),
        "segmentDuration": _spread(rendition.duration_s),
        "declaredSegmentDuration": _spread(rendition.declared_duration_s),
    }


def _spread(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    return {
        "count": spread.count,
        "min": spread.least,
        "p50": spread.median,
        "mean": spread.mean,
        "p95": spread.p95,
        "max": spread.most,
    }
