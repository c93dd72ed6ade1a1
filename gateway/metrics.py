"""Events become logs and metrics here; everything else only reports them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import inf
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, UnknownMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest

from gateway.observed_operations import BUCKETS_S, ObservedOperations
from schema.trace import Trace

TOO_OFTEN_FOR_LOGS = ("events_delivered", "persisted_document")
LEVELS = {
    "results_stored": "debug",
    "results_replayed": "debug",
    "results_refused": "debug",
    "logs_trimmed": "debug",
    "probe_run_stored": "debug",
    "probe_run_replayed": "debug",
    "leadership_lost": "warning",
    "logs_lost": "error",
    "listener_lost": "warning",
    "replica_not_used": "warning",
    "feed_clock_stepped": "warning",
    "export_broken": "warning",
}

log: Any = structlog.get_logger()


class Metrics:
    """This gateway's metrics, and the way of reported events into metrics and logs.

    GraphQL operations that take `slow_operation_s` or longer are logged; all are given to `send_span`.
    """

    def __init__(self, slow_operation_s: float = inf, send_span: Callable[[Trace], None] | None = None) -> None:
        self.registry = CollectorRegistry()
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=self.registry)
        self.requests = 0  # but for those of metrics
        self._requests = self._counter("podium_http_requests", "Requests answered.", "route", "method", "status")
        self._latency = Histogram(
            "podium_http_request_duration_seconds",
            "Time from a request's first byte to its answer's last.",
            ("route",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._requests_of = cache(lambda route, method, status: self._requests.labels(route, method, str(status)))
        self._latency_of = cache(self._latency.labels)
        self._operations = ObservedOperations(self.registry, slow_operation_s, send_span)
        self._stored = self._counter("podium_results_stored", "Results stored.")
        self._replayed = self._counter(
            "podium_results_replayed", "Results that came again by a key, and were not stored."
        )
        self._refused = self._counter("podium_results_refused", "Results refused.", "reason")
        self._batches = Histogram(
            "podium_results_batch_size",
            "Results stored in one transaction.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self.registry,
        )
        self._persisted = self._counter(
            "podium_persisted_documents", "Documents that were named (hit, miss), kept or refused.", "outcome"
        )
        self._delivered = self._counter("podium_subscription_messages", "Answers delivered to subscribers.")
        self._slow = self._counter("podium_slow_consumers_ended", "Operations ended because nobody read their answers.")
        self._lines_lost = self._counter("podium_listener_lines_lost", "Connections for notifications that were lost.")
        self._errors = self._counter("podium_internal_errors", "Mistakes of podium's own.")
        self._loop_failures = self._counter("podium_loop_failures", "Rounds of a background loop that failed.", "loop")

    def request(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count an answered request; a stream takes as long as its client likes."""
        self._requests_of(route, method, status).inc()
        self.requests += route not in ("/metrics", "/metrics/")
        if seconds is not None:
            self._latency_of(route).observe(seconds)

    def watch(self, name: str, documentation: str, read: Callable[[], Mapping[str, float] | float]) -> None:
        """Show a gauge that is read whenever metrics are asked for; a dict has values by `state`."""
        self.registry.register(_Watched(GaugeMetricFamily, name, documentation, "state", read))

    def watch_original(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Show a count by the very name that another system gave it; OpenMetrics' counters end with _total."""
        self.registry.register(_Watched(UnknownMetricFamily, name, documentation, "state", read))

    def watch_counts(
        self,
        name: str,
        documentation: str,
        read: Callable[[], Mapping[str, float] | float],
        label: str = "source",
    ) -> None:
        """Show a counter, or several by this label, that somebody else counts; they are read whenever metrics are asked
        for.
        """
        self.registry.register(_Watched(CounterMetricFamily, name, documentation, label, read))

    def collect(self) -> list[Metric]:
        """The present values."""
        return list(self.registry.collect())

    def report(self, event: str, **facts: Any) -> None:
        """An event of any part of podium: counted, and logged with its facts."""
        if event == "operation":
            self._operations.observe(facts["trace"])
            return
        self._count(event, facts)
        if event == "internal_error":
            log.error(event, exc_info=facts["error"])
        elif event not in TOO_OFTEN_FOR_LOGS:
            level = "warning" if event.endswith("_failed") else LEVELS.get(event, "info")
            getattr(log, level)(event, **{name: _shown(fact) for name, fact in facts.items()})

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _count(self, event: str, facts: dict[str, Any]) -> None:
        match event:
            case "results_stored":
                self._stored.inc(facts["count"])
                self._batches.observe(facts["count"])
            case "results_replayed":
                self._replayed.inc(facts["count"])
            case "results_refused":
                self._refused.labels(facts["reason"]).inc(facts["count"])
            case "persisted_document":
                self._persisted.labels(facts["outcome"]).inc()
            case "events_delivered":
                self._delivered.inc(facts["count"])
            case "slow_consumer_ended":
                self._slow.inc()
            case "listener_lost":
                self._lines_lost.inc()
            case "internal_error":
                self._errors.inc()
            case _ if event.endswith("_failed"):
                self._loop_failures.labels(event.removesuffix("_failed")).inc()


def exposition(families: Sequence[Metric]) -> bytes:
    """Metrics as OpenMetrics text."""
    return generate_latest(_Collected(families))  # type: ignore[no-untyped-call,no-any-return]


class _Collected:
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        """What was collected before."""
        return self._families


Family = GaugeMetricFamily | CounterMetricFamily | UnknownMetricFamily


class _Watched:
    def __init__(
        self,
        family: type[Family],
        name: str,
        documentation: str,
        label: str,
        read: Callable[[], Mapping[str, float] | float],
    ) -> None:
        self._family = family
        self._name = name
        self._documentation = documentation
        self._label = label
        self._read = read

    def describe(self) -> list[Family]:
        """Nothing is read at registration."""
        return []

    def collect(self) -> list[Family]:
        """The present values."""
        value = self._read()
        if not isinstance(value, Mapping):
            return [self._family(self._name, self._documentation, value)]
        family = self._family(self._name, self._documentation, labels=[self._label])
        for name, number in value.items():
            family.add_metric([name], number)
        return [family]


def _shown(fact: Any) -> Any:
    # What an exception says may hold a connection string; its type says enough.
    if isinstance(fact, asyncio.CancelledError | Exception):
        return type(fact).__name__
    return fact
