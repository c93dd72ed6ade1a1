"""`podium bench growth`: what ten times the results cost: in time for each question and each post, and on disk."""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from bench.cases import POSTS, Case, cases
from bench.machine import machine
from bench.measure import measure
from bench.report import growth_table, save
from bench.server import SECRET, filled, serving
from bench.size import size

SIZES = "200000,2000000,20000000"


async def run(given: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Each size, one after the other, as it is saved."""
    where = machine()
    stages = [await _stage(given, results, directory / str(results)) for results in given.results]
    facts = {"results": max(given.results), "seconds": given.seconds}
    return {"machine": where | {"postgres": stages[0].pop("postgres")}, **facts, "stages": stages}


async def _stage(given: argparse.Namespace, results: int, directory: Path) -> dict[str, Any]:
    async with filled(directory, results=results, seed=given.seed) as database:
        version, taken = await database.version(), await size(database.postgres.logins.superuser)
        async with serving(database, directory, seed=given.seed, ANSWER_CACHE_BYTES="0") as server:
            # Posts are last, because they add to what all the others read.
            pairs = [pair for case in cases(server.orchestrators, SECRET) for pair in _connections(case)]
            found = [await measure(server, case, connections, given.seconds) for case, connections in pairs]
    print(f"{results:,} results are measured", flush=True)
    facts = {"results": results, "fill_s": database.fill_s, "size": asdict(taken), "postgres": version}
    return facts | {"measurements": [asdict(measurement) for measurement in found]}


def _connections(case: Case) -> list[tuple[Case, int]]:
    return [(case, number) for number in case.connections if not case.is_kept and (number == 1 or case.name == POSTS)]


def main() -> None:
    """Measure, print and save."""
    given = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="podium-bench-", dir=given.directory) as directory:
        for results in given.results:
            Path(directory, str(results)).mkdir()
        report = uvloop.run(run(given, Path(directory)))
    print(growth_table(report))
    print(f"saved as {save(report, 'growth')}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="podium bench growth", description=__doc__)
    parser.add_argument("--results", type=_numbers, default=SIZES, help=f"how many each time: {SIZES} unless given")
    parser.add_argument("--seconds", type=float, default=3, help="how long each measurement takes, 3 unless given")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up results")
    parser.add_argument("--directory", help="where databases are made and removed; 20,000,000 results need 10 GB")
    return parser


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
