"""`make bench`: fills a database, starts a gateway before it, asks it everything, and says how fast it was."""

import argparse
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

from bench.cases import Case, cases
from bench.load import load
from bench.machine import machine
from bench.report import save, table
from bench.server import SECRET, Served, served

SHORT_RESULTS = 200_000
FULL_RESULTS = 2_000_000
WARM_UP_S = 0.4


@dataclass(frozen=True, slots=True)
class Measurement:
    """One case at one number of connections; `gateway_us` and `postgres_us` are processor time per request.

    `other_cores` is how many cores were busy with something else: figures of a busy machine are too low.
    """

    name: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    gateway_us: float
    postgres_us: float
    other_cores: float


async def measure(server: Served, case: Case, connections: int, seconds: float) -> Measurement:
    """Ask for some seconds, after a short time to get warm."""
    requests = case.requests()
    await load(server.address, requests, connections=connections, seconds=WARM_UP_S)
    await server.database.settle()
    before, began = server.cpu(), perf_counter()
    found = await load(server.address, requests, connections=connections, seconds=seconds)
    used, elapsed_s = server.cpu() - before, perf_counter() - began
    us_per_request = 1e6 / max(len(found.latencies_s), 1)
    latencies = (found.percentile_ms(50), found.percentile_ms(99))
    cpu = (used.gateway_s * us_per_request, used.postgres_s * us_per_request, used.others_s / elapsed_s)
    return Measurement(case.name, connections, found.requests_per_s, *latencies, found.errors, *cpu)


async def run(given: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything that was asked for, as it is saved."""
    where = machine()
    async with served(directory, results=given.results, seed=given.seed) as server:
        database = server.database
        facts = {"results": await database.number_of_results(), "fill_s": database.fill_s, "seconds": given.seconds}
        rss_before = server.rss_bytes
        wanted = [case for case in cases(server.orchestrators, SECRET) if _is_wanted(case, given.only)]
        pairs = [(case, connections) for case in wanted for connections in case.connections]
        measured = [await measure(server, case, connections, given.seconds) for case, connections in pairs]
        return {
            "machine": where | {"postgres": await database.version()},
            **facts,
            "rss_bytes": {"before": rss_before, "after": server.rss_bytes},
            "measurements": [asdict(measurement) for measurement in measured],
        }


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


def _is_wanted(case: Case, only: str | None) -> bool:
    return only is None or any(word.strip() in case.name for word in only.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="podium bench", description=__doc__)
    parser.add_argument("--results", type=int, help=f"results in the database, {SHORT_RESULTS} unless --full")
    parser.add_argument("--full", action="store_true", help=f"{FULL_RESULTS} results")
    parser.add_argument("--seconds", type=float, default=4, help="how long each measurement takes, 4 unless given")
    parser.add_argument("--only", help="cases whose names contain one of these, such as post_stats,raw_stats")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up results")
    parser.add_argument("--data-dir", help="keep the database here, and use it as it is when it is there")
    return parser


if __name__ == "__main__":
    main()
