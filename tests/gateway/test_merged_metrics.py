"""Metrics of several processes, added up."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from gateway.merged_metrics import merged, of_worker, that_stays
from gateway.metrics import exposition


def families_of(stored: int, seconds: list[float], *routes: str) -> list[Metric]:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Counter("stored", "Stored.", registry=registry).inc(stored)
    Gauge("waiting", "Waiting.", registry=registry).set(stored)
    latency = Histogram("latency", "Latency.", ("route",), buckets=(0.1, 1), registry=registry)
    for route in routes:
        for second in seconds:
            latency.labels(route).observe(second)
    return list(registry.collect())


def values(families: list[Metric]) -> dict[str, float]:
    """By the sample's name and its labels, of the text that is exposed, when it is right."""
    parsed = text_string_to_metric_families(exposition(families).decode())
    return {f"{s.name}{sorted(s.labels.items())}": s.value for family in parsed for s in family.samples}


def test_counters_gauges_and_histograms_are_added_up() -> None:
    both = values(merged([families_of(2, [0.05, 0.5], "/a"), families_of(3, [0.5], "/b", "/a")]))
    assert both["stored_total[]"] == 5
    assert both["waiting[]"] == 5
    assert both["latency_count[('route', '/a')]"] == 3
    assert both["latency_bucket[('le', '0.1'), ('route', '/a')]"] == 1
    assert both["latency_bucket[('le', '+Inf'), ('route', '/a')]"] == 3
    assert both["latency_count[('route', '/b')]"] == 1


def test_a_sum_was_created_with_the_first_of_its_parts() -> None:
    earlier, later = families_of(1, []), families_of(1, [])
    created = "stored_created[]"
    assert values(merged([later, earlier]))[created] == values(earlier)[created] < values(later)[created]


def test_a_lag_that_all_have_measured_is_the_greatest() -> None:
    def families(lag_s: float) -> list[Metric]:
        registry = CollectorRegistry()
        Gauge("podium_replica_lag_seconds", "Lag.", registry=registry).set(lag_s)
        return list(registry.collect())

    assert values(merged([families(0.5), families(0.25)])) == {"podium_replica_lag_seconds[]": 0.5}


def test_what_is_about_a_process_is_told_by_worker() -> None:
    both = values(merged(of_worker(number, families_of(1, [])) for number in (1, 2)))
    assert {"process_max_fds[('worker', '1')]", "process_max_fds[('worker', '2')]"} <= both.keys()
    assert both["stored_total[]"] == 2


def test_of_a_process_that_has_ended_only_counts_stay() -> None:
    left = values(merged([that_stays(families_of(2, [0.5], "/a")), families_of(1, [0.5], "/a")]))
    assert (left["stored_total[]"], left["waiting[]"], left["latency_count[('route', '/a')]"]) == (3, 1, 2)
