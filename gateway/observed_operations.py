"""Reported operations become metrics, and those that were slow log lines."""

from collections.abc import Callable
from functools import cache
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from schema.trace import Trace, milliseconds

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

log: Any = structlog.get_logger()


class ObservedOperations:
    """The metrics of GraphQL operations; clients choose the names of these, so nothing is counted by name.

    Operations that take `slow_s` or longer are logged; all are sent as spans where there is a `send_span`.
    """

    def __init__(self, registry: CollectorRegistry, slow_s: float, send_span: Callable[[Trace], None] | None) -> None:
        self._slow_s = slow_s
        self._send_span = send_span
        durations = Histogram(
            "podium_operation_duration_seconds",
            "Time for which GraphQL operations were worked on; of subscriptions, for their opening.",
            ("kind", "outcome"),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._durations_of = cache(durations.labels)
        self._errors = Counter(
            "podium_operation_errors",
            "GraphQL operations not answered in full, by the code of their first error.",
            ("code",),
            registry=registry,
        )

    def observe(self, trace: Trace) -> None:
        """An operation is over."""
        seconds = trace.total_s
        self._durations_of(trace.kind, trace.outcome).observe(seconds)
        if trace.code:
            self._errors.labels(trace.code).inc()
        if seconds >= self._slow_s:
            log.warning("slow_operation", **_facts(trace))
        if self._send_span:
            self._send_span(trace)


def _facts(trace: Trace) -> dict[str, Any]:
    named = {name: getattr(trace, name) for name in ("name", "kind", "document", "outcome", "source", "code", "cost")}
    times = {f"{step}_ms": milliseconds(seconds) for step, seconds in trace.seconds.items()}
    database = {"database_ms": milliseconds(trace.database_s), "statements": trace.statements}
    return {**named, **times, **database, "total_ms": milliseconds(trace.total_s)}
