"""Benchmarks: in both forms, newest first, with what happened in them and what their node has logged about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from db.pool import Row, Runner
from db.statements import STATEMENTS
from resolvers.errors import NotFound
from resolvers.page import Page, PageRequest, page_of, to_micros
from resolvers.storable import MAX_INT, check_int, check_text, encoded_json

BENCHMARKS = STATEMENTS["benchmarks.benchmarks"]
NEWEST_BENCHMARKS = BENCHMARKS.pick(page="newest")
OLDEST_BENCHMARKS = BENCHMARKS.pick(page="oldest")
COUNT_BENCHMARKS = STATEMENTS["benchmarks.count_benchmarks"]
BENCHMARKS_BY_ID = STATEMENTS["benchmarks.benchmarks_by_id"]
ADD_BENCHMARK = STATEMENTS["benchmarks.add_benchmark"]
EVENTS_OF = STATEMENTS["benchmarks.events_of"]
ADD_EVENT = STATEMENTS["benchmarks.add_event"]
TARGETS = STATEMENTS["benchmarks.targets"]


class Setup(NamedTuple):
    """A benchmark in its present form: any JSON."""

    setup: Any


class Run(NamedTuple):
    """A benchmark in its older form; both specs are any JSON, None where there is none."""

    host_system_id: int
    started_at: datetime
    ended_at: datetime
    description: str | None = None
    chain_spec: Any = None
    benchmark_spec: Any = None


class Happening(NamedTuple):
    """An event of a benchmark: that a phase of something with this name began, or whatever else is told of it."""

    benchmark_id: int
    name: str
    phase: str
    created_at: datetime


async def all_benchmarks(db: Runner) -> list[Row]:
    """Every benchmark (id, created_at, and what it was created with), newest first."""
    return await db.fetch(NEWEST_BENCHMARKS, cursor_at=None, cursor_id=None, limit=None)


async def benchmarks_page(db: Runner, request: PageRequest) -> Page[Row]:
    """A page of benchmarks, newest first."""
    statement = OLDEST_BENCHMARKS if request.backwards else NEWEST_BENCHMARKS
    return page_of(await db.fetch(statement, **request.time_and_id, limit=request.size + 1), request)


def benchmark_cursor(row: Row) -> list[int]:
    """Where a benchmark stands: its time in microseconds, and its id."""
    return [to_micros(row.created_at), row.id]


async def count_benchmarks(db: Runner) -> int:
    """How many there are."""
    return int(await db.fetchval(COUNT_BENCHMARKS))


async def benchmarks_by_id(db: Runner, ids: Sequence[int]) -> list[Row | None]:
    """The benchmarks with these ids, in their order; None where there is none."""
    found = {row.id: row for row in await db.fetch(BENCHMARKS_BY_ID, ids=ids)}
    return [found.get(id_) for id_ in ids]


async def create_benchmark(db: Runner, new: Setup | Run) -> Row:
    """Store a benchmark; InvalidArgument names the field that cannot be stored, NotFound a host system that is none."""
    given = _columns_of_setup(new) if isinstance(new, Setup) else _columns_of_run(new)
    try:
        (row,) = await db.fetch(ADD_BENCHMARK, **given)
    except asyncpg.ForeignKeyViolationError:
        raise NotFound("host_system_id: there is no such host system", field="host_system_id") from None
    return row


async def events_of(db: Runner, ids: Sequence[int]) -> list[list[Row]]:
    """The events (id, benchmark_id, name, phase, created_at) of each of these benchmarks, newest first."""
    found: dict[int, list[Row]] = {id_: [] for id_ in ids}
    for row in await db.fetch(EVENTS_OF, benchmark_ids=list(found)):
        found[row.benchmark_id].append(row)
    return [found[id_] for id_ in ids]


async def record_event(db: Runner, event: Happening) -> Row:
    """Store an event; InvalidArgument names the field that cannot be stored, NotFound a benchmark that is none."""
    check_int("benchmark_id", event.benchmark_id)
    check_text("name", event.name)
    check_text("phase", event.phase)
    try:
        (row,) = await db.fetch(ADD_EVENT, **event._asdict())
    except asyncpg.ForeignKeyViolationError:
        raise NotFound("benchmark_id: there is no such benchmark", field="benchmark_id") from None
    return row


def node_of(setup: Any) -> str | None:
    """The peer id of a benchmark's node, `substrate.peerId` of its setup, which may be anything; None without one."""
    substrate = setup.get("substrate") if isinstance(setup, dict) else None
    peer = substrate.get("peerId") if isinstance(substrate, dict) else None
    return peer if isinstance(peer, str) else None


async def targets_of(db: Runner, peers: Sequence[str | None]) -> list[list[str]]:
    """The different targets of what each of these nodes has logged, ascending by their characters; none for no node."""
    found: dict[str | None, list[str]] = {}
    if wanted := sorted({peer for peer in peers if peer is not None}):
        for row in await db.fetch(TARGETS, peer_ids=wanted):
            found.setdefault(row.peer_id, []).append(row.target)
    return [found.get(peer, []) for peer in peers]


def is_id(number: int) -> bool:
    """Whether a benchmark or a host system can have this id."""
    return 0 < number <= MAX_INT


def _columns_of_setup(new: Setup) -> dict[str, Any]:
    return {**dict.fromkeys(ADD_BENCHMARK.parameters), "setup": encoded_json("setup", new.setup)}


def _columns_of_run(new: Run) -> dict[str, Any]:
    check_int("host_system_id", new.host_system_id)
    check_text("description", new.description)
    specs = {field: _spec(field, getattr(new, field)) for field in ("chain_spec", "benchmark_spec")}
    return {"setup": None, **new._asdict(), **specs}


def _spec(field: str, value: Any) -> bytes | None:
    return None if value is None else encoded_json(field, value)
