"""`podium bench streams`: how many viewers activate streams in a second, and that none has more than its limit."""

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import uvloop

from bench.cases import Case
from bench.machine import machine
from bench.measure import measure
from bench.report import machine_lines, save
from bench.server import Filled, Served, serving
from db.embedded import EmbeddedPostgres
from db.migrate import migrate

LIMIT = 3
STREAMS = 50
TOGETHER = 100
LEASE = "60"
FILL = "INSERT INTO podium.viewers (id) SELECT 'viewer-' || n FROM generate_series(0, {viewers} - 1) AS n"
FILL_STREAMS = "INSERT INTO podium.streams (id) SELECT 'stream-' || n FROM generate_series(0, {last}) AS n"
CLEAR = "UPDATE podium.viewers SET active = '{}', expires_at = NULL"
ABOVE = f"SELECT count(*) FROM podium.viewers WHERE (SELECT count(*) FROM jsonb_object_keys(active)) > {LIMIT}"  # noqa: S608
DURABLE = "SELECT current_setting('synchronous_commit') || ', fsync ' || current_setting('fsync')"


def renewing(viewers: int) -> Iterator[bytes]:
    """Any viewer activates one of the three streams that it watches, again and again: each time a lease is written."""
    random = Random(1)
    while True:
        viewer = random.randrange(viewers)
        yield _request(viewer, (viewer + random.randrange(LIMIT)) % STREAMS, "activate")


def coming_and_going(viewers: int) -> Iterator[bytes]:
    """All viewers activate a stream, and then all of them deactivate it."""
    while True:
        for deed in ("activate", "deactivate"):
            for viewer in range(viewers):
                yield _request(viewer, viewer % STREAMS, deed)


def crowding(viewers: int) -> Iterator[bytes]:
    """Any viewer activates any stream: mostly it watches three others."""
    random = Random(2)
    while True:
        yield _request(random.randrange(viewers), random.randrange(STREAMS), "activate")


def _request(viewer: int, stream: int, deed: str) -> bytes:
    head = f"PATCH /streams/stream-{stream}/{deed} HTTP/1.1\r\nHost: podium\r\nx-userid: viewer-{viewer}\r\n"
    return f"{head}Content-Length: 0\r\n\r\n".encode()


CASES: dict[str, tuple[Callable[[int], Iterator[bytes]], dict[str, str]]] = {
    "activate": (renewing, {"STREAM_LEASE_S": LEASE}),
    "activate and deactivate": (coming_and_going, {}),
    "activate, mostly refused": (crowding, {}),
}


async def run(given: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything, as it is saved."""
    where, rows = machine(), []
    async with EmbeddedPostgres(directory / "data") as postgres:
        await migrate(postgres.logins.owner)
        database = Filled(postgres, None)
        await database.ask(FILL.format(viewers=given.viewers))
        await database.ask(FILL_STREAMS.format(last=TOGETHER - 1))
        await database.ask("VACUUM ANALYZE podium.viewers, podium.streams")
        where |= {"postgres": await database.version()}
        print(f"{given.viewers:,} viewers, synchronous_commit {await database.ask(DURABLE)}")
        for name in CASES:
            async with serving(database, directory, seed=1, **CASES[name][1]) as server:
                rows += [await _measured(server, name, connections, given) for connections in given.connections]
        accepted = await _rushed(database, directory, given.rounds)
    return {"machine": where, "results": given.viewers, "rows": rows, "accepted_in_rounds": accepted}


async def _measured(server: Served, name: str, connections: int, given: argparse.Namespace) -> dict[str, Any]:
    await server.database.ask(CLEAR)
    requests = CASES[name][0](given.viewers)
    found = await measure(server, Case(name, lambda: requests), connections, given.seconds)
    above = await server.database.ask(ABOVE)
    row = asdict(found) | {"above_limit": above}
    row["answers_per_s"] = found.requests_per_s + found.errors / given.seconds
    print(_line(row), flush=True)
    return row


async def _rushed(database: Filled, directory: Path, rounds: int) -> dict[str, int]:
    """In how many rounds so many were accepted of a hundred that one viewer asks for at once, at two gateways."""
    await database.ask(CLEAR)
    accepted: Counter[int] = Counter()
    async with (
        serving(database, directory, seed=1, LOG_LEVEL="WARN") as one,  # or each refusal would be printed
        serving(database, directory, seed=1, LOG_LEVEL="WARN") as other,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client,
    ):

        async def is_accepted(viewer: int, stream: int) -> bool:
            host, port = (one, other)[stream % 2].address
            url, who = f"http://{host}:{port}/streams/stream-{stream}/activate", {"x-userid": f"viewer-{viewer}"}
            async with client.patch(url, headers=who) as answer:
                return answer.status == 200

        for viewer in range(rounds):
            accepted[sum(await asyncio.gather(*(is_accepted(viewer, stream) for stream in range(TOGETHER))))] += 1
    for number, found in accepted.items():
        print(f"{TOGETHER} activations of one viewer at once, at two gateways: {number} accepted in {found} rounds")
    return {str(number): found for number, found in accepted.items()}


def _line(row: dict[str, Any]) -> str:
    speed = f"{row['answers_per_s']:,.0f} answers/s, {row['requests_per_s']:,.0f} of them 200"
    latency = f"p50 {row['p50_ms']:.2f} ms, p99 {row['p99_ms']:.2f} ms"
    used = f"gateway {row['gateway_us']:.0f} µs, Postgres {row['postgres_us']:.0f} µs"
    busy = f"{row['other_cores']:.2f} other cores, {row['above_limit']} viewers above their limit"
    return f"{row['name']:<26}{row['connections']:>3} connections: {speed}, {latency}, {used}, {busy}"


def main() -> None:
    """Measure, print and save; the exit code is 1 when any viewer has more than its limit."""
    parser = argparse.ArgumentParser(prog="podium bench streams", description=__doc__)
    parser.add_argument("--viewers", type=int, default=10_000, help="how many viewers, 10,000 unless given")
    parser.add_argument("--seconds", type=float, default=5, help="for each case, 5 unless given")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16], help="1 and 16 unless given")
    parser.add_argument(
        "--rounds", type=int, default=200, help="of a hundred at once at two gateways, 200 unless given"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="podium-bench-") as directory:
        report = uvloop.run(run(given, Path(directory)))
    print("\n".join(machine_lines(report["machine"])))
    print(f"saved as {save(report, 'streams')}")
    is_kept = set(report["accepted_in_rounds"]) <= {str(LIMIT)} and not any(
        row["above_limit"] for row in report["rows"]
    )
    sys.exit(not is_kept)


if __name__ == "__main__":
    main()
