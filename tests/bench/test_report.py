"""The table of servers that were asked the same."""

from typing import Any

from bench.report import growth_table, side_by_side, table

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


def test_growth_is_compared_with_the_size_before() -> None:
    text = growth_table(
        {"machine": {**MACHINE, **VERSIONS}, "seconds": 1, "stages": [stage(2_000, 2.0), stage(20_000, 3.0)]}
    )
    assert line(text, "p50 ms, p99 ms", indent="").split()[-4:] == ["2,000", "20,000", "last", "step"]
    assert line(text, "pipelines", indent="").split()[1:] == ["2.00,", "4.00", "3.00,", "6.00", "1.50x"]
    assert line(text, "posts/s", indent="").split()[1:] == ["6,000", "6,000"]
    assert line(text, "all, without payload").split()[-2:] == ["170", "170"]


def test_a_table_says_how_old_answers_were() -> None:
    fresh = {"posts_per_s": 499.6, "reads_per_s": 1234, "p50_ms": 1, "p99_ms": 20, "oldest_s": 0.25, "probes": 12}
    facts = {
        "results": 10,
        "fill_s": 1.0,
        "seconds": 1,
        "rss_bytes": {"before": 0, "after": 0},
        "kept_measurements": [],
    }
    text = table({"machine": {**MACHINE, **VERSIONS}, "measurements": [], "freshness": fresh, **facts})
    assert "500 posts/s come in: 1,234 reads/s, p50 1.0 ms, p99 20.0 ms, none older than 0.25 s by 12 results" in text


def stage(results: int, p50_ms: float) -> dict[str, Any]:
    """One size of a database."""
    measured = [
        {"name": name, "connections": number, "p50_ms": p50_ms, "p99_ms": 2 * p50_ms, "requests_per_s": 6000.0}
        for name, number in (("pipelines", 1), ("post_stats", 32))
    ]
    size = {"row": 150.0, "bare_row": 50.0, "indexes": 100.0, "rollups": 20.0}
    return {"results": results, "fill_s": 1.0, "size": size, "measurements": measured}


def found(question: str, server: str, requests_per_s: float, p50_ms: float) -> dict[str, Any]:
    """One server's measurement."""
    times = {"gateway_us": 400.0, "postgres_us": 0.0, "errors": 0, "other_cores": 0.01}
    about = {"question": question, "rows": "26 regions", "server": server}
    return {**about, "requests_per_s": requests_per_s, "p50_ms": p50_ms, **times}


def report(measurements: list[dict[str, Any]], missing: dict[str, str] | None = None) -> dict[str, Any]:
    """A run."""
    facts = {"results": 500_000, "fill_s": None, "rounds": 4, "seconds": 0.5, "missing": missing or {}}
    return {"machine": {**MACHINE, **VERSIONS}, **facts, "measurements": measurements}


def line(text: str, name: str, indent: str = "  ") -> str:
    """The first line about a server, or a case."""
    return next(row.rstrip() for row in text.splitlines() if row.startswith(f"{indent}{name}"))
