"""The table of servers that were asked the same."""

from typing import Any

from bench.report import side_by_side

MACHINE = {"cpu": "CPU", "cores": 2, "memory_bytes": 2**30, "load_average": [0.1]}
VERSIONS = {"python": "3.11", "postgres": "18.4", "commit": "abc", "node": {"node": "v22", "postgraphile": "5"}}


def test_podium_is_compared_with_each_of_the_others() -> None:
    text = side_by_side(
        report([found("Q1", "podium", 300, 1), found("Q1", "plain", 100, 4), found("Q1", "other", 600, 2)])
    )
    plain, other = line(text, "plain"), line(text, "other")
    assert plain.split()[-2:] == ["3.00x", "0.25x"]
    assert other.split()[-2:] == ["0.50x", "0.50x"]
    assert not line(text, "podium").endswith("x")
    assert text.count("Q1: 26 regions") == 1


def test_every_question_is_compared_with_itself() -> None:
    measurements = [found(name, server, 100, 1) for name in ("Q1", "Q2") for server in ("podium", "plain")]
    measurements[2]["requests_per_s"] = 50
    ratios = [row.split()[-2] for row in side_by_side(report(measurements)).splitlines() if "  plain" in row]
    assert ratios == ["1.00x", "0.50x"]


def test_without_podium_nothing_is_compared() -> None:
    text = side_by_side(report([found("Q1", "plain", 100, 4), found("Q1", "other", 100, 4)]))
    assert not line(text, "other").endswith("x")


def test_what_is_missing_is_named() -> None:
    text = side_by_side(report([found("Q1", "podium", 100, 1)], missing={"postgraphile": "there is no Node"}))
    assert "without postgraphile: there is no Node" in text
    assert "500,000 results, turns of each server, on 16 connections and on 1: 4 of 0.5 s" in text


def found(question: str, server: str, requests_per_s: float, p50_ms: float) -> dict[str, Any]:
    """One server's measurement."""
    times = {"gateway_us": 400.0, "postgres_us": 0.0, "errors": 0, "other_cores": 0.01}
    about = {"question": question, "rows": "26 regions", "server": server}
    return {**about, "requests_per_s": requests_per_s, "p50_ms": p50_ms, **times}


def report(measurements: list[dict[str, Any]], missing: dict[str, str] | None = None) -> dict[str, Any]:
    """A run."""
    facts = {"results": 500_000, "fill_s": None, "rounds": 4, "seconds": 0.5, "missing": missing or {}}
    return {"machine": {**MACHINE, **VERSIONS}, **facts, "measurements": measurements}


def line(text: str, server: str) -> str:
    """The first line about a server."""
    return next(row.rstrip() for row in text.splitlines() if row.startswith(f"  {server}"))
