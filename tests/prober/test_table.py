"""The table on a terminal shows each stream as it is."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from prober.alert_file import AlertFile
from prober.alerts import Alerts
from prober.metrics import ProbeMetrics
from prober.streams import Stream
from prober.table import StreamTable
from tests.prober.test_metrics import stream_named


def _shown(table: StreamTable) -> list[list[str]]:
    console = Console(width=200, file=StringIO())
    console.print(table)
    return [line.split() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.fixture
def streams() -> list[Stream]:
    return [stream_named("a"), stream_named("b")]


async def test_it_shows_how_each_stream_is(streams: list[Stream], tmp_path: Path) -> None:
    table = StreamTable(streams)
    async with httpx.AsyncClient() as client:
        report = ProbeMetrics(streams, prefix="p_").observe
        table.alerts = Alerts(AlertFile(tmp_path / "a.json"), [], client, timedelta(hours=1), report)
        table.alerts.bad("b", "stalled", "")
    table.observe("probe_first_segment", stream="a", startup_s=4.5)
    table.observe("probe_segment", stream="a", rendition="x", latency_s=1.25, duration_s=2.0)
    table.observe("probe_segment_missed", stream="a", rendition="x")
    table.observe("probe_segment", stream="unknown", rendition="x", latency_s=1.25, duration_s=2.0)
    header, a, b = _shown(table)
    assert header[:2] == ["stream", "state"]
    assert a == ["a", "playing", "0", "s", "4.50", "s", "1.25", "s", "1", "1", "0", "0"]
    assert b[:3] == ["b", "starting", "(alert)"]


@pytest.mark.parametrize("name", ["[lon]", "a[/b]", "[red]c"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    _, row = _shown(StreamTable([stream_named(name)]))
    assert row[0] == name
