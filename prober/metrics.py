"""The figures of all probes for Prometheus, by the names that dashboards of the original ask for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from prober.run import Reason, Run, Status
from prober.streams import Stream

BUCKETS_S = (0.25, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60, 90, 120)
SEGMENT_BUCKETS_S = (0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 15)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_COUNTED = (Status.SUCCESS, Status.FAILURE)
MOST_VARIANTS = 100
OTHERS = "other"


class ProbeMetrics:
    """Hears of events, and shows what came of them.

    Of one stream, labels are those of the original: `region` and `duration`. Several have their names and regions too.
    """

    def __init__(
        self, streams: Sequence[Stream], *, prefix: str, region: str | None = None, duration: str | None = None
    ) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._labels = {stream.name: _labels(stream, region, duration, is_one=len(streams) == 1) for stream in streams}
        self._variants: dict[str, set[str]] = {stream.name: set() for stream in streams}
        self._prefix = prefix
        self._tests = _Tests(f"{prefix}total_tests", self._labels)
        self.registry.register(self._tests)
        self._active = self._gauge("active_tests", "Pushes under way.")
        self._startup = self._gauge("test_startup_seconds", "Start-up of the last run: push to first segment.")
        self._latency = self._gauge("latency_seconds", "Latency of the last segment of a rendition.", "variant")
        self._duration = self._gauge("segment_duration_seconds", "Duration of the last segment.")
        self._startups = self._histogram("test_startup_seconds", "Start-ups.", BUCKETS_S)
        self._latencies = self._histogram("latency_seconds", "Segment latencies.", BUCKETS_S, "variant")
        self._durations = self._histogram("segment_duration_seconds", "Segment durations.", SEGMENT_BUCKETS_S)
        self._received = self._counter("segments_received", "Segments that came and can be played.", "variant")
        self._missed = self._counter("segments_missed", "Segments that did not come, or cannot be played.", "variant")
        self._failures = self._counter("failures", "Runs that failed, by why.", "reason")
        for labels in self._labels.values():
            self._active.labels(**labels).set(0)
            for reason in Reason:  # those that are there at 0 show an increase when the first comes
                self._failures.labels(**labels, reason=reason)

    def observe(self, event: str, **facts: Any) -> None:
        """Take note of an event; others than those of probes mean nothing here."""
        labels = self._labels.get(facts.get("stream", ""))
        if labels is None:
            return
        match event:
            case "probe_started":
                self._active.labels(**labels).set(1)
            case "probe_first_segment":
                self._startup.labels(**labels).set(facts["startup_s"])
                self._startups.labels(**labels).observe(facts["startup_s"])
            case "probe_segment":
                self._segment(self._with_variant(labels, facts), labels, facts)
            case "probe_segment_missed":
                self._missed.labels(**self._with_variant(labels, facts)).inc()
            case "probe_ended":
                self._ended(labels, facts["stream"], facts["run"])

    def exposed(self) -> bytes:
        """What Prometheus reads."""
        name = f"{self._prefix}total_tests"
        return generate_latest(self.registry).replace(
            f"# TYPE {name} untyped".encode(), f"# TYPE {name} counter".encode()
        )

    def _with_variant(self, labels: Mapping[str, str], facts: Mapping[str, Any]) -> dict[str, str]:
        """With the name of a rendition; when a network has made up too many, the new ones are one."""
        name, known = facts["rendition"], self._variants[facts["stream"]]
        if name not in known and len(known) >= MOST_VARIANTS:
            name = OTHERS
        found = {**labels, "variant": name}
        if name not in known:
            known.add(name)
            for counter in (self._received, self._missed):  # at 0, as those of failures
                counter.labels(**found)
        return found

    def _segment(self, variant: Mapping[str, str], labels: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        self._received.labels(**variant).inc()
        self._duration.labels(**labels).set(facts["duration_s"])
        self._durations.labels(**labels).observe(facts["duration_s"])
        if facts["latency_s"] is not None:
            self._latency.labels(**variant).set(facts["latency_s"])
            self._latencies.labels(**variant).observe(facts["latency_s"])

    def _ended(self, labels: Mapping[str, str], stream: str, run: Run) -> None:
        self._active.labels(**labels).set(0)
        if run.status in _COUNTED:
            self._tests.count(stream, run.status)
        if run.reason:
            self._failures.labels(**labels, reason=run.reason).inc()

    def _names(self, *more: str) -> tuple[str, ...]:
        return (*next(iter(self._labels.values())), *more)

    def _gauge(self, name: str, documentation: str, *more: str) -> Gauge:
        return Gauge(self._prefix + name, documentation, self._names(*more), registry=self.registry)

    def _counter(self, name: str, documentation: str, *more: str) -> Counter:
        return Counter(self._prefix + name, documentation, self._names(*more), registry=self.registry)

    def _histogram(self, name: str, documentation: str, buckets: Sequence[float], *more: str) -> Histogram:
        name = f"{self._prefix}{name}_histogram"
        return Histogram(name, documentation, self._names(*more), buckets=buckets, registry=self.registry)


class _Tests(Collector):
    """Runs by how they ended. The name of the original's counter has no `_total` at its end, as every counter of the
    library has, so that this is one of our own.
    """

    def __init__(self, name: str, labels: Mapping[str, Mapping[str, str]]) -> None:
        self._name = name
        self._labels = labels
        self._counts = {(stream, status): 0 for stream in labels for status in _COUNTED}

    def count(self, stream: str, status: Status) -> None:
        """One more."""
        self._counts[stream, status] += 1

    def collect(self) -> Iterator[Metric]:
        """The present counts."""
        metric = Metric(self._name, "Runs that have ended, by how.", "unknown")
        for (stream, status), count in self._counts.items():
            metric.add_sample(self._name, {"status": status.value, **self._labels[stream]}, count)
        yield metric


def _labels(stream: Stream, region: str | None, duration: str | None, *, is_one: bool) -> dict[str, str]:
    labels = {"region": region or stream.shown_region, "duration": duration or stream.shown_duration}
    if is_one:
        return labels
    ends = {"ingest_region": stream.ingest_region or "", "playback_region": stream.playback_region or ""}
    return {**labels, "stream": stream.name, **ends}
