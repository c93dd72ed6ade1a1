"""The streams as a table on a terminal, while they are probed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from prober.alerts import Alerts
from prober.run import Run, Status
from prober.streams import Stream

COLUMNS = ("stream", "state", "for", "startup", "latency", "segments", "missed", "runs", "failed", "last failure")
REFRESHES_A_SECOND = 2
_STATES = {
    "probe_started": "starting",
    "probe_pushes": "waiting",
    "probe_first_segment": "playing",
    "probe_ended": "reporting",
    "probe_pauses": "pausing",
}


@dataclass(slots=True)
class _Row:
    state: str = "starting"
    since: float = 0.0
    startup_s: float | None = None
    latency_s: float | None = None
    segments: int = 0
    missed: int = 0
    runs: int = 0
    failed: int = 0
    failure: str = ""


class StreamTable:
    """Hears of events, and shows how the streams are; those that are bad in `alerts`, when they are there."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._rows = {stream.name: _Row(since=monotonic()) for stream in streams}
        self.alerts: Alerts | None = None

    def observe(self, event: str, **facts: Any) -> None:
        """Take note of an event."""
        row = self._rows.get(facts.get("stream", ""))
        if row is None:
            return
        if event in _STATES:
            row.state, row.since = _STATES[event], monotonic()
        match event:
            case "probe_started":
                row.segments = row.missed = 0
                row.startup_s = row.latency_s = None
            case "probe_first_segment":
                row.startup_s = facts["startup_s"]
            case "probe_segment":
                row.segments += 1
                row.latency_s = facts["latency_s"] if facts["latency_s"] is not None else row.latency_s
            case "probe_segment_missed":
                row.missed += 1
            case "probe_ended":
                _end(row, facts["run"])

    def __rich__(self) -> Table:
        """As it is now."""
        table = Table(*COLUMNS, box=None, pad_edge=False)
        alerts = self.alerts.states if self.alerts else {}
        for name, row in self._rows.items():
            table.add_row(*_cells(name, row, alerts.get(name, "")))
        return table


@contextmanager
def shown(table: StreamTable, console: Console) -> Iterator[None]:
    """Show it for the time of the context."""
    with Live(table, console=console, refresh_per_second=REFRESHES_A_SECOND):
        yield


def _end(row: _Row, run: Run) -> None:
    row.runs += run.status is not Status.ABORTED
    row.failed += run.status is Status.FAILURE
    row.failure = run.reason or row.failure


def _cells(name: str, row: _Row, alert: str) -> Iterator[str]:
    state = f"[{'red' if alert == 'alarm' else 'yellow'}]{row.state} ({alert})" if alert else row.state
    yield from (
        escape(name),
        state,
        f"{monotonic() - row.since:.0f} s",
        _seconds(row.startup_s),
        _seconds(row.latency_s),
    )
    yield from map(str, (row.segments, row.missed, row.runs, row.failed, row.failure))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"
