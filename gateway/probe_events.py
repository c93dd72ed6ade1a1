"""Where the events of probes go: into metrics, the table, alerts, and log lines."""

from typing import Any, Protocol

import structlog

from prober.metrics import ProbeMetrics
from prober.run import Run, Status
from prober.table import StreamTable

NOT_LOGGED = frozenset({"probe_segment", "probe_sample"})
LEVELS = {
    "probe_started": "debug",
    "probe_pushes": "debug",
    "probe_pauses": "debug",
    "probe_segment_missed": "warning",
    "probe_alert": "warning",
}

log: Any = structlog.get_logger()


class Sampled(Protocol):
    """What hears of good and bad samples."""

    def bad(self, stream: str, reason: str, detail: str) -> None:
        """A bad one."""

    def good(self, stream: str) -> None:
        """A good one."""


class ProbeEvents:
    """Every event of a probe is reported here; `alerts` come in when they are there."""

    def __init__(self, metrics: ProbeMetrics, table: StreamTable) -> None:
        self.metrics = metrics
        self.table = table
        self.alerts: Sampled | None = None

    def report(self, event: str, **facts: Any) -> None:
        """Count it, show it, log it; samples and ends of runs make alerts."""
        self.metrics.observe(event, **facts)
        self.table.observe(event, **facts)
        if event == "internal_error":
            log.error(event, stream=facts.get("stream"), exc_info=facts["error"])
        elif event == "probe_ended":
            _log_run(facts["run"])
        elif event not in NOT_LOGGED:
            level = LEVELS.get(event, "warning" if event.endswith("_failed") else "info")
            getattr(log, level)(event, **{name: _shown(fact) for name, fact in facts.items()})
        if self.alerts:
            _sample(self.alerts, event, facts)


def _sample(alerts: Sampled, event: str, facts: dict[str, Any]) -> None:
    if event == "probe_sample" and facts["is_good"]:
        alerts.good(facts["stream"])
    elif event == "probe_sample":
        alerts.bad(facts["stream"], facts["reason"], facts["detail"])
    elif event == "probe_ended":
        run: Run = facts["run"]
        if run.status is Status.SUCCESS:
            alerts.good(run.stream)
        elif run.reason:
            alerts.bad(run.stream, run.reason, run.detail or "")


def _log_run(run: Run) -> None:
    say = log.warning if run.status is Status.FAILURE else log.info
    why = {"reason": run.reason, "detail": run.detail} if run.reason else {}
    say(
        "probe_ended",
        stream=run.stream,
        run_id=run.id,
        status=run.status,
        **why,
        duration_s=round(run.duration_s, 3),
        startup_s=_rounded(run.startup_s),
        latency_s=_rounded(run.latency_s),
        clock=run.clock,
        segments_expected=run.segments_expected,
        segments_received=run.segments_received,
        bytes=run.bytes,
        gaps=run.gaps,
        discontinuities=run.discontinuities,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _shown(fact: Any) -> Any:
    return repr(fact) if isinstance(fact, Exception) else fact
