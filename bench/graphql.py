"""`podium bench graphql`: podium, plain Strawberry and PostGraphile are asked the same of the same results."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg
import httpx
import uvloop

from bench.load import Load, joined, load
from bench.machine import machine
from bench.processes import Cpu, NotStartedError, Server
from bench.questions import QUESTIONS, AnswerError, Names, Question, Row, difference, requests, rows
from bench.report import save, side_by_side
from bench.rivals import SERVERS, MissingError, versions
from bench.server import Filled, filled

RESULTS = 500_000
WINDOW = timedelta(days=1)
BUSY, SINGLE = 16, 1  # connections
WARM_UP_S = 1.0
ANSWER_TIMEOUT_S = 30
NEWEST = "SELECT max(recorded_at) FROM podium.results"
IDS = "SELECT id, address FROM podium.orchestrators", "SELECT id, code FROM podium.regions"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it is sent to one server, its rows there, and how many bytes the answer has."""

    server: Server
    requests: Iterator[bytes]
    rows: list[Row]
    size: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did in a short time, and who used the processors meanwhile."""

    load: Load
    used: Cpu
    elapsed_s: float


Turns = dict[tuple[str, int], list[Turn]]  # by the server's name and the number of connections


@dataclass(frozen=True, slots=True)
class Measurement:
    """A question at a server: requests/s on 16 connections, latency on one, and processor time per request on 16."""

    question: str
    rows: str
    server: str
    requests_per_s: float
    p50_ms: float
    gateway_us: float
    postgres_us: float
    errors: int
    other_cores: float


async def run(given: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Everything that was asked for, as it is saved; AnswerError where answers differ."""
    where = machine()
    async with filled(directory, results=given.results, seed=given.seed) as database, AsyncExitStack() as stack:
        servers, missing = await _start(given.servers, database, directory, stack)
        await database.settle()
        measured: list[Measurement] = []
        for question in given.only:
            asked = await _compared(question, servers, database)
            turns = await _turns(asked, database, given)
            measured += [_measurement(question, each, turns) for each in asked]
        return {
            "machine": where | {"postgres": await database.version(), **_versions(servers)},
            "results": await database.number_of_results(),
            "fill_s": database.fill_s,
            "rounds": given.rounds,
            "seconds": given.seconds,
            "missing": missing,
            "measurements": [asdict(measurement) for measurement in measured],
        }


async def _start(
    names: list[str], database: Filled, directory: Path, stack: AsyncExitStack
) -> tuple[list[Server], dict[str, str]]:
    servers, missing = [], {}
    for name in names:
        try:
            servers.append(await stack.enter_async_context(SERVERS[name](database, directory)))
        except (MissingError, NotStartedError) as error:
            missing[name] = str(error)
    return servers, missing


def _versions(servers: list[Server]) -> dict[str, Any]:
    return {"node": versions()} if any(server.name == "postgraphile" for server in servers) else {}


async def _compared(question: Question, servers: list[Server], database: Filled) -> list[Asked]:
    variables, names = await _facts(database)
    asked = [await _ask(question, server, variables if question.has_window else {}, names) for server in servers]
    for other in asked[1:]:
        if found := difference(asked[0].rows, other.rows):
            one, two = asked[0].server.name, other.server.name
            raise AnswerError(f"{question.name}: {one} and {two} answer differently: {found}")
    return asked


async def _facts(database: Filled) -> tuple[dict[str, str], Names]:
    connection = await asyncpg.connect(database.postgres.logins.reader)
    try:
        until: datetime = await connection.fetchval(NEWEST)
        window = {"since": (until - WINDOW).isoformat(), "until": until.isoformat()}
        return window, Names(*[dict(map(tuple, await connection.fetch(sql))) for sql in IDS])
    finally:
        await connection.close()


