"""`make bench`: fills a database, starts a gateway before it, asks it everything, and says how fast it was."""

import argparse
import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from bench.cases import cases
from bench.freshness import freshness
from bench.machine import machine
from bench.measure import measure
from bench.report import save, table
from bench.server import SECRET, Filled, Served, filled, serving

SHORT_RESULTS = 200_000
FULL_RESULTS = 2_000_000
FRESHNESS = "aggregated_stats while posts come in"


async def run(given: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything that was asked for, as it is saved."""
    where = machine()
    async with filled(directory, results=given.results, seed=given.seed) as database:
        facts = {"results": await database.number_of_results(), "fill_s": database.fill_s, "seconds": given.seconds}
        return {
            "machine": where | {"postgres": await database.version()},
            **facts,
            **await _computed(given, database, directory),
            **await _kept(given, database, directory),
        }


async def _computed(given: argparse.Namespace, database: Filled, directory: Path) -> dict[str, Any]:
    async with serving(database, directory, seed=given.seed, ANSWER_CACHE_BYTES="0") as server:
        before = server.rss_bytes
        measured = await _measured(given, server, is_kept=False)
        return {"measurements": measured, "rss_bytes": {"before": before, "after": server.rss_bytes}}


async def _kept(given: argparse.Namespace, database: Filled, directory: Path) -> dict[str, Any]:
    async with serving(database, directory, seed=given.seed) as server:
        measured = await _measured(given, server, is_kept=True)
        fresh = asdict(await freshness(server, given.seconds)) if _is_wanted(FRESHNESS, given.only) else None
    async with serving(database, directory, "--workers", "2", seed=given.seed) as server:
        by_two = await _measured(given, server, is_kept=True)
    for found in by_two:
        found["name"] += ", 2 workers"
    return {"kept_measurements": [*measured, *by_two], "freshness": fresh}


async def _measured(given: argparse.Namespace, server: Served, *, is_kept: bool) -> list[dict[str, Any]]:
    wanted = [case for case in cases(server.orchestrators, SECRET) if case.is_kept is is_kept]
    return [
        asdict(await measure(server, case, connections, given.seconds))
        for case in wanted
        if _is_wanted(case.name, given.only)
        for connections in case.connections
    ]


def main() -> None:
    """Measure, print and save."""
    given = _parser().parse_args()
    given.results = given.results or (FULL_RESULTS if given.full else SHORT_RESULTS)
    kept = nullcontext(given.data_dir) if given.data_dir else tempfile.TemporaryDirectory(prefix="podium-bench-")
    with kept as directory:
        Path(directory).mkdir(parents=True, exist_ok=True)
        report = uvloop.run(run(given, Path(directory)))
    print(table(report))
    print(f"saved as {save(report)}")


def _is_wanted(name: str, only: str | None) -> bool:
    return only is None or any(word.strip() in name for word in only.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="podium bench", description=__doc__)
    parser.add_argument("--results", type=int, help=f"results in the database, {SHORT_RESULTS} unless --full")
    parser.add_argument("--full", action="store_true", help=f"{FULL_RESULTS} results")
    parser.add_argument("--seconds", type=float, default=2.5, help="how long each measurement takes, 2.5 unless given")
    parser.add_argument("--only", help="cases whose names contain one of these, such as post_stats,raw_stats")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up results")
    parser.add_argument("--data-dir", help="keep the database here, and use it as it is when it is there")
    return parser


if __name__ == "__main__":
    main()
