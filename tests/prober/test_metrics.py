"""Metrics have the names that dashboards of the original ask for."""

from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from prober.metrics import MOST_VARIANTS, ProbeMetrics
from prober.run import Reason, Run, Status
from prober.streams import Stream


def stream_named(name: str, **given: str) -> Stream:
    urls = {"ingest_url": "rtmp://a.example/b", "playback_url": "http://a.example/b"}
    return Stream.model_validate({"name": name, "duration": "2m", **urls, **given})


def _run(stream: str, status: Status, reason: Reason | None = None) -> Run:
    now = datetime.now(UTC)
    return Run(
        id="1",
        stream=stream,
        region=None,
        ingest_region=None,
        playback_region=None,
        orchestrator=None,
        started_at=now,
        ended_at=now,
        wanted_s=120,
        status=status,
        reason=reason,
        detail=None,
        startup_s=None,
        clock=None,
        expected_renditions=(),
        renditions=(),
    )


def _observed(metrics: ProbeMetrics, stream: str) -> None:
    metrics.observe("probe_started", stream=stream)
    metrics.observe("probe_first_segment", stream=stream, startup_s=4.5)
    metrics.observe("probe_segment", stream=stream, rendition="1280x720", latency_s=1.25, duration_s=2.0)
    metrics.observe("probe_segment", stream=stream, rendition="640x360", latency_s=None, duration_s=2.5)
    metrics.observe("probe_segment_missed", stream=stream, rendition="640x360")


def test_a_single_stream_has_the_names_and_labels_of_the_original() -> None:
    metrics = ProbeMetrics([stream_named("a", region="FRA")], prefix="stream_monitor_")
    _observed(metrics, "a")
    lines = metrics.exposed().decode().splitlines()
    labels = 'region="FRA"', 'duration="2m"'
    for line in (
        "stream_monitor_active_tests{%s} 1.0",
        "stream_monitor_test_startup_seconds{%s} 4.5",
        "stream_monitor_segment_duration_seconds{%s} 2.5",
        'stream_monitor_latency_seconds{%s,variant="1280x720"} 1.25',
        'stream_monitor_segments_missed_total{%s,variant="640x360"} 1.0',
        'stream_monitor_segments_received_total{%s,variant="1280x720"} 1.0',
        'stream_monitor_latency_seconds_histogram_count{%s,variant="1280x720"} 1.0',
        'stream_monitor_total_tests{%s,status="failure"} 0.0',
    ):
        found = line % ",".join(sorted(labels))
        assert found in lines
    for status in (Status.SUCCESS, Status.FAILURE, Status.ABORTED):
        metrics.observe(
            "probe_ended", stream="a", run=_run("a", status, Reason.STALLED if status == "failure" else None)
        )
    lines = metrics.exposed().decode().splitlines()
    assert 'stream_monitor_total_tests{duration="2m",region="FRA",status="success"} 1.0' in lines
    assert 'stream_monitor_total_tests{duration="2m",region="FRA",status="failure"} 1.0' in lines
    assert 'stream_monitor_failures_total{duration="2m",reason="stalled",region="FRA"} 1.0' in lines
    assert 'stream_monitor_active_tests{duration="2m",region="FRA"} 0.0' in lines
    assert "# TYPE stream_monitor_total_tests counter" in lines


def test_what_has_not_happened_yet_is_there_at_0_so_that_the_first_time_is_an_increase() -> None:
    metrics = ProbeMetrics([stream_named("a", region="FRA")], prefix="p_")
    metrics.observe("probe_segment", stream="a", rendition="x", latency_s=1.0, duration_s=2.0)
    metrics.observe("probe_segment_missed", stream="a", rendition="y")
    lines = metrics.exposed().decode().splitlines()
    for reason in Reason:
        assert f'p_failures_total{{duration="2m",reason="{reason}",region="FRA"}} 0.0' in lines
    assert 'p_segments_missed_total{duration="2m",region="FRA",variant="x"} 0.0' in lines
    assert 'p_segments_received_total{duration="2m",region="FRA",variant="y"} 0.0' in lines


def test_several_streams_are_told_apart() -> None:
    streams = [stream_named("a", ingest_region="FRA", playback_region="LON"), stream_named("b", playback_region="NYC")]
    metrics = ProbeMetrics(streams, prefix="probe_", duration="long")
    _observed(metrics, "a")
    _observed(metrics, "b")
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposed().decode())}
    assert [sample.labels for sample in families["probe_active_tests"].samples] == [
        {"region": "LON", "duration": "long", "stream": "a", "ingest_region": "FRA", "playback_region": "LON"},
        {"region": "NYC", "duration": "long", "stream": "b", "ingest_region": "", "playback_region": "NYC"},
    ]


def test_what_a_network_calls_its_renditions_makes_no_metrics_without_end() -> None:
    metrics = ProbeMetrics([stream_named("a")], prefix="p_")
    for number in range(1000):
        name = f"session-{number}"
        metrics.observe("probe_segment", stream="a", rendition=name, latency_s=1.0, duration_s=2.0)
        metrics.observe("probe_segment_missed", stream="a", rendition=name)
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposed().decode())}
    for name in ("p_segments_received", "p_segments_missed", "p_latency_seconds"):
        assert len({sample.labels["variant"] for sample in families[name].samples}) == MOST_VARIANTS + 1
    assert sum(sample.value for sample in families["p_segments_missed"].samples if "_total" in sample.name) == 1000


@pytest.mark.parametrize("event", ["ready", "probe_segment", "probe_alert"])
def test_events_of_others_count_for_nothing(event: str) -> None:
    metrics = ProbeMetrics([stream_named("a")], prefix="stream_monitor_")
    before = metrics.registry.get_sample_value("stream_monitor_active_tests", {"region": "", "duration": "2m"})
    metrics.observe(event, stream="unknown")
    metrics.observe(event)
    assert before == 0
