"""What the old URLs of telemetry answer in a second, over what fifty nodes have sent."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson

from bench.cases import Case
from bench.load import get_request
from bench.measure import measure
from bench.server import Filled, Served, gateway
from bench.telemetry_cases import NODES, row
from bench.telemetry_messages import peer_id
from bench.telemetry_node import Node
from bench.telemetry_run import Row, Run, running, sending
from bench.telemetry_stored import LostError, until_stored

CONNECTIONS = 16
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Question:
    """A path, the different forms of it, and how many entries each answer must have."""

    name: str
    paths: tuple[str, ...]
    entries: Callable[[int], bool]

    def repeated(self) -> Iterator[bytes]:
        """The same again and again."""
        return cycle([get_request(self.paths[0])])

    def changing(self) -> Iterator[bytes]:
        """Another one each time, as far as there are others."""
        return cycle([get_request(path) for path in self.paths])


def questions() -> list[Question]:
    """All of them; those about a node change nodes, and the others what else can be changed."""
    peers = [peer_id(number) for number in range(NODES)]
    ages = (f"/reputation?max_age_s={HOUR_S + number}" for number in count())
    return [
        Question("/nodes", ("/nodes",), lambda number: number == NODES),
        Question(
            "/nodes/logs limit 100",
            tuple(f"/nodes/logs?peer_id={peer}&limit=100" for peer in peers),
            lambda number: number == 100,
        ),
        Question("/reputation", tuple(next(ages) for _ in peers), lambda number: number == NODES),
        Question("/nodes/log_stats", tuple(f"/nodes/log_stats?peer_id={peer}" for peer in peers), lambda n: n > 10),
    ]


async def asked(database: Filled, directory: Path, given: argparse.Namespace) -> AsyncIterator[Row]:
    """Each question: the same repeated, changing ones, and changing ones where nothing is kept."""
    async with running(database, directory, "questions") as run:
        filled = await row(f"questions, {given.messages:,} messages of {NODES} nodes", _fill(run, given.messages))
        yield filled
        if filled.problem:
            return
        for question in questions():
            forms = {"repeated": question.repeated, "changing": question.changing}
            for form, requests in list(forms.items())[: len(question.paths)]:
                name = f"{question.name}, {form}"
                yield await row(name, _measured(run, question, requests, given.ask_seconds))
    async with gateway(database, directory, ANSWER_CACHE_BYTES="0") as server:
        unkept = Run(server, database, run.say)
        for question in questions():
            name = f"{question.name}, changing, none kept"
            yield await row(name, _measured(unkept, question, question.changing, given.ask_seconds))


async def _fill(run: Run, messages: int) -> dict[str, Any]:
    async with sending(run, [Node(number, messages // NODES) for number in range(NODES)]) as senders:
        senders.start()
        await run.sent(senders)
        await until_stored(run.url, senders.nodes)
        await asyncio.to_thread(senders.close)
    # As it is some time later, when Postgres has had the time to do this by itself.
    await run.database.ask("VACUUM (ANALYZE) podium.peer_logs, podium.peer_connections, podium.peers")
    return {"stored": senders.sent}


async def _measured(
    run: Run, question: Question, requests: Callable[[], Iterator[bytes]], seconds: float
) -> dict[str, Any]:
    host, port = run.server.address
    for path in question.paths:
        answer = await asyncio.to_thread(_get, f"http://{host}:{port}{path}")
        if not question.entries(len(answer)):
            raise LostError(f"{path} has {len(answer)} entries")
    case = Case(question.name, requests)
    found = await measure(Served(run.server, run.database, []), case, CONNECTIONS, seconds)
    if found.errors:
        raise LostError(f"{found.errors:,} answers report a failure, at {found.requests_per_s:,.0f} requests/s")
    run.say(f"{question.name}: {found.requests_per_s:,.0f}/s")
    wanted = ("requests_per_s", "p50_ms", "p99_ms", "gateway_us", "postgres_us", "other_cores")
    return {name: getattr(found, name) for name in wanted}


def _get(url: str) -> list[Any]:
    with urlopen(url, timeout=60) as response:  # noqa: S310  of a gateway on this machine
        entries: list[Any] = orjson.loads(response.read())
        return entries
