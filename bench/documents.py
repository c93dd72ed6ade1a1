"""`podium bench documents`: different documents, one after the other, and what the gateway's memory does meanwhile."""

import argparse
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import orjson
import uvloop

from bench.load import load, post_request
from bench.server import served

SLICE_S = 5.0
RESULTS = 1_000

DOCUMENT = """query Q%d($first: Int = %d) { a%d: stats(first: $first) { nodes { ...F } totalCount }
  regions { code name } orchestrators(first: 1) { nodes { address b%d: firstSeenAt } } service { version } }
fragment F on Stat { recordedAt successRate roundTripTime region { code } orchestrator { address } }"""


class Documents:
    """Requests, each with another document, and how many there were."""

    def __init__(self) -> None:
        self.number = 0

    def requests(self) -> Iterator[bytes]:
        """Requests for ever."""
        for self.number in count(1):
            document = DOCUMENT % (self.number, self.number % 5, self.number, self.number)
            yield post_request("/graphql", orjson.dumps({"query": document}))


async def run(number: int, connections: int, directory: Path) -> None:
    """Send so many documents, and print the memory every few seconds."""
    documents = Documents()
    requests = documents.requests()
    async with served(directory, results=RESULTS, seed=1) as server:
        print(f"{'documents':>10} {'documents/s':>12} {'p99 ms':>8} {'errors':>7} {'RSS MiB':>8}")
        print(f"{0:>10,} {'':>12} {'':>8} {'':>7} {server.rss_bytes / 2**20:>8.0f}")
        while documents.number < number:
            found = await load(server.address, requests, connections=connections, seconds=SLICE_S)
            rss_mib = server.rss_bytes / 2**20
            p99_ms = found.percentile_ms(99)
            line = f"{found.requests_per_s:>12,.0f} {p99_ms:>8.1f} {found.errors:>7} {rss_mib:>8.0f}"
            print(f"{documents.number:>10,} {line}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="podium bench documents", description=__doc__)
    parser.add_argument("--number", type=int, default=100_000, help="how many documents, 100,000 unless given")
    parser.add_argument("--connections", type=int, default=8, help="8 unless given")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as directory:
        uvloop.run(run(given.number, given.connections, Path(directory)))


if __name__ == "__main__":
    main()
