"""Measurements for people, as a table, and for comparison, as a file under bench/results."""

from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).parent / "results"
HEADS = ("connections", "requests/s", "p50 ms", "p99 ms", "errors", "gateway µs", "Postgres µs", "other cores")
COMPARED = ("requests/s", "p50 ms", "gateway µs", "Postgres µs", "errors", "other cores", "req/s ratio", "p50 ratio")
MEASURED = ("requests_per_s", "p50_ms", "gateway_us", "postgres_us", "errors", "other_cores")

_SIZES = {
    "row": ("row",),
    "indexes": ("indexes",),
    "share of roll-ups": ("rollups",),
    "all": ("row", "indexes", "rollups"),
    "all, without payload": ("bare_row", "indexes", "rollups"),
}


def table(report: dict[str, Any]) -> str:
    """A run as text; bench/README.md says what its columns are."""
    lines = [_line("", HEADS)]
    for name, *values in (found.values() for found in [*report["measurements"], *report["kept_measurements"]]):
        lines.append(_line(name, (_shown(value) for value in values)))
    return "\n".join([*lines, "", *_freshness(report["freshness"]), *_facts(report)])


def side_by_side(report: dict[str, Any]) -> str:
    """Servers that were asked the same as text, each with how podium compares with it."""
    lines = [_line("", COMPARED)]
    first: dict[str, Any] = {}
    for found in report["measurements"]:
        if found["question"] != first.get("question"):
            first = found
            lines.append(f"{found['question']}: {found['rows']}")
        values = [_shown(found[name]) for name in MEASURED]
        ratios = ["", ""] if found is first else [_times(first, found, name) for name in MEASURED[:2]]
        lines.append(_line(f"  {found['server']}", [*values, *ratios]))
    absent = [f"without {name}: {reason}" for name, reason in report["missing"].items()]
    where = report["machine"]
    turns = f"turns of each server, on 16 connections and on 1: {report['rounds']} of {report['seconds']:g} s"
    return "\n".join([*lines, "", *absent, f"{_filled(report)}, {turns}", *machine_lines(where)])


def growth_table(report: dict[str, Any]) -> str:
    """How each case does with more and more results, and what a result takes on disk."""
    stages = report["stages"]
    lines = [_line("p50 ms, p99 ms", (*(f"{stage['results']:,}" for stage in stages), "last step"))]
    for found in zip(*(stage["measurements"] for stage in stages), strict=True):
        times = (f"{_shown(one['p50_ms'])}, {_shown(one['p99_ms'])}" for one in found)
        lines.append(_line(_case(found[0]), (*times, f"{found[-1]['p50_ms'] / found[-2:][0]['p50_ms']:.2f}x")))
    posts = [stage["measurements"][-1]["requests_per_s"] for stage in stages]
    lines += ["", _line("posts/s", map(_shown, posts)), _line("filled in s", (_shown(s["fill_s"]) for s in stages))]
    lines.append("bytes per result")
    for name, parts in _SIZES.items():
        lines.append(_line(f"  {name}", (_shown(sum(stage["size"][part] for part in parts)) for stage in stages)))
    return "\n".join([*lines, "", f"{report['seconds']:g} s for each case", *machine_lines(report["machine"])])


def save(report: dict[str, Any], kind: str = "") -> Path:
    """Write a run to a file of its own."""
    RESULTS.mkdir(exist_ok=True)
    stamp = report["machine"]["measured_at"].partition("+")[0].replace(":", "")
    path = RESULTS / f"{'-'.join(filter(None, (stamp, kind, str(report['results']))))}.json"
    path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    return path


def _facts(report: dict[str, Any]) -> list[str]:
    rss = report["rss_bytes"]
    return [
        f"{_filled(report)}, {report['seconds']:g} s for each case",
        f"memory of the gateway: {_mib(rss['before'])} before, {_mib(rss['after'])} after",
        *machine_lines(report["machine"]),
    ]


def _freshness(found: dict[str, Any] | None) -> list[str]:
    if not found:
        return []
    reads = f"{found['reads_per_s']:,.0f} reads/s, p50 {found['p50_ms']:,.1f} ms, p99 {found['p99_ms']:,.1f} ms"
    age = f"none older than {found['oldest_s']:.2f} s by {found['probes']} results of new orchestrators"
    return [f"aggregated_stats while {found['posts_per_s']:,.0f} posts/s come in: {reads}, {age}"]


def _filled(report: dict[str, Any]) -> str:
    stored = f" stored in {report['fill_s']:.1f} s" if report["fill_s"] else ""
    return f"{report['results']:,} results{stored}"


def machine_lines(where: dict[str, Any]) -> list[str]:
    """Where something was measured, and with what."""
    machine = f"{where['cpu']}, {where['cores']} cores, {_mib(where['memory_bytes'])}"
    node = ", ".join(f"{name} {version}" for name, version in where.get("node", {}).items())
    return [
        f"{machine}, load {where['load_average'][0]:.1f} before it",
        f"Python {where['python']}, Postgres {where['postgres']}, podium {where['commit']}",
        *([node] if node else []),
    ]


def _times(podium: dict[str, Any], other: dict[str, Any], name: str) -> str:
    return f"{podium[name] / other[name]:.2f}x" if podium["server"] == "podium" and other[name] else ""


def _case(found: dict[str, Any]) -> str:
    return found["name"] if found["connections"] == 1 else f"{found['name']}, {found['connections']} connections"


def _line(name: str, values: Any) -> str:
    return f"{name:<40}" + "".join(f"{value:>12}" for value in values)


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"