async def _ask(question: Question, server: Server, variables: dict[str, str], names: Names) -> Asked:
    document = question.postgraphile if server.name == "postgraphile" else question.podium
    host, port = server.address
    async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S, headers={"Accept-Encoding": "identity"}) as client:
        body = {"query": document, "variables": variables}
        answer = await client.post(f"http://{host}:{port}/graphql", json=body)
    try:
        found = rows(question, answer.content, names)
    except AnswerError as error:
        raise AnswerError(f"{question.name}: {server.name}: {error}") from None
    return Asked(server, requests(document, variables), found, len(answer.content))


async def _turns(asked: list[Asked], database: Filled, given: argparse.Namespace) -> Turns:
    """Short times of each server in turn, so that what else happens on the machine happens to all of them."""
    turns: Turns = {}
    for each in asked:
        await _turn(each, database, BUSY, WARM_UP_S)
    for number in range(given.rounds):
        for connections in (BUSY, SINGLE):
            for each in asked[number % len(asked) :] + asked[: number % len(asked)]:
                found = await _turn(each, database, connections, given.seconds)
                turns.setdefault((each.server.name, connections), []).append(found)
    return turns


async def _turn(asked: Asked, database: Filled, connections: int, seconds: float) -> Turn:
    server, postgres_pid = asked.server, database.postgres.pid
    before, began = server.cpu(postgres_pid), perf_counter()
    found = await load(server.address, asked.requests, connections=connections, seconds=seconds, size=asked.size)
    return Turn(found, server.cpu(postgres_pid) - before, perf_counter() - began)


def _measurement(question: Question, asked: Asked, turns: Turns) -> Measurement:
    busy, single = (turns[asked.server.name, connections] for connections in (BUSY, SINGLE))
    at_16, at_1 = (joined(part.load for part in parts) for parts in (busy, single))
    us_per_request = 1e6 / max(len(at_16.latencies_s), 1)
    everything = busy + single
    return Measurement(
        question=question.name,
        rows=f"{len(asked.rows):,} {question.rows}",
        server=asked.server.name,
        requests_per_s=at_16.requests_per_s,
        p50_ms=at_1.percentile_ms(50),
        gateway_us=sum(part.used.gateway_s for part in busy) * us_per_request,
        postgres_us=sum(part.used.postgres_s for part in busy) * us_per_request,
        errors=at_16.errors + at_1.errors,
        other_cores=sum(part.used.others_s for part in everything) / sum(part.elapsed_s for part in everything),
    )


def main() -> None:
    """Compare the answers, measure, print and save."""
    given = _parser().parse_args()
    kept = nullcontext(given.data_dir) if given.data_dir else tempfile.TemporaryDirectory(prefix="podium-bench-")
    with kept as directory:
        Path(directory).mkdir(parents=True, exist_ok=True)
        try:
            report = uvloop.run(run(given, Path(directory)))
        except AnswerError as error:
            sys.exit(f"podium bench graphql: {error}")
    print(side_by_side(report))
    print(f"saved as {save(report, 'graphql')}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="podium bench graphql", description=__doc__)
    names = ",".join(question.name for question in QUESTIONS)
    parser.add_argument("--only", type=_questions, default=list(QUESTIONS), help=f"some of {names}")
    parser.add_argument("--servers", type=_servers, default=list(SERVERS), help=f"some of {','.join(SERVERS)}")
    parser.add_argument("--rounds", type=int, default=3, help="how often it is each server's turn, 3 unless given")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each turn takes, 0.5 unless given")
    parser.add_argument("--results", type=int, default=RESULTS, help=f"results in the database, {RESULTS} unless given")
    parser.add_argument("--seed", type=int, default=1, help="of the made-up results")
    parser.add_argument("--data-dir", help="keep the database here, and use it as it is when it is there")
    return parser


def _questions(text: str) -> list[Question]:
    by_name = {question.name: question for question in QUESTIONS}
    return [by_name[name] for name in _some(text, by_name)]


def _servers(text: str) -> list[str]:
    names = _some(text, SERVERS)
    return [name for name in SERVERS if name in names]  # podium first, whom the others are compared with


def _some(text: str, known: dict[str, Any]) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return names


if __name__ == "__main__":
    main()
