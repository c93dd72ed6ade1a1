"""Measurements for people, as a table, and for comparison, as a file under bench/results."""

from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).parent / "results"
HEADS = ("connections", "requests/s", "p50 ms", "p99 ms", "errors", "gateway µs", "Postgres µs", "other cores")


def table(report: dict[str, Any]) -> str:
    """A run as text; bench/README.md says what its columns are."""
    lines = [_line("", HEADS)]
    for name, *values in (measurement.values() for measurement in report["measurements"]):
        lines.append(_line(name, (_shown(value) for value in values)))
    return "\n".join([*lines, "", *_facts(report)])


def save(report: dict[str, Any]) -> Path:
    """Write a run to a file of its own."""
    RESULTS.mkdir(exist_ok=True)
    stamp = report["machine"]["measured_at"].partition("+")[0].replace(":", "")
    path = RESULTS / f"{stamp}-{report['results']}.json"
    path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    return path


def _facts(report: dict[str, Any]) -> list[str]:
    where, rss = report["machine"], report["rss_bytes"]
    filled = f" stored in {report['fill_s']:.1f} s" if report["fill_s"] else ""
    machine = f"{where['cpu']}, {where['cores']} cores, {_mib(where['memory_bytes'])}"
    return [
        f"{report['results']:,} results{filled}, {report['seconds']:g} s for each case",
        f"memory of the gateway: {_mib(rss['before'])} before, {_mib(rss['after'])} after",
        f"{machine}, load {where['load_average'][0]:.1f} before it",
        f"Python {where['python']}, Postgres {where['postgres']}, podium {where['commit']}",
    ]


def _line(name: str, values: Any) -> str:
    return f"{name:<34}" + "".join(f"{value:>12}" for value in values)


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"
