"""Events become logs and metrics here; everything else only reports them."""

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

log: Any = structlog.get_logger()


class Metrics:
    """This gateway's metrics, and the way of reported events into metrics and logs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=self.registry)
        self._requests = Counter(
            "podium_http_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self._latency = Histogram(
            "podium_http_request_duration_seconds",
            "Time from a request's first byte to its answer's last.",
            ("route",),
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self._requests_of = cache(lambda route, method, status: self._requests.labels(route, method, str(status)))
        self._latency_of = cache(self._latency.labels)
        self._stored = Counter("podium_results_stored", "Results stored.", registry=self.registry)
        self._replayed = Counter(
            "podium_results_replayed", "Results that came again by a key, and were not stored.", registry=self.registry
        )
        self._refused = Counter("podium_results_refused", "Results refused.", ("reason",), registry=self.registry)
        self._batches = Histogram(
            "podium_results_batch_size",
            "Results stored in one transaction.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self.registry,
        )
        self._delivered = Counter(
            "podium_subscription_messages", "Answers delivered to subscribers.", registry=self.registry
        )
        self._slow = Counter(
            "podium_slow_consumers_ended", "Operations ended because nobody read their answers.", registry=self.registry
        )
        self._lines_lost = Counter(
            "podium_listener_lines_lost", "Connections for notifications that were lost.", registry=self.registry
        )
        self._errors = Counter("podium_internal_errors", "Mistakes of podium's own.", registry=self.registry)
        self._loop_failures = Counter(
            "podium_loop_failures", "Rounds of a background loop that failed.", ("loop",), registry=self.registry
        )

    def request(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count an answered request; a stream takes as long as its client likes."""
        self._requests_of(route, method, status).inc()
        if seconds is not None:
            self._latency_of(route).observe(seconds)

    def watch(self, name: str, documentation: str, read: Callable[[], dict[str, float] | float]) -> None:
        """Show a gauge that is read whenever metrics are asked for; a dict has values by `state`."""
        self.registry.register(_Gauge(name, documentation, read))

    def report(self, event: str, **facts: Any) -> None:
        """An event of any part of podium: counted, and logged with its facts."""
        match event:
            case "results_stored":
                self._stored.inc(facts["count"])
                self._batches.observe(facts["count"])
                log.debug(event, **facts)
            case "results_replayed":
                self._replayed.inc(facts["count"])
                log.debug(event, **facts)
            case "results_refused":
                self._refused.labels(facts["reason"]).inc(facts["count"])
                log.debug(event, **facts)
            case "events_delivered":
                self._delivered.inc(facts["count"])
            case "slow_consumer_ended":
                self._slow.inc()
                log.info(event, **facts)
            case "listener_lost":
                self._lines_lost.inc()
                log.warning(event, **facts)
            case "export_broken":
                log.warning(event, **facts)
            case "internal_error":
                self._errors.inc()
                log.error(event, exc_info=facts["error"])
            case _ if event.endswith("_failed"):
                self._loop_failures.labels(event.removesuffix("_failed")).inc()
                log.warning(event, **{name: _shown(fact) for name, fact in facts.items()})
            case _:
                log.info(event, **facts)


class _Gauge:
    def __init__(self, name: str, documentation: str, read: Callable[[], dict[str, float] | float]) -> None:
        self._name = name
        self._documentation = documentation
        self._read = read

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is read at registration."""
        return []

    def collect(self) -> list[GaugeMetricFamily]:
        """The present values."""
        value = self._read()
        family = GaugeMetricFamily(self._name, self._documentation, labels=["state"] if isinstance(value, dict) else [])
        for state, number in value.items() if isinstance(value, dict) else [("", value)]:
            family.add_metric([state] if state else [], number)
        return [family]


def _shown(fact: Any) -> Any:
    # What an exception says may hold a connection string; its type says enough.
    if isinstance(fact, asyncio.CancelledError | Exception):
        return type(fact).__name__
    return fact
